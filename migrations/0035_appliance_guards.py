import django.db.models.deletion
from django.db import migrations, models


def remember(apps, schema_editor):
    """Which hosts are kept from an appliance was told by the last job that did so alone."""
    jobs, hosts = apps.get_model("datastores", "Job").objects, apps.get_model("datastores", "Host").objects
    members = apps.get_model("datastores", "DatastoreHost").objects
    guards = apps.get_model("datastores", "ApplianceGuard").objects
    for appliance in apps.get_model("datastores", "Appliance").objects.exclude(guarded_at=None):
        done = jobs.filter(kind="nas.guard", state="succeeded", datastore=appliance.datastore_id)
        keys = {key for params in done.values_list("params", flat=True) for key in params.get("others", ())}
        others = hosts.filter(pk__in=keys).exclude(
            pk__in=members.filter(datastore=appliance.datastore_id).values("host")
        )
        for key in others.values_list("pk", flat=True):
            guards.create(datastore_id=appliance.datastore_id, host_id=key)


class Migration(migrations.Migration):
    dependencies = [("datastores", "0034_mounted_from")]
    operations = [
        migrations.CreateModel(
            name="ApplianceGuard",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "datastore",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="guards", to="datastores.datastore"
                    ),
                ),
                (
                    "host",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="guards", to="datastores.host"
                    ),
                ),
            ],
            options={
                "ordering": ["host__name"],
                "constraints": [models.UniqueConstraint(fields=("datastore", "host"), name="applianceguard_once")],
            },
        ),
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
