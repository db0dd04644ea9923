from typing import Any

from django.db import migrations

from datastores.models.words import Words

# as they were called then, whatever they are called later
AUDIT = Words(
    "datastores_auditwords", "datastores_auditentry", "seq", ("actor_name", "action", "target", "address"), fixed=True
)


def install(apps: Any, schema_editor: Any) -> None:
    AUDIT.install(schema_editor.connection)


def remove(apps: Any, schema_editor: Any) -> None:
    AUDIT.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("datastores", "0013_drift")]
    operations = [migrations.RunPython(install, remove)]
