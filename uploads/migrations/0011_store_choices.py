"""Labels and messages leave the model: choices are values, and the validator of names has a code."""

import django.core.validators
from django.db import migrations, models

NAME = django.core.validators.RegexValidator("^[a-z0-9][a-z0-9-]*$", "StoreNameInvalid", "StoreNameInvalid")


class Migration(migrations.Migration):
    dependencies = [("uploads", "0010_error_reasons")]

    operations = [
        migrations.AlterField(
            "store",
            "signature",
            models.CharField(choices=[("sigv4", "sigv4"), ("oss4", "oss4")], default="sigv4", max_length=8),
        ),
        migrations.AlterField("store", "name", models.CharField(max_length=63, unique=True, validators=[NAME])),
    ]
