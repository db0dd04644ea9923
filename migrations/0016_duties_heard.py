from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastores", "0015_retried_by")]
    operations = [
        migrations.AddField(model_name="duty", name="heard_at", field=models.DateTimeField(null=True)),
    ]
