"""A completion is bound to what the operator saw. Operations from before have an empty confirmation."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("uploads", "0016_lost_creates")]

    operations = [
        migrations.AddField(
            model_name="operation",
            name="confirmed",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
