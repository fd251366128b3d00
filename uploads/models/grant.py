"""Grants: which user or group has which role, and where."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models

from uploads.domain.roles import Role, Scope
from uploads.models.store import Store


class Grant(models.Model):
    """A role of a user or a group. Without a store it is valid in all stores, without a bucket in all of its buckets.

    `prefix`: only for keys that start with it, compared exactly. It should end with a delimiter: `a` matches `ab` too.
    `all_transfers`: for the transfers of all users there, and not only for those of the user.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="grants"
    )
    group = models.ForeignKey(Group, on_delete=models.CASCADE, null=True, blank=True, related_name="grants")
    role = models.CharField(max_length=20, choices=[(role.value, role.value) for role in Role])
    store = models.ForeignKey(Store, on_delete=models.CASCADE, null=True, blank=True, related_name="grants")
    bucket = models.CharField(max_length=255, blank=True, default="")
    prefix = models.CharField(max_length=1024, blank=True, default="")
    all_transfers = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="grants_given"
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                name="grant_has_one_holder",
                condition=models.Q(user__isnull=True, group__isnull=False)
                | models.Q(user__isnull=False, group__isnull=True),
            ),
            models.CheckConstraint(
                name="grant_bucket_has_store", condition=models.Q(bucket="") | models.Q(store__isnull=False)
            ),
            models.CheckConstraint(
                name="grant_prefix_has_bucket", condition=models.Q(prefix="") | ~models.Q(bucket="")
            ),
            models.CheckConstraint(
                name="administrator_everywhere",
                condition=~models.Q(role=Role.ADMINISTRATOR.value) | models.Q(store__isnull=True),
            ),
            models.CheckConstraint(
                name="store_administrator_whole_store",
                condition=~models.Q(role=Role.STORE_ADMINISTRATOR.value) | models.Q(bucket=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.group} {self.role} {self.scope}"

    @property
    def scope(self) -> Scope:
        return Scope(self.store_id, self.bucket, self.prefix)
