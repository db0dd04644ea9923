from typing import Any

from django.db import migrations

from datastores.models import audit_words


def install(apps: Any, schema_editor: Any) -> None:
    audit_words.install(schema_editor.connection)


def remove(apps: Any, schema_editor: Any) -> None:
    audit_words.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("datastores", "0013_drift")]
    operations = [migrations.RunPython(install, remove)]
