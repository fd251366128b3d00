"""Cards that a user does not want to see any more."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Dismissal(models.Model):
    """A user has closed a card for good. `card` is its name."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="dismissals")
    card = models.CharField(max_length=50)
    dismissed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "card"], name="dismissal_once")]

    def __str__(self) -> str:
        return f"{self.card} of {self.user_id}"
