"""Stores: an endpoint with credentials."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import cast
from urllib.parse import urlsplit

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from uploads.domain.store_health import FAILING, StoreHealth
from uploads.models.fields import EncryptedTextField, Sealed, SecretUnreadable, is_readable, opened
from uploads.models.store_limits import address_rules, ca_bundle_path
from uploads.models.validation import invalid
from uploads.models.work import ErrorFields
from uploads.objectstore.checksums import BodyChecksum
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.providers import PROVIDERS, Provider, get_provider, with_overrides
from uploads.objectstore.types import Addressing, Credentials, PayloadSigning, Signature, StoreConfig
from uploads.problems import Code, Problem, ProblemError, RecordedError

ADDRESSINGS = ("path", "virtual")
SIGNATURES = ("sigv4", "oss4")
PAYLOAD_SIGNINGS = ("signed", "unsigned")
CHECKSUMS: tuple[BodyChecksum, ...] = ("md5", "crc64nvme")

TIMEOUTS_OF_SILENCE = 3
"""Timeouts in a row after which a store counts as not answering."""

NAME_INVALID = Code.STORE_NAME_INVALID.value


def validate_endpoint_url(url: str) -> None:
    """Require an http or https URL with a host and nothing else; a host without a dot is valid."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise invalid(Problem(Code.ENDPOINT_URL_NOT_HTTP))
    if parts.username is not None or parts.query or parts.fragment:
        raise invalid(Problem(Code.ENDPOINT_URL_WITH_EXTRAS))


def validate_provider(name: str) -> None:
    if name not in PROVIDERS:
        raise invalid(Problem(Code.UNKNOWN_PROVIDER, provider=name, known=tuple(PROVIDERS)))


def _choices(values: Iterable[str]) -> list[tuple[str, str]]:
    """The dashboard has the labels."""
    return [(value, value) for value in values]


