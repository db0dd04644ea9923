from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("datastores", "0019_words")]
    operations = [
        migrations.AddField(
            model_name="jobstep", name="silent_since", field=models.DateTimeField(blank=True, null=True)
        )
    ]
