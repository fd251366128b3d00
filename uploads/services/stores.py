"""Adding and changing stores."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.models import NamedBucket, Store

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
    "enabled",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreValues:
    """What an administrator says of a store. An empty secret keeps the one there is, as does an empty session token
    unless it is to be cleared."""

    name: str
    endpoint_url: str
    region: str
    access_key: str
    secret_key: str = ""
    session_token: str = ""
    clear_session_token: bool = False
    provider: str = "generic"
    addressing: str = "path"
    signature: str = "sigv4"
    payload_signing: str = "auto"
    ca_bundle: str = ""
    enabled: bool = True
    buckets: tuple[str, ...] = ()


@transaction.atomic
def add_store(actor: User | None, values: StoreValues) -> Store:
    """Raises django.core.exceptions.ValidationError; nothing is stored then."""
    store = Store()
    _fill(store, values)
    audit.record_store(actor, "added", store, endpoint_url=store.endpoint_url)
    return store


@transaction.atomic
def change_store(actor: User | None, store: Store, values: StoreValues) -> Store:
    """Raises django.core.exceptions.ValidationError; nothing is changed then."""
    before = {name: getattr(store, name) for name in PLAIN_FIELDS}
    _fill(store, values)
    changed = sorted(name for name in PLAIN_FIELDS if getattr(store, name) != before[name])
    secrets = [name for name in ("secret_key", "session_token") if getattr(values, name)]
    audit.record_store(actor, "changed", store, fields=changed + secrets)
    return store


def _fill(store: Store, values: StoreValues) -> None:
    for name in PLAIN_FIELDS:
        setattr(store, name, getattr(values, name))
    store.secret_key = values.secret_key or store.secret_key
    store.session_token = "" if values.clear_session_token else values.session_token or store.session_token
    store.full_clean()
    store.save()
    store.named_buckets.exclude(name__in=values.buckets).delete()
    for bucket in values.buckets:
        NamedBucket.objects.get_or_create(store=store, name=bucket)
