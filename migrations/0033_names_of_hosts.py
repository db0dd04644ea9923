from django.db import migrations, models

from datastores.domain.iscsi import name_part


def remember(apps, schema_editor):
    """Targets that there are were named after what their hosts are called now."""
    members = apps.get_model("datastores", "DatastoreHost").objects
    for pk, name in members.values_list("pk", "host__name"):
        members.filter(pk=pk).update(peer=name_part(name))


class Migration(migrations.Migration):
    dependencies = [("datastores", "0032_appliances")]
    operations = [
        migrations.AddField("datastorehost", "peer", models.CharField(blank=True, default="", max_length=255)),
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
