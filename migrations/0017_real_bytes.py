from django.db import migrations, models


class Migration(migrations.Migration):
    """What disks really take, and whether each host sees the directory of its datastores."""

    dependencies = [("datastores", "0016_duties_heard")]
    operations = [
        migrations.AddField(model_name="disk", name="allocated", field=models.BigIntegerField(blank=True, null=True)),
        migrations.AddField(model_name="disk", name="shared", field=models.BigIntegerField(default=0)),
        migrations.AddField(model_name="disk", name="allocated_at", field=models.DateTimeField(blank=True, null=True)),
        migrations.RemoveIndex(model_name="disk", name="disk_space"),
        migrations.AddIndex(
            model_name="disk",
            index=models.Index(fields=["datastore", "kind", "virtual_size", "allocated", "shared"], name="disk_space"),
        ),
        migrations.AddField(model_name="datastorehost", name="unseen", field=models.TextField(blank=True, default="")),
        migrations.AddField(model_name="datastorehost", name="looked_at", field=models.DateTimeField(null=True)),
        migrations.AddField(model_name="alert", name="detail", field=models.JSONField(blank=True, default=dict)),
    ]
