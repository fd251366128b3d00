"""Adding, changing, enabling and disabling stores."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from uploads import audit
from uploads.domain.states import ACTIVE_ITEM_STATES, LIVE_PHASES
from uploads.models import AuditEntry, NamedBucket, OperationItem, Store, Transfer
from uploads.models.fields import is_readable
from uploads.models.store import validate_endpoint_url
from uploads.models.store_limits import address_rules, ca_bundle_path
from uploads.models.validation import invalid
from uploads.objectstore.addresses import AddressRefusedError
from uploads.objectstore.endpoints import endpoint_of, is_elsewhere, is_made_from_region, origin, provider_at
from uploads.objectstore.providers import PROVIDERS, Provider
from uploads.problems import Code, Problem, ProblemError
from uploads.services.stores.health import NEVER_TRIED

PLAIN_FIELDS = (
    "name",
    "endpoint_url",
    "region",
    "provider",
    "addressing",
    "signature",
    "payload_signing",
    "checksum",
    "access_key",
    "ca_bundle",
)
SECRET_FIELDS = ("secret_key", "session_token")

CHECKED_FIELDS = frozenset({"endpoint_url", "provider", "signature"})
"""The results of store checks only apply to a store with the same values of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreValues:
    """The values of a store, as an administrator enters them.

    An empty region, addressing or signature means the provider's; so does an empty endpoint URL, if the region
    determines it. An empty secret keeps the stored one, as does an empty session token unless it is to be cleared.
    `enabled` is for a new store; `set_enabled` changes it later.
    """

    name: str
    endpoint_url: str = ""
    region: str = ""
    access_key: str
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    clear_session_token: bool = False
    provider: str = "generic"
    addressing: str = ""
    signature: str = ""
    payload_signing: str = "unsigned"
    checksum: str = "md5"
    ca_bundle: str = ""
    enabled: bool = True
    buckets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreChange:
    """The result of a change: the names of the changed fields, and whether it removed the overrides of the profile."""

    store: Store
    fields: tuple[str, ...]
    removed_overrides: bool


class EditConflict(ProblemError):
    """Someone changed the store after it was read. `at` is when; `by` is empty if that is not known."""

    def __init__(self, by: str, at: datetime, fields: tuple[str, ...]) -> None:
        super().__init__(Problem(Code.STORE_CHANGED))
        self.by = by
        self.at = at
        self.fields = fields


@dataclass(frozen=True, slots=True)
class ActiveWork:
    """The number of transfers that have not ended, and of uploads that are being aborted or completed."""

    transfers: int
    items: int


@transaction.atomic
def add_store(actor: User | None, values: StoreValues) -> Store:
    """Raises django.core.exceptions.ValidationError, and stores nothing then."""
    store = draft(None, values)
    _check_checksum(None, store)
    store.enabled = values.enabled
    _save(store, values)
    audit.record_store(actor, "added", store, after=_recorded(store, PLAIN_FIELDS, values.buckets))
    return store


@transaction.atomic
def change_store(actor: User | None, store: Store, values: StoreValues, *, seen: datetime | None = None) -> StoreChange:
    """Change a store, and remove the overrides of its profile if they may no longer apply.

    Nothing is known of its health afterwards, because other settings may help or harm.

    Raises django.core.exceptions.ValidationError, and EditConflict if the store's `updated_at` is no longer `seen`.
    Nothing is changed then.
    """
    before = Store.objects.select_for_update().get(pk=store.pk)
    if seen is not None and seen != before.updated_at:
        raise _edit_conflict(before)
    after = draft(before, values)
    _check_checksum(before, after)
    changed = {name for name in (*PLAIN_FIELDS, *SECRET_FIELDS) if _differs(before, after, name)}
    buckets_before = set(before.named_buckets.values_list("name", flat=True))
    if buckets_before != set(values.buckets):
        changed.add("buckets")
    removes_overrides = bool(before.overrides) and bool(changed & CHECKED_FIELDS)
    detail: dict[str, Any] = {"forgot": sorted(before.overrides)} if removes_overrides else {}
    if removes_overrides:
        after.overrides = {}
    if changed & CHECKED_FIELDS:
        after.etag_was_md5 = False
        after.verifies_crc64 = False
    if changed:
        # With other settings the store may answer: it is tried soon, and pages wait for it again.
        for name, value in NEVER_TRIED.items():
            setattr(after, name, value)
    _save(after, values)
    store.refresh_from_db()
    audit.record_store(
        actor,
        "changed",
        store,
        before=_recorded(before, changed, buckets_before),
        after=_recorded(store, changed, values.buckets),
        fields=sorted(changed),
        **detail,
    )
    return StoreChange(store, tuple(sorted(changed)), removes_overrides)


