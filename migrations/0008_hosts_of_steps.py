from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import OuterRef, Subquery


def hosts_by_name(apps: Any, schema_editor: Any) -> None:
    """Note the hosts of jobs that have not ended: those are not renamed.

    Steps knew their hosts by name alone. Where a job has ended, another host may have the name by now; not to know is
    safer than to guess: such a job cannot be taken back.
    """
    host, step = apps.get_model("datastores", "Host"), apps.get_model("datastores", "JobStep")
    step.objects.filter(job__ended_at=None).update(
        machine=Subquery(host.objects.filter(name=OuterRef("host")).values("pk")[:1])
    )


class Migration(migrations.Migration):
    dependencies = [
        ("datastores", "0007_versions_of_datastores_and_clusters"),
    ]

    operations = [
        migrations.AddField(
            model_name="jobstep",
            name="machine",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="datastores.host",
            ),
        ),
        migrations.RunPython(hosts_by_name, migrations.RunPython.noop),
    ]
