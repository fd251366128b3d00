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
from uploads.services.stores import StoreValues, add_store, change_store

KEPT = ("endpoint_url", "region", "access_key", "provider", "addressing", "signature", "payload_signing", "ca_bundle")


class Command(BaseCommand):
    help = (
        "Add a store, or with --update change one. The secret key comes from STORE_SECRET_KEY, else from a prompt; a "
        "session token from STORE_SESSION_TOKEN. Neither is ever taken from the command line, which others can see."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="what URLs and people call the store: lower-case letters, digits, hyphens")
        parser.add_argument("--endpoint-url", help="such as https://s3.eu-west-1.amazonaws.com")
        parser.add_argument("--region", help="empty: the provider's usual one")
        parser.add_argument("--access-key")
        parser.add_argument("--provider", choices=sorted(PROVIDERS))
        parser.add_argument("--addressing", choices=["path", "virtual"])
        parser.add_argument("--signature", choices=["sigv4", "oss4"])
        parser.add_argument("--payload-signing", choices=["auto", "signed", "unsigned"])
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
            values = _changed_values(store, options) if store else _new_values(options)
            changed = change_store(None, store, values) if store else add_store(None, values)
        except ValidationError as error:
            raise CommandError("\n".join(_lines(error))) from error
        self.stdout.write(f"{'Changed' if store else 'Added'} store {changed.name} at {changed.endpoint_url}.")


def _new_values(options: dict[str, Any]) -> StoreValues:
    for required in ("endpoint_url", "access_key"):
        if not options[required]:
            raise CommandError(f"--{required.replace('_', '-')} is needed.")
    provider = PROVIDERS[options["provider"] or "generic"]
    return StoreValues(
        name=options["name"],
        endpoint_url=options["endpoint_url"],
        region=options["region"] or provider.region_default,
        access_key=options["access_key"],
        secret_key=_secret_key(),
        session_token=os.environ.get("STORE_SESSION_TOKEN", ""),
        provider=provider.name,
        addressing=options["addressing"] or provider.addressing,
        signature=options["signature"] or provider.signature,
        payload_signing=options["payload_signing"] or "auto",
        ca_bundle=options["ca_bundle"] or "",
        buckets=tuple(options["bucket"] or ()),
    )


def _changed_values(store: Store, options: dict[str, Any]) -> StoreValues:
    """What was given, and for the rest what there is. A new access key needs its new secret."""
    new_key = options["access_key"] not in (None, store.access_key)
    buckets = options["bucket"]
    return StoreValues(
        name=store.name,
        enabled=store.enabled,
        secret_key=_secret_key() if new_key else os.environ.get("STORE_SECRET_KEY", ""),
        session_token=os.environ.get("STORE_SESSION_TOKEN", ""),
        clear_session_token=new_key and not os.environ.get("STORE_SESSION_TOKEN"),
        buckets=tuple(buckets if buckets is not None else store.named_buckets.values_list("name", flat=True)),
        **{name: getattr(store, name) if options[name] is None else options[name] for name in KEPT},
    )


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
    return [f"{name}: {' '.join(messages)}" for name, messages in error.message_dict.items()]