@transaction.atomic
def set_enabled(actor: User | None, store: Store, *, enabled: bool) -> bool:
    """Set whether operators see and use the store. Active work continues, but sweeps pause. False without a change."""
    if not Store.objects.filter(pk=store.pk, enabled=not enabled).update(enabled=enabled, **NEVER_TRIED):
        return False
    store.enabled = enabled
    before, after = {"enabled": not enabled}, {"enabled": enabled}
    audit.record_store(actor, "enabled" if enabled else "disabled", store, before=before, after=after)
    return True


def _recorded(store: Store, fields: Collection[str], buckets: Iterable[str]) -> dict[str, Any]:
    """The values of these fields for the audit log, which has no secrets."""
    values = {name: getattr(store, name) for name in PLAIN_FIELDS if name in fields and name != "name"}
    return values | ({"buckets": sorted(buckets)} if "buckets" in fields else {})


def active_work(store: Store) -> ActiveWork:
    items = OperationItem.objects.filter(operation__store=store, state__in=ACTIVE_ITEM_STATES)
    return ActiveWork(Transfer.objects.filter(store=store, phase__in=LIVE_PHASES).count(), items.count())


def with_defaults(values: StoreValues) -> StoreValues:
    """The values, with the provider's in place of empty ones. Raises ValidationError if no endpoint follows."""
    provider = PROVIDERS.get(values.provider)
    if provider is None:
        return values
    region = values.region.removeprefix(provider.region_prefix) or provider.region_default
    return replace(
        values,
        region=region,
        endpoint_url=values.endpoint_url or _endpoint_from_region(provider, region),
        addressing=values.addressing or provider.addressing,
        signature=values.signature or provider.signature,
    )


def draft(store: Store | None, values: StoreValues) -> Store:
    """The store, or a new one, as it would be with these values. Saves nothing, and leaves `store` as it is.

    Raises django.core.exceptions.ValidationError if it could not be saved.
    """
    values = with_defaults(values)
    validate_endpoint(values.endpoint_url)
    if store is not None:
        _check_secrets(store, values)
    drafted = copy.copy(store) if store is not None else Store()
    for name in PLAIN_FIELDS:
        setattr(drafted, name, getattr(values, name))
    drafted.secret_key = values.secret_key or drafted.secret_key
    drafted.session_token = "" if values.clear_session_token else values.session_token or drafted.session_token
    drafted.full_clean()
    _check_address(values.endpoint_url)
    _check_ca_bundle(values.ca_bundle)
    _check_signature(values)
    return drafted


def validate_endpoint(endpoint_url: str) -> None:
    """`validate_endpoint_url`, with the error under the name of the field."""
    try:
        validate_endpoint_url(endpoint_url)
    except ValidationError as error:
        raise ValidationError({"endpoint_url": error}) from error


def has_moved(store: Store, endpoint_url: str) -> bool:
    """Whether requests to this endpoint go to another scheme, host or port than the store's."""
    return origin(endpoint_url) != origin(store.endpoint_url)


def _endpoint_from_region(provider: Provider, region: str) -> str:
    endpoint = endpoint_of(provider, region)
    if endpoint:
        return endpoint
    if is_elsewhere(provider, region):
        problem = Problem(Code.ENDPOINT_NEEDED_FOR_REGION, region=region, pattern=provider.endpoint_hint)
        raise ValidationError({"endpoint_url": invalid(problem)})
    if is_made_from_region(provider):
        raise ValidationError({"region": invalid(Problem(Code.REGION_NOT_IN_HOST_NAMES, region=region))})
    problem = Problem(Code.ENDPOINT_NEEDED, example=provider.endpoint_hint)
    raise ValidationError({"endpoint_url": invalid(problem)})


def _differs(before: Store, after: Store, name: str) -> bool:
    old, new = getattr(before, name), getattr(after, name)
    return not is_readable(old) or bool(old != new)


