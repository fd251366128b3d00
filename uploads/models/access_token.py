"""Access tokens: what scripts send in place of a password."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from uploads.models.store import Store


class AccessToken(models.Model):
    """A token of a user. Its secret is not stored, only the SHA-256 of it: see `uploads.domain.secrets`.

    `scopes` are texts of `TokenScope`. A token without places is not limited to stores. Tokens are revoked and not
    deleted, so that the audit log refers to them.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="access_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_from = models.CharField(max_length=45, blank=True, default="")
    refused_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"], name="token_name_in_use", condition=models.Q(revoked_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @property
    def state(self) -> str:
        """active, expired or revoked. The user of an active one may be disabled."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.is_expired else "active"


class TokenPlace(models.Model):
    """A store, bucket or prefix that a token is limited to. An empty bucket or prefix stands for all of them.

    A store with such a row cannot be deleted: a token whose last place disappears would be limited to none.
    """

    token = models.ForeignKey(AccessToken, on_delete=models.CASCADE, related_name="places")
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="+")
    bucket = models.CharField(max_length=255, blank=True, default="")
    prefix = models.CharField(max_length=1024, blank=True, default="")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return "/".join(filter(None, [self.store.name, self.bucket, self.prefix]))
