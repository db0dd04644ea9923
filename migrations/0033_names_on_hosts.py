from django.db import migrations, models

from datastores.domain.iscsi import name_part


def remember(apps, schema_editor):
    """What there is on hosts was named after what they are called now, and after the path of the datastore alone."""
    members = apps.get_model("datastores", "DatastoreHost").objects
    for pk, name in members.values_list("pk", "host__name"):
        members.filter(pk=pk).update(peer=name_part(name))
    datastores = apps.get_model("datastores", "Datastore").objects
    for pk, base in datastores.values_list("pk", "base"):
        datastores.filter(pk=pk).update(label=name_part(base)[-64:].strip("-."))


class Migration(migrations.Migration):
    dependencies = [("datastores", "0032_appliances")]
    operations = [
        migrations.AddField("datastorehost", "peer", models.CharField(blank=True, default="", max_length=255)),
        migrations.AddField("datastore", "label", models.CharField(blank=True, default="", max_length=100)),
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