def _check_secrets(store: Store, values: StoreValues) -> None:
    """Require the secrets that cannot be kept.

    A stored secret is never sent to another address: otherwise it could be sent to any address. One that cannot be
    decrypted is entered again.
    """
    kept = []
    if not values.secret_key:
        kept.append("secret_key")
    if store.session_token and not (values.session_token or values.clear_session_token):
        kept.append("session_token")
    if has_moved(store, values.endpoint_url):
        problem, missing = Problem(Code.SECRET_NEEDED_AT_NEW_ENDPOINT), kept
    else:
        problem = Problem(Code.SECRET_NEEDED_AGAIN)
        missing = [name for name in kept if not is_readable(getattr(store, name))]
    if missing:
        raise ValidationError({name: invalid(problem) for name in missing})


def _check_address(endpoint_url: str) -> None:
    """Refuse an address that no store may have. A name is checked at every connection, when it is resolved."""
    _scheme, host, port = origin(endpoint_url)
    try:
        address_rules().check_literal(host, port or 0)
    except AddressRefusedError as error:
        raise ValidationError({"endpoint_url": invalid(error.problem)}) from error


def _check_ca_bundle(path: str) -> None:
    try:
        ca_bundle_path(path)
    except ProblemError as error:
        raise ValidationError({"ca_bundle": invalid(error.problem)}) from error


def _check_signature(values: StoreValues) -> None:
    """Refuse a signature that the chosen provider, or the provider of the endpoint's host, does not support."""
    provider = PROVIDERS[values.provider]
    if values.signature != provider.signature and not provider.any_signature:
        raise ValidationError({"signature": invalid(_unsupported(provider, values.signature))})
    owner = provider_at(values.endpoint_url)
    # The reverse is not certain: OSS's own endpoints also understand the signature of S3.
    if owner is not None and values.signature == "oss4" and owner.signature != "oss4":
        problem = _unsupported_at_endpoint(owner, provider, values)
        raise ValidationError({"endpoint_url": invalid(problem)})


def _check_checksum(before: Store | None, after: Store) -> None:
    """Refuse a checksum other than Content-MD5, unless a store check has proved that this very store verifies it."""
    if after.checksum == "md5":
        return
    same = before is not None and not any(_differs(before, after, name) for name in CHECKED_FIELDS)
    provider = PROVIDERS[after.provider]
    if provider.crc64 != "nvme" or after.signature != "sigv4":
        problem = Problem(Code.CHECKSUM_NOT_OF_PROVIDER, provider=provider.label)
    elif before is None:
        problem = Problem(Code.CHECKSUM_OF_NEW_STORE)
    elif not same:
        problem = Problem(Code.CHECKSUM_OF_OTHER_STORE)
    elif before.checksum == after.checksum or before.verifies_crc64:
        return
    else:
        problem = Problem(Code.CHECKSUM_NOT_PROVED)
    raise ValidationError({"checksum": invalid(problem)})


def _unsupported(provider: Provider, signature: str) -> Problem:
    others = [each.label for each in PROVIDERS.values() if each.signature == signature != "sigv4"]
    if not others:
        return Problem(Code.SIGNATURE_NOT_SUPPORTED, provider=provider.label, signature=provider.signature)
    return Problem(
        Code.SIGNATURE_OF_OTHER_PROVIDER, provider=provider.label, signature=provider.signature, others=others
    )


def _unsupported_at_endpoint(owner: Provider, provider: Provider, values: StoreValues) -> Problem:
    endpoint = endpoint_of(provider, values.region)
    if not endpoint:
        return Problem(Code.SIGNATURE_NOT_SUPPORTED_AT_ENDPOINT, owner=owner.label, signature=values.signature)
    return Problem(
        Code.ENDPOINT_OF_OTHER_PROVIDER,
        owner=owner.label,
        signature=values.signature,
        provider=provider.label,
        endpoint_url=endpoint,
    )


def _edit_conflict(store: Store) -> EditConflict:
    changes = AuditEntry.objects.filter(store=store.name, action__startswith="store.")
    # The audit entry is written right after the change, so an older entry belongs to another change.
    last = changes.filter(at__gte=store.updated_at).exclude(action__in=("store.enabled", "store.disabled")).first()
    fields = last.detail.get("fields", ()) if last else ()
    return EditConflict(last.actor_name if last else "", store.updated_at, tuple(fields))


def _save(store: Store, values: StoreValues) -> None:
    store.save()
    store.named_buckets.exclude(name__in=values.buckets).delete()
    for bucket in values.buckets:
        NamedBucket.objects.get_or_create(store=store, name=bucket)
