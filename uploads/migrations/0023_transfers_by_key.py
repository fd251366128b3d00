from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0022_store_health"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="transfer",
            index=models.Index(fields=["key", "bucket", "store"], name="transfer_by_key"),
        ),
    ]
