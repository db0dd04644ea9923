import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("datastores", "0008_hosts_of_steps"),
    ]

    operations = [
        migrations.CreateModel(
            name="DatastoreSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("resolution", models.PositiveIntegerField(default=300)),
                ("total", models.BigIntegerField()),
                ("used", models.BigIntegerField()),
                ("promised", models.BigIntegerField()),
                ("inodes_total", models.BigIntegerField(null=True)),
                ("inodes_used", models.BigIntegerField(null=True)),
                (
                    "datastore",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="samples",
                        to="datastores.datastore",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["resolution", "at"], name="datastoresample_by_time")],
                "constraints": [
                    models.UniqueConstraint(fields=("datastore", "resolution", "at"), name="datastoresample_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="HostSample",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("resolution", models.PositiveIntegerField(default=300)),
                ("latency", models.FloatField(null=True)),
                ("load", models.FloatField()),
                ("memory_total", models.BigIntegerField()),
                ("memory_used", models.BigIntegerField()),
                ("root_total", models.BigIntegerField()),
                ("root_used", models.BigIntegerField()),
                (
                    "host",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="samples",
                        to="datastores.host",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["resolution", "at"], name="hostsample_by_time")],
                "constraints": [models.UniqueConstraint(fields=("host", "resolution", "at"), name="hostsample_once")],
            },
        ),
    ]
