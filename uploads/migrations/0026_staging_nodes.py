"""What is known of a node: its disk, and when it was last heard. Known nodes count as heard at the migration."""

from __future__ import annotations

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("uploads", "0025_dispatch_indexes")]

    operations = [
        migrations.AddField("stagingnode", "disk_id", models.CharField(blank=True, default="", max_length=32)),
        migrations.AddField("stagingnode", "heard_at", models.DateTimeField(default=django.utils.timezone.now)),
        migrations.AddField("stagingnode", "sender_heard_at", models.DateTimeField(default=django.utils.timezone.now)),
    ]
