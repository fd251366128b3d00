"""`manage.py add_store`: add a store, or change one, from a script."""

from __future__ import annotations

import getpass
import os
import sys
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from dashboard.shared.messages.validation import by_field
from uploads.models import Store
from uploads.models.store import ADDRESSINGS, CHECKSUMS, PAYLOAD_SIGNINGS, SIGNATURES
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores.settings import StoreValues, add_store, change_store, has_moved, validate_endpoint

KEPT = (
    "endpoint_url",
    "region",
    "access_key",
    "provider",
    "addressing",
    "signature",
    "payload_signing",
    "checksum",
    "ca_bundle",
)


class Command(BaseCommand):
    help = (
        "Add a store, or change one with --update. The secret key is read from STORE_SECRET_KEY or a prompt, and a "
        "session token from STORE_SESSION_TOKEN. Neither can be passed on the command line, which others can see."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name in URLs: lower-case letters, digits, hyphens")
        parser.add_argument(
            "--endpoint-url",
            help="such as https://minio.example.org:9000; the default is the provider's, if the region determines it",
        )
        parser.add_argument("--region", help="the default is the provider's")
        parser.add_argument("--access-key")
        parser.add_argument("--provider", choices=sorted(PROVIDERS))
        parser.add_argument("--addressing", choices=ADDRESSINGS, help="the default is the provider's")
        parser.add_argument("--signature", choices=SIGNATURES, help="the default is the provider's")
        parser.add_argument("--payload-signing", choices=PAYLOAD_SIGNINGS)
        parser.add_argument(
            "--checksum",
            choices=CHECKSUMS,
            help="what the store verifies files by; crc64nvme with --update, after check_store has proved it",
        )
        parser.add_argument(
            "--ca-bundle", help="a PEM file below STORE_CA_DIR with the certificate authority of the store"
        )
        parser.add_argument("--bucket", action="append", help="a bucket to show if ListBuckets is not allowed")
        parser.add_argument("--update", action="store_true", help="change the store; omitted values stay as they are")

    def handle(self, *_args: Any, **options: Any) -> None:
        name = options["name"]
        store = Store.objects.filter(name=name).first()
        if store and not options["update"]:
            raise CommandError(_("The store “%(name)s” already exists. Use --update to change it.") % {"name": name})
        if not store and options["update"]:
            raise CommandError(_("There is no store “%(name)s” to change.") % {"name": name})
        try:
            text = _change(store, options) if store else _add(options)
        except ValidationError as error:
            raise CommandError("\n".join(_lines(error))) from error
        self.stdout.write(text)


def _add(options: dict[str, Any]) -> str:
    store = add_store(None, _new_values(options))
    return _("Added store %(name)s at %(endpoint_url)s.") % _names(store)


def _change(store: Store, options: dict[str, Any]) -> str:
    change = change_store(None, store, _changed_values(store, options))
    if change.removed_overrides:
        text = _(
            "Changed store %(name)s at %(endpoint_url)s. The overrides of its profile were removed: check it again."
        )
    else:
        text = _("Changed store %(name)s at %(endpoint_url)s.")
    return text % _names(store)


def _names(store: Store) -> dict[str, str]:
    return {"name": store.name, "endpoint_url": store.endpoint_url}


def _new_values(options: dict[str, Any]) -> StoreValues:
    if not options["access_key"]:
        raise CommandError(_("--access-key is required."))
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
        checksum=options["checksum"] or "md5",
        ca_bundle=options["ca_bundle"] or "",
        buckets=tuple(options["bucket"] or ()),
    )


def _changed_values(store: Store, options: dict[str, Any]) -> StoreValues:
    """The given values, and the stored ones for the rest.

    A new access key or a new address needs the secret again, and so does one that cannot be decrypted.
    """
    new_key = options["access_key"] not in (None, store.access_key) or not store.has_readable_secrets
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
        secret = getpass.getpass(_("Secret key: "))
    if not secret:
        raise CommandError(_("Set STORE_SECRET_KEY to the secret key, or run this command in a terminal."))
    return secret


def _lines(error: ValidationError) -> list[str]:
    return [_line(name, " ".join(errors.messages)) for name, errors in by_field(error).items()]


def _line(field: str, text: str) -> str:
    return text if field == NON_FIELD_ERRORS else f"{_option_of(field)}: {text}"


def _option_of(field: str) -> str:
    """The option or variable that sets a field."""
    if field in ("secret_key", "session_token"):
        return f"STORE_{field.upper()}"
    return field if field == "name" else f"--{field.replace('_', '-')}"
