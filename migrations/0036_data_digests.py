from typing import Any

from django.db import migrations, models

from datastores.models.words import Words

IMAGES = Words("datastores_imagewords", "datastores_image", "id", ("name", "source"))  # as it is called now


def install(apps: Any, schema_editor: Any) -> None:
    """SQLite makes the table of images anew, and its triggers go with the old one."""
    IMAGES.install(schema_editor.connection)


def give_up(apps: Any, schema_editor: Any) -> None:
    """Of copies that are there nobody knows the digest: no disk is made over one any more, and it makes room."""
    copies = apps.get_model("datastores", "CachedCopy").objects.filter(state__in=("ready", "error"))
    copies.update(state="error", error="It was cached before digests of the data alone were known.", digest="")


class Migration(migrations.Migration):
    dependencies = [("datastores", "0035_appliance_guards")]
    operations = [
        migrations.AddField("image", "data_digest", models.CharField(blank=True, default="", max_length=64), False),
        migrations.RemoveField("cachedcopy", "sha256"),
        migrations.AddField(
            "cachedcopy", "data_digest", models.CharField(blank=True, default="", max_length=64), False
        ),
        migrations.RunPython(install, migrations.RunPython.noop),
        migrations.RunPython(give_up, migrations.RunPython.noop),
    ]
