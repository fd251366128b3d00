"""Rounds: background work of which only one runs at a time, in all processes of all nodes."""

from __future__ import annotations

from django.db import models


class Round(models.Model):
    """A kind of round, and the process that runs it now: a fencing token and a deadline. `started_at`: the last one."""

    name = models.CharField(max_length=300, primary_key=True)
    token = models.UUIDField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name
