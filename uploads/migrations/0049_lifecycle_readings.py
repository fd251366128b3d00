"""Lifecycle rules are read in the background. Those that are known already are read again at once."""

import django.db.models.deletion
from django.db import migrations, models
from django.utils import timezone


def read_again(apps, _editor):
    """Which uploads the rules cover was not kept."""
    apps.get_model("uploads", "LifecycleState").objects.update(due_at=timezone.now(), read_at=None)


class Migration(migrations.Migration):
    dependencies = [
        ("uploads", "0048_alert_rule_errors"),
    ]

    operations = [
        migrations.CreateModel(
            name="LifecycleReading",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("error_code", models.CharField(blank=True, default="", max_length=100)),
                ("error_reason", models.CharField(blank=True, default="", max_length=64)),
                ("error_params", models.JSONField(blank=True, default=dict)),
                ("error_message", models.TextField(blank=True, default="")),
                ("error_request_id", models.CharField(blank=True, default="", max_length=200)),
                ("lease_token", models.UUIDField(blank=True, null=True)),
                ("lease_until", models.DateTimeField(blank=True, null=True)),
                ("queued_at", models.DateTimeField(blank=True, null=True)),
                ("not_before", models.DateTimeField(blank=True, null=True)),
                ("tries", models.IntegerField(default=0)),
                ("failing_since", models.DateTimeField(blank=True, null=True)),
                ("buckets", models.JSONField(default=list)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("ordered", "ordered"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("unknown", "unknown"),
                        ],
                        default="ordered",
                        max_length=8,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="LifecycleVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("bucket", models.CharField(max_length=255)),
                ("digest", models.CharField(max_length=64)),
                ("text", models.TextField(blank=True, default="")),
                ("size_rule", models.CharField(blank=True, default="", max_length=100)),
                ("seen_at", models.DateTimeField()),
            ],
        ),
        migrations.RemoveField(
            model_name="lifecyclestate",
            name="aborts_all",
        ),
        migrations.AddField(
            model_name="lifecyclechange",
            name="accepted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="lifecyclestate",
            name="busy_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="lifecyclestate",
            name="coverage",
            field=models.CharField(
                choices=[("all", "all"), ("part", "part"), ("none", "none")], default="none", max_length=4
            ),
        ),
        migrations.AddField(
            model_name="lifecyclestate",
            name="due_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="lifecyclestate",
            name="is_unsupported",
            field=models.BooleanField(default=False),
        ),
        migrations.AlterField(
            model_name="lifecyclestate",
            name="store",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="lifecycle_states", to="uploads.store"
            ),
        ),
        migrations.AddIndex(
            model_name="lifecyclestate",
            index=models.Index(fields=["store", "due_at"], name="lifecycle_state_due"),
        ),
        migrations.AddField(
            model_name="lifecyclereading",
            name="store",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="lifecycle_readings", to="uploads.store"
            ),
        ),
        migrations.AddField(
            model_name="lifecycleversion",
            name="store",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="uploads.store"),
        ),
        migrations.AddIndex(
            model_name="lifecyclereading",
            index=models.Index(
                condition=models.Q(("state", "ordered")), fields=["queued_at"], name="lifecycle_reading_waiting"
            ),
        ),
        migrations.AddIndex(
            model_name="lifecyclereading",
            index=models.Index(
                condition=models.Q(("state", "running")), fields=["lease_until"], name="lifecycle_reading_running"
            ),
        ),
        migrations.AddConstraint(
            model_name="lifecycleversion",
            constraint=models.UniqueConstraint(fields=("store", "bucket", "digest"), name="lifecycle_version_once"),
        ),
        migrations.RunPython(read_again, migrations.RunPython.noop),
    ]
