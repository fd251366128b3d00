"""`manage.py add_store`: add a store, or change one, from a script."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from uploads.models import Store
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores.settings import StoreValues, add_store, change_store, has_moved, validate_endpoint

KEPT = ("endpoint_url", "region", "access_key", "provider", "addressing", "signature", "payload_signing", "ca_bundle")


class Command(BaseCommand):
    help = (
        "Add a store, or with --update change one. The secret key comes from STORE_SECRET_KEY, else from a prompt; a "
        "session token from STORE_SESSION_TOKEN. Neither is ever taken from the command line, which others can see."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what URLs and people call the store: lower-case letters, digits, hyphens")
        parser.add_argument(
            "--endpoint-url",
            help="such as https://minio.example.org:9000; left out: the provider's own, where a region makes it",
        )
        parser.add_argument("--region", help="empty: the provider's usual one")
        parser.add_argument("--access-key")
        parser.add_argument("--provider", choices=sorted(PROVIDERS))
        parser.add_argument("--addressing", choices=["path", "virtual"], help="left out: the provider's")
        parser.add_argument("--signature", choices=["sigv4", "oss4"], help="left out: the provider's")
        parser.add_argument("--payload-signing", choices=["signed", "unsigned"])
        parser.add_argument("--ca-bundle", help="a PEM file with the certificate authority of the store")
        parser.add_argument("--bucket", action="append", help="a bucket to show though ListBuckets is not allowed")
        parser.add_argument(
            "--update", action="store_true", help="change the store of this name; what is left out stays"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        name = options["name"]
        store = Store.objects.filter(name=name).first()
        if store and not options["update"]:
            raise CommandError(f"There is a store {name!r} already. Use --update to change it.")
        if not store and options["update"]:
            raise CommandError(f"There is no store {name!r} to change.")
        try:
            said = _change(store, options) if store else _add(options)
        except ValidationError as error:
            raise CommandError("\n".join(_lines(error))) from error
        self.stdout.write(said)


def _add(options: dict[str, Any]) -> str:
    store = add_store(None, _new_values(options))
    return f"Added store {store.name} at {store.endpoint_url}."


def _change(store: Store, options: dict[str, Any]) -> str:
    change = change_store(None, store, _changed_values(store, options))
    said = f"Changed store {store.name} at {store.endpoint_url}."
    return said + (" What a store check had found was forgotten: check it again." if change.forgot_found else "")


def _new_values(options: dict[str, Any]) -> StoreValues:
    if not options["access_key"]:
        raise CommandError("--access-key is needed.")
    return StoreValues(
        name=options["name"],
        endpoint_url=options["endpoint_url"] or "",
        region=options["region"] or "",
        access_key=options["access_key"],
        secret_key=_secret_key(),
        session_token=os.environ.get("STORE_SESSION_TOKEN", ""),
        provider=options["provider"] or "generic",
        addressing=options["addressing"] or "",
        signature=options["signature"] or "",
        payload_signing=options["payload_signing"] or "unsigned",
        ca_bundle=options["ca_bundle"] or "",
        buckets=tuple(options["bucket"] or ()),
    )


def _changed_values(store: Store, options: dict[str, Any]) -> StoreValues:
    """What was given, and for the rest what there is. A new access key needs its new secret, a new address the old."""
    new_key = options["access_key"] not in (None, store.access_key)
    moved = options["endpoint_url"] is not None and _is_elsewhere(store, options["endpoint_url"])
    buckets = options["bucket"]
    return StoreValues(
        name=store.name,
        secret_key=_secret_key() if new_key or moved else os.environ.get("STORE_SECRET_KEY", ""),
        session_token=os.environ.get("STORE_SESSION_TOKEN", ""),
        clear_session_token=(new_key or moved) and not os.environ.get("STORE_SESSION_TOKEN"),
        buckets=tuple(buckets if buckets is not None else store.named_buckets.values_list("name", flat=True)),
        **{name: getattr(store, name) if options[name] is None else options[name] for name in KEPT},
    )


def _is_elsewhere(store: Store, endpoint_url: str) -> bool:
    validate_endpoint(endpoint_url)
    return has_moved(store, endpoint_url)


def _secret_key() -> str:
    secret = os.environ.get("STORE_SECRET_KEY", "")
    if not secret and sys.stdin.isatty():
        secret = getpass.getpass("Secret key: ")
    if not secret:
        raise CommandError("Set STORE_SECRET_KEY to the secret key, or run this where it can be typed.")
    return secret


def _lines(error: ValidationError) -> list[str]:
    if not hasattr(error, "error_dict"):
        return list(error.messages)
    return [f"{_typed_as(name)}: {' '.join(messages)}" for name, messages in error.message_dict.items()]


def _typed_as(field: str) -> str:
    """Where the value of a field is given."""
    if field in ("secret_key", "session_token"):
        return f"STORE_{field.upper()}"
    return field if field == "name" else f"--{field.replace('_', '-')}"
