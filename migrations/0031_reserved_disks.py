from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastores", "0030_cached_copies")]
    operations = [
        migrations.AddField(model_name="disk", name="reserved", field=models.BigIntegerField(default=0)),
        migrations.RemoveIndex(model_name="disk", name="disk_space"),
        migrations.AddIndex(
            model_name="disk",
            index=models.Index(
                fields=["datastore", "kind", "virtual_size", "allocated", "shared", "reserved"], name="disk_space"
            ),
        ),
    ]
