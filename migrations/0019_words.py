from typing import Any

from django.db import migrations, models

from datastores.models.words import Words

# as they were called then, whatever they are called later
NEW = (
    Words(
        "datastores_auditwords",
        "datastores_auditentry",
        "seq",
        ("actor_name", "action", "target", "address"),
        fixed=True,
    ),
    Words("datastores_imagewords", "datastores_image", "id", ("name", "source")),
    Words("datastores_jobwords", "datastores_job", "id", ("title", "target_label")),
)


def install(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "sqlite":
        schema_editor.execute("DROP TRIGGER IF EXISTS audit_words")  # as it was called before
    for index in NEW:
        index.install(schema_editor.connection)


def remove(apps: Any, schema_editor: Any) -> None:
    for index in NEW:
        index.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("datastores", "0018_undo_asked")]
    operations = [
        migrations.RemoveIndex(model_name="job", name="job_state_heartbeat"),
        migrations.AddIndex(model_name="job", index=models.Index(fields=["state"], name="job_state")),
        migrations.AddIndex(model_name="image", index=models.Index(fields=["name"], name="image_name")),
        migrations.AddIndex(model_name="image", index=models.Index(fields=["virtual_size"], name="image_size")),
        migrations.AddIndex(model_name="virtualmachine", index=models.Index(fields=["name"], name="vm_name")),
        migrations.AddIndex(model_name="job", index=models.Index(fields=["title"], name="job_title")),
        migrations.AddIndex(model_name="job", index=models.Index(fields=["user_label"], name="job_by")),
        migrations.AddIndex(model_name="job", index=models.Index(fields=["created_at"], name="job_asked")),
        migrations.RunPython(install, remove),
    ]
