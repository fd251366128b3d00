"""Saved views of the inventory."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class InventoryView(models.Model):
    """A filter of the inventory that a user has given a name. `query` is the query string of the page.

    A shared view is offered to every user. What it shows depends on the roles of whoever opens it.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="inventory_views")
    name = models.CharField(max_length=100)
    query = models.CharField(max_length=4000, blank=True)
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="inventory_view_once")]
        indexes = [
            models.Index(fields=["name"], name="inventory_view_shared", condition=models.Q(is_shared=True)),
        ]

    def __str__(self) -> str:
        return self.name
