"""Roles are granted. Users who are no administrators become operators of all stores, as they have been."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.state import StateApps


def grant_what_users_had(apps: StateApps, _: object) -> None:
    users = apps.get_model(settings.AUTH_USER_MODEL).objects.filter(is_staff=False)
    grants = apps.get_model("uploads", "Grant")
    grants.objects.bulk_create(
        (grants(user_id=pk, role="operator") for pk in users.order_by("pk").values_list("pk", flat=True).iterator()),
        batch_size=500,
    )


ROLES = ("viewer", "operator", "store-administrator", "administrator")


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("uploads", "0029_append_only_audit"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Grant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("role", models.CharField(choices=[(role, role) for role in ROLES], max_length=20)),
                ("bucket", models.CharField(blank=True, default="", max_length=255)),
                ("prefix", models.CharField(blank=True, default="", max_length=1024)),
                ("all_transfers", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="grants_given",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="auth.group",
                    ),
                ),
                (
                    "store",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to="uploads.store",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="grants",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.CheckConstraint(
                        name="grant_has_one_holder",
                        condition=models.Q(user__isnull=True, group__isnull=False)
                        | models.Q(user__isnull=False, group__isnull=True),
                    ),
                    models.CheckConstraint(
                        name="grant_bucket_has_store",
                        condition=models.Q(bucket="") | models.Q(store__isnull=False),
                    ),
                    models.CheckConstraint(
                        name="grant_prefix_has_bucket",
                        condition=models.Q(prefix="") | ~models.Q(bucket=""),
                    ),
                    models.CheckConstraint(
                        name="administrator_everywhere",
                        condition=~models.Q(role="administrator") | models.Q(store__isnull=True),
                    ),
                    models.CheckConstraint(
                        name="store_administrator_whole_store",
                        condition=~models.Q(role="store-administrator") | models.Q(bucket=""),
                    ),
                ],
            },
        ),
        migrations.RunPython(grant_what_users_had, migrations.RunPython.noop, elidable=True),
    ]