class Store(ErrorFields):
    """An endpoint with credentials. URLs and users know it by its `name`.

    `timeouts` are the requests in a row that timed out, and `silent_since` is the time of the first of them. `failures`
    are those that failed in other ways that concern the whole store, and `failing_since` is the time of the first of
    them. `health` is what both were found to mean, `heard_at` about when that was last confirmed, `tried_at` the time
    of the last try in the background, and the error is that of the last failure.
    """

    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[
            RegexValidator(r"^[a-z0-9][a-z0-9-]*$", Code.STORE_NAME_INVALID.value, Code.STORE_NAME_INVALID.value)
        ],
    )
    endpoint_url = models.CharField(max_length=500, validators=[validate_endpoint_url])
    region = models.CharField(max_length=64, default="us-east-1")
    provider = models.CharField(max_length=32, default="generic", validators=[validate_provider])
    addressing = models.CharField(max_length=8, choices=_choices(ADDRESSINGS), default="path")
    signature = models.CharField(max_length=8, choices=_choices(SIGNATURES), default="sigv4")
    payload_signing = models.CharField(max_length=8, choices=_choices(PAYLOAD_SIGNINGS), default="unsigned")
    checksum = models.CharField(max_length=16, choices=_choices(CHECKSUMS), default="md5")
    # Whether the last store check that says anything has proved that the store verifies the CRC-64 of bodies.
    verifies_crc64 = models.BooleanField(default=False)
    access_key = models.CharField(max_length=256)
    secret_key = EncryptedTextField()
    session_token = EncryptedTextField(blank=True, default="")
    ca_bundle = models.CharField(max_length=500, blank=True, default="")
    enabled = models.BooleanField(default=True)
    # Fields of the provider's profile that a store check found to be different, with their values.
    overrides = models.JSONField(default=dict, blank=True)
    # Whether an ETag of this store has been the MD5 of the bytes that were sent: another one then means other bytes.
    etag_was_md5 = models.BooleanField(default=False)
    timeouts = models.PositiveIntegerField(default=0)
    silent_since = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True, blank=True)
    health = models.CharField(max_length=20, default=StoreHealth.NEVER_TRIED.value)
    health_since = models.DateTimeField(null=True, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)
    tried_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def not_answering_since(self) -> datetime | None:
        """Since when the store has not answered, after several timeouts in a row; None if it answers."""
        return self.silent_since if self.timeouts >= TIMEOUTS_OF_SILENCE else None

    @property
    def shown_health(self) -> StoreHealth:
        """The state that pages show."""
        if not self.enabled:
            return StoreHealth.DISABLED
        if not self.has_readable_secrets:
            return StoreHealth.SECRET_UNREADABLE
        return StoreHealth.NOT_ANSWERING if self.not_answering_since else StoreHealth(self.health)

    @property
    def shown_health_since(self) -> datetime | None:
        """Since when, as far as that is known."""
        if self.shown_health is StoreHealth.SECRET_UNREADABLE:
            return None
        return self.not_answering_since or (self.health_since if self.enabled else None)

    @property
    def shown_error(self) -> RecordedError | None:
        """The error that pages show: the last one, or that the secrets cannot be decrypted."""
        if self.shown_health is not StoreHealth.SECRET_UNREADABLE:
            return self.error
        problem = Problem(Code.SECRET_UNREADABLE, store=self.name)
        return RecordedError(problem.code, Reason.SECRET_UNREADABLE.value, details=(problem,))

    @property
    def is_failing(self) -> bool:
        return self.shown_health in FAILING

    @property
    def known_to_fail_since(self) -> datetime | None:
        """Since when requests of all kinds fail, as they were found to; None if they do not. `failing` finds them."""
        if not self.enabled or not (self.not_answering_since or self.health in FAILING):
            return None
        return self.not_answering_since or self.health_since or self.created_at

    @property
    def is_in_doubt(self) -> bool:
        """Whether the last request failed in a way that may concern the whole store, which is not certain yet."""
        return self.enabled and not self.is_failing and bool(self.failures or self.timeouts)

    @property
    def has_readable_secrets(self) -> bool:
        """Whether CREDENTIALS_KEYS decrypt the stored credentials. Otherwise an administrator enters them again."""
        return is_readable(self.secret_key) and is_readable(self.session_token)

    @property
    def body_checksum(self) -> BodyChecksum:
        """What the store verifies the files of new transfers by. Content-MD5 if it was found not to verify another."""
        return "crc64nvme" if self.checksum == "crc64nvme" and self.verifies_crc64 else "md5"

    @property
    def profile(self) -> Provider:
        """The profile of the store's provider, with the overrides that a check of this store has found."""
        return with_overrides(get_provider(self.provider), self._overrides)

    @property
    def _overrides(self) -> tuple[tuple[str, object], ...]:
        return tuple(sorted(self.overrides.items()))

    @property
    def written_settings(self) -> tuple[object, ...]:
        """All that `config` depends on, as the row has it. Unlike that, it needs no secret to be decrypted."""
        secrets = (each.token if isinstance(each, Sealed) else each for each in (self.secret_key, self.session_token))
        addressed = (self.endpoint_url, self.region, self.provider, self.addressing, self.ca_bundle)
        return *addressed, self.signature, self.payload_signing, self.access_key, *secrets, self._overrides

    def config(self) -> StoreConfig:
        """The configuration of the object store client for this store, with the secrets.

        Raises NotSent if CREDENTIALS_KEYS do not decrypt them, or if the CA bundle is not where one may be.
        """
        try:
            credentials = Credentials(self.access_key, opened(self.secret_key), opened(self.session_token) or None)
        except SecretUnreadable as error:
            problem = Problem(Code.SECRET_UNREADABLE, store=self.name)
            raise NotSent(problem, reason=Reason.SECRET_UNREADABLE) from error
        return StoreConfig(
            endpoint_url=self.endpoint_url,
            region=self.region,
            credentials=credentials,
            provider=self.provider,
            addressing=cast("Addressing", self.addressing),
            signature=cast("Signature", self.signature),
            payload_signing=cast("PayloadSigning", self.payload_signing),
            ca_bundle=self._ca_bundle() or None,
            stall_timeout=settings.STORE_STALL_SECONDS,
            overrides=self._overrides,
            addresses=address_rules(),
        )

    def _ca_bundle(self) -> str:
        try:
            return ca_bundle_path(self.ca_bundle)
        except ProblemError as error:
            raise NotSent(error.problem, reason=Reason.TLS) from error


def failing() -> models.Q:
    """Stores that are known to fail. `Store.known_to_fail_since` decides the same for one row."""
    silent = models.Q(timeouts__gte=TIMEOUTS_OF_SILENCE, silent_since__isnull=False)
    return models.Q(silent | models.Q(health__in=sorted(FAILING)), enabled=True)


class NamedBucket(models.Model):
    """A bucket that an administrator entered, because ListBuckets is not allowed or shows too much."""

    store = models.ForeignKey(Store, on_delete=models.CASCADE, related_name="named_buckets")
    name = models.CharField(max_length=255)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["store", "name"], name="one_row_per_named_bucket")]

    def __str__(self) -> str:
        return self.name
