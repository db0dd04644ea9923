from django.db import migrations

from datastores.models import audit_guard


def install(apps, schema_editor):
    audit_guard.install(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("datastores", "0003_duties_and_resumed_jobs")]
    operations = [migrations.RunPython(install, migrations.RunPython.noop)]
