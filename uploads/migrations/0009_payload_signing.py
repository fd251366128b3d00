"""Whether payloads are signed becomes a choice of two: "auto" always meant "unsigned"."""

from typing import Any

from django.db import migrations, models


def replace_auto(apps: Any, _schema_editor: Any) -> None:
    apps.get_model("uploads", "Store").objects.filter(payload_signing="auto").update(payload_signing="unsigned")


class Migration(migrations.Migration):
    dependencies = [("uploads", "0008_error_codes_and_names")]

    operations = [
        migrations.RunPython(replace_auto, migrations.RunPython.noop),
        migrations.AlterField(
            "store",
            "payload_signing",
            models.CharField(
                max_length=8, choices=[("signed", "signed"), ("unsigned", "unsigned")], default="unsigned"
            ),
        ),
    ]
