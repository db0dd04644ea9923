from typing import Any

from django.db import migrations

from datastores.models.words import Words

# as it was called then, whatever it is called later
DRIFT = Words("datastores_driftwords", "datastores_drift", "id", ("title", "label"))


def install(apps: Any, schema_editor: Any) -> None:
    DRIFT.install(schema_editor.connection)


def remove(apps: Any, schema_editor: Any) -> None:
    DRIFT.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("datastores", "0020_silent_since")]
    operations = [migrations.RunPython(install, remove)]
