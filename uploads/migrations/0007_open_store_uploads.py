"""Every listing asks for the uploads that are still open, which are few among all there ever were."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("uploads", "0006_store_checks")]

    operations = [
        migrations.AddIndex(
            model_name="storeupload",
            index=models.Index(fields=["state"], name="store_upload_by_state"),
        ),
    ]
