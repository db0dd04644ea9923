import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("datastores", "0012_alerts"),
    ]

    operations = [
        migrations.CreateModel(
            name="DriftScan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("asked_at", models.DateTimeField(default=django.utils.timezone.now)),
                ("started_at", models.DateTimeField(null=True)),
                ("heard_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("broken", models.BooleanField(default=False)),
                ("hosts", models.PositiveIntegerField(default=0)),
                ("statements", models.PositiveIntegerField(default=0)),
                ("skipped", models.PositiveIntegerField(default=0)),
                ("differing", models.PositiveIntegerField(default=0)),
                ("unread", models.JSONField(default=list)),
                ("unread_hosts", models.PositiveIntegerField(default=0)),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="ImageFootprint",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("size", models.BigIntegerField()),
                ("written", models.CharField(max_length=40)),
                ("seen_at", models.DateTimeField()),
                (
                    "image",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="footprint", to="datastores.image"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Drift",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=64, unique=True)),
                ("owner", models.CharField(max_length=40)),
                ("label", models.CharField(max_length=300)),
                ("title", models.CharField(max_length=1500)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("missing", "missing"),
                            ("altered", "altered"),
                            ("differs", "differs"),
                            ("in the way", "in the way"),
                            ("foreign", "foreign"),
                        ],
                        max_length=10,
                    ),
                ),
                ("change", models.JSONField(null=True)),
                ("text", models.TextField(blank=True)),
                ("fingerprint", models.CharField(max_length=64)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("accepted", "accepted"),
                            ("repaired", "repaired"),
                            ("gone", "gone"),
                        ],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("first_seen", models.DateTimeField()),
                ("last_seen", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("accepted_at", models.DateTimeField(null=True)),
                ("note", models.CharField(blank=True, max_length=500)),
                (
                    "accepted_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "datastore",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="drift",
                        to="datastores.datastore",
                    ),
                ),
                (
                    "disk",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="drift",
                        to="datastores.disk",
                    ),
                ),
                (
                    "host",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="drift",
                        to="datastores.host",
                    ),
                ),
                (
                    "image",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="drift",
                        to="datastores.image",
                    ),
                ),
            ],
            options={
                "ordering": ["-first_seen", "-pk"],
                "indexes": [models.Index(fields=["state", "-first_seen"], name="drift_state")],
            },
        ),
    ]
