from django.db import migrations

from datastores.models.fields import EncryptedTextField


class Migration(migrations.Migration):
    dependencies = [("datastores", "0027_volume_reading")]
    operations = [
        migrations.AddField(model_name="datastore", name="secret", field=EncryptedTextField(blank=True, default=""))
    ]
