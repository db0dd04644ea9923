from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastores", "0033_names_on_hosts")]
    operations = [
        migrations.AddField(
            model_name="datastorehost",
            name="mounted_from",
            field=models.CharField(blank=True, default="", max_length=1024),
        ),
    ]
