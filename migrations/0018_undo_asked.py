import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastores", "0017_real_bytes")]
    operations = [
        migrations.AddField(
            model_name="job",
            name="undo_asked_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(model_name="job", name="undo_asked_at", field=models.DateTimeField(blank=True, null=True)),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("undo_asked_at__isnull", False)), fields=["undo_asked_at"], name="job_undo_asked"
            ),
        ),
    ]
