from django.db import migrations, models


class Migration(migrations.Migration):
    """SQLite read all transfers of a store to find those of a key, because it avoids sorting them."""

    dependencies = [("uploads", "0055_trigrams")]

    operations = [
        migrations.RemoveIndex("transfer", "transfer_by_key"),
        migrations.AddIndex(
            "transfer", models.Index(fields=["key", "bucket", "store", "created_at"], name="transfer_by_key")
        ),
    ]
