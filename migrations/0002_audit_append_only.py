from django.db import migrations

from datastores.models import audit_guard


def install(apps, schema_editor):
    audit_guard.install(schema_editor.connection)


def remove(apps, schema_editor):
    audit_guard.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("datastores", "0001_initial")]
    operations = [migrations.RunPython(install, remove)]
