from django.db import migrations, models

HAS_ENDED = models.Q(ended_at__isnull=False)


class Migration(migrations.Migration):
    dependencies = [("datastores", "0004_audit_no_overwrite")]
    operations = [
        migrations.AddIndex("job", models.Index(fields=["-ended_at"], name="job_ended", condition=HAS_ENDED)),
        migrations.AddIndex(
            "job", models.Index(fields=["user", "-ended_at"], name="job_user_ended", condition=HAS_ENDED)
        ),
        migrations.AddIndex(
            "job", models.Index(fields=["kind", "-ended_at"], name="job_kind_ended", condition=HAS_ENDED)
        ),
    ]
