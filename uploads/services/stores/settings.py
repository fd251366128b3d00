"""Adding, changing, enabling and disabling stores."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from uploads import audit
from uploads.domain.states import ACTIVE_ITEM_STATES, LIVE_PHASES
from uploads.models import AuditEntry, NamedBucket, OperationItem, Store, Transfer
from uploads.models.store import SIGNATURES, validate_endpoint_url
from uploads.objectstore.endpoints import endpoint_of, is_elsewhere, is_made_from_region, origin, provider_at
from uploads.objectstore.providers import PROVIDERS, Provider

PLAIN_FIELDS = (
    "name",
    "endpoint_url",
    "region",
    "provider",
    "addressing",
    "signature",
    "payload_signing",
    "access_key",
    "ca_bundle",
)
SECRET_FIELDS = ("secret_key", "session_token")

CHECKED_FIELDS = frozenset({"endpoint_url", "provider", "signature"})
"""What a store check found is true of these only."""

MOVED = (
    "The endpoint is another address than before: type this again. A stored secret is never used at an address that "
    "it was not entered for."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreValues:
    """What an administrator says of a store.

    An empty region, addressing or signature is the provider's; so is an empty endpoint URL, where a region makes it. An
    empty secret keeps the one there is, as does an empty session token unless it is to be cleared. `enabled` is for a
    store that is added; afterwards see `set_enabled`.
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
    ca_bundle: str = ""
    enabled: bool = True
    buckets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreChange:
    """What a change did: names of fields, and whether what a store check had found was forgotten by it."""

    store: Store
    fields: tuple[str, ...]
    forgot_found: bool


class ChangedMeanwhile(Exception):
    """Somebody changed the store after it was read to be changed. `at` is when; `by` is '' where that is not known."""

    def __init__(self, by: str, at: datetime, fields: tuple[str, ...]) -> None:
        super().__init__(f"The store was changed meanwhile by {by or 'somebody'}.")
        self.by = by
        self.at = at
        self.fields = fields


@dataclass(frozen=True, slots=True)
class UnderWay:
    """What goes on in a store: numbers of transfers that have not ended, and of uploads being aborted or completed."""

    transfers: int
    items: int


@transaction.atomic
def add_store(actor: User | None, values: StoreValues) -> Store:
    """Raises django.core.exceptions.ValidationError; nothing is stored then."""
    store = drafted(None, values)
    store.enabled = values.enabled
    _save(store, values)
    audit.record_store(actor, "added", store, endpoint_url=store.endpoint_url)
    return store


@transaction.atomic
def change_store(actor: User | None, store: Store, values: StoreValues, *, seen: datetime | None = None) -> StoreChange:
    """Change a store, and forget what a check found where that no longer speaks of it.

    Raises django.core.exceptions.ValidationError; and ChangedMeanwhile where the store is no longer the one whose
    `updated_at` was `seen`. Nothing is changed then.
    """
    before = Store.objects.select_for_update().get(pk=store.pk)
    if seen is not None and seen != before.updated_at:
        raise _changed_meanwhile(before)
    after = drafted(before, values)
    changed = {name for name in (*PLAIN_FIELDS, *SECRET_FIELDS) if getattr(after, name) != getattr(before, name)}
    if set(before.named_buckets.values_list("name", flat=True)) != set(values.buckets):
        changed.add("buckets")
    forgot_found = bool(before.overrides) and bool(changed & CHECKED_FIELDS)
    if forgot_found:
        after.overrides = {}
    _save(after, values)
    store.refresh_from_db()
    detail = {"forgot": "what a store check found"} if forgot_found else {}
    audit.record_store(actor, "changed", store, fields=sorted(changed), **detail)
    return StoreChange(store, tuple(sorted(changed)), forgot_found)


@transaction.atomic
def set_enabled(actor: User | None, store: Store, *, enabled: bool) -> bool:
    """Whether operators see and use the store. What is under way in it goes on to its end. False where it was so."""
    if not Store.objects.filter(pk=store.pk, enabled=not enabled).update(enabled=enabled):
        return False
    store.enabled = enabled
    audit.record_store(actor, "enabled" if enabled else "disabled", store)
    return True


def under_way(store: Store) -> UnderWay:
    items = OperationItem.objects.filter(operation__store=store, state__in=ACTIVE_ITEM_STATES)
    return UnderWay(Transfer.objects.filter(store=store, phase__in=LIVE_PHASES).count(), items.count())


