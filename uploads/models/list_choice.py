"""How a user wants to see a list."""

from __future__ import annotations

from enum import StrEnum

from django.conf import settings
from django.db import models


class Density(StrEnum):
    COMFORTABLE = "comfortable"
    COMPACT = "compact"


class ListChoice(models.Model):
    """The columns that a user has chosen for a list, by their names, and how dense its rows are.

    Columns that are not in the list any more are ignored, and new ones are hidden until they are chosen.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="list_choices")
    name = models.CharField(max_length=40)
    columns = models.JSONField(default=list, blank=True)
    density = models.CharField(
        max_length=16,
        choices=[(each.value, each.value) for each in Density],
        default=Density.COMFORTABLE.value,
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="list_choice_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.name}"
