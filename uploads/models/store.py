"""Stores: an endpoint with credentials."""

from __future__ import annotations

from typing import cast
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from uploads.models.fields import EncryptedTextField
from uploads.objectstore.providers import PROVIDERS
from uploads.objectstore.types import Addressing, Credentials, PayloadSigning, Signature, StoreConfig

SIGNATURES = [("sigv4", "AWS Signature Version 4"), ("oss4", "OSS V4 (OSS4-HMAC-SHA256)")]


def validate_endpoint_url(url: str) -> None:
    """An http or https URL with a host and nothing that belongs elsewhere; a host without a dot is fine."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValidationError("This must be an http or https URL with a host, such as https://s3.example.org:9000.")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValidationError("Credentials, a query or a fragment do not belong in the endpoint URL.")


def validate_provider(name: str) -> None:
    if name not in PROVIDERS:
        raise ValidationError(f"There is no provider {name!r}; known are {', '.join(PROVIDERS)}.")


class Store(models.Model):
    """An endpoint with credentials. `name` is what URLs and people call it."""

    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z0-9][a-z0-9-]*$", "Lower-case letters, digits and hyphens, beginning with no hyphen.")
        ],
    )
    endpoint_url = models.CharField(max_length=500, validators=[validate_endpoint_url])
    region = models.CharField(max_length=64, default="us-east-1")
    provider = models.CharField(max_length=32, default="generic", validators=[validate_provider])
    addressing = models.CharField(max_length=8, choices=[("path", "path"), ("virtual", "virtual")], default="path")
    signature = models.CharField(max_length=8, choices=SIGNATURES, default="sigv4")
    payload_signing = models.CharField(
        max_length=8,
        choices=[("signed", "signed"), ("unsigned", "unsigned")],
        default="unsigned",
    )
    access_key = models.CharField(max_length=256)
    secret_key = EncryptedTextField()
    session_token = EncryptedTextField(blank=True, default="")
    ca_bundle = models.CharField(max_length=500, blank=True, default="")
    enabled = models.BooleanField(default=True)
    # What a store check found to be otherwise than the provider's profile says: names and values of its fields.
    overrides = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def config(self) -> StoreConfig:
        """What the object store client needs to reach this store."""
        return StoreConfig(
            endpoint_url=self.endpoint_url,
            region=self.region,
            credentials=Credentials(self.access_key, self.secret_key, self.session_token or None),
            provider=self.provider,
            addressing=cast("Addressing", self.addressing),
            signature=cast("Signature", self.signature),
            payload_signing=cast("PayloadSigning", self.payload_signing),
            ca_bundle=self.ca_bundle or None,
            stall_timeout=settings.STORE_STALL_SECONDS,
            overrides=tuple(sorted(self.overrides.items())),
        )


class NamedBucket(models.Model):
    """A bucket named by an administrator, where ListBuckets is not allowed or not wanted."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="named_buckets")
    name = models.CharField(max_length=255)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["store", "name"], name="one_row_per_named_bucket")]

    def __str__(self) -> str:
        return self.name