def with_defaults(values: StoreValues) -> StoreValues:
    """The values with the provider's own where they were left open. Raises ValidationError for an endpoint that only
    the operator can know."""
    provider = PROVIDERS.get(values.provider)
    if provider is None:
        return values
    region = values.region.removeprefix(provider.region_prefix) or provider.region_default
    return replace(
        values,
        region=region,
        endpoint_url=values.endpoint_url or _made_endpoint(provider, region),
        addressing=values.addressing or provider.addressing,
        signature=values.signature or provider.signature,
    )


def drafted(store: Store | None, values: StoreValues) -> Store:
    """The store, or a new one, as it would be with these values; not saved, and what was given stays as it is.

    Raises django.core.exceptions.ValidationError where it could not be saved.
    """
    values = with_defaults(values)
    validate_endpoint(values.endpoint_url)
    if store is not None:
        _check_secrets(store, values)
    draft = copy.copy(store) if store is not None else Store()
    for name in PLAIN_FIELDS:
        setattr(draft, name, getattr(values, name))
    draft.secret_key = values.secret_key or draft.secret_key
    draft.session_token = "" if values.clear_session_token else values.session_token or draft.session_token
    draft.full_clean()
    _check_signature(values)
    return draft


def validate_endpoint(endpoint_url: str) -> None:
    """`validate_endpoint_url`, told by the field it is about."""
    try:
        validate_endpoint_url(endpoint_url)
    except ValidationError as error:
        raise ValidationError({"endpoint_url": error.messages}) from error


def has_moved(store: Store, endpoint_url: str) -> bool:
    """Whether requests to this endpoint go to somebody else than those of the store: another scheme, host or port."""
    return origin(endpoint_url) != origin(store.endpoint_url)


def _made_endpoint(provider: Provider, region: str) -> str:
    made = endpoint_of(provider, region)
    if made:
        return made
    if is_elsewhere(provider, region):
        message = f"Needed: {region} is not at {provider.endpoint_hint}, but at an endpoint of its own."
        raise ValidationError({"endpoint_url": message})
    if is_made_from_region(provider):
        raise ValidationError({"region": f"No host name has {region!r} in it, so no endpoint can be made from it."})
    message = f"Needed: where a store of this provider is, only you know. It is like {provider.endpoint_hint}."
    raise ValidationError({"endpoint_url": message})


def _check_secrets(store: Store, values: StoreValues) -> None:
    """A stored secret goes to no address that it was not entered for: else it could be sent to anybody's."""
    if not has_moved(store, values.endpoint_url):
        return
    wrong = {}
    if not values.secret_key:
        wrong["secret_key"] = MOVED
    if store.session_token and not (values.session_token or values.clear_session_token):
        wrong["session_token"] = MOVED
    if wrong:
        raise ValidationError(wrong)


def _check_signature(values: StoreValues) -> None:
    """A signature that the store surely does not know, by its provider or by the provider whose host it is."""
    provider, words = PROVIDERS[values.provider], dict(SIGNATURES)
    if values.signature != provider.signature and not provider.any_signature:
        message = f"{provider.label} takes {words[provider.signature]}."
        others = [each.label for each in PROVIDERS.values() if each.signature == values.signature != "sigv4"]
        raise ValidationError({"signature": " ".join([message, *(f"For this one choose {name}." for name in others)])})
    owner = provider_at(values.endpoint_url)
    # The other way round nothing is sure: OSS's own endpoints understand S3's signature too.
    if owner is not None and values.signature == "oss4" and owner.signature != "oss4":
        message = f"This is an endpoint of {owner.label}, which does not know {words['oss4']}."
        mine = endpoint_of(provider, values.region)
        raise ValidationError({"endpoint_url": message + (f" {provider.label} is at {mine}." if mine else "")})


def _changed_meanwhile(store: Store) -> ChangedMeanwhile:
    changes = AuditEntry.objects.filter(store=store.name, action__startswith="store.")
    # Its row is written just after the change; an older one is of another.
    last = changes.filter(at__gte=store.updated_at).exclude(action__in=("store.enabled", "store.disabled")).first()
    fields = last.detail.get("fields", ()) if last else ()
    return ChangedMeanwhile(last.actor_name if last else "", store.updated_at, tuple(fields))


def _save(store: Store, values: StoreValues) -> None:
    store.save()
    store.named_buckets.exclude(name__in=values.buckets).delete()
    for bucket in values.buckets:
        NamedBucket.objects.get_or_create(store=store, name=bucket)
