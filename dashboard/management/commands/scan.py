"""`manage.py scan`: request scans of stores, and say what they have found."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.translation import gettext as _

from dashboard.shared.formatting import bytes_text, duration_text
from dashboard.shared.messages import error_text, store_error_text
from dashboard.shared.messages.scans import WHY
from dashboard.shared.numbers import Count
from uploads.models import Scan, Store
from uploads.objectstore.errors import ObjectStoreError
from uploads.selectors.scan_results import Found, found_by, incomplete_buckets
from uploads.services.inventory.scans.request import request_scan

POLL_SECONDS = 1.0
REPORT_SECONDS = 15.0


class Command(BaseCommand):
    help = (
        "Request a scan of the uploads in progress of all enabled stores, of one store, or of one bucket or prefix. "
        "The workers of the queue partway.scan do it. With --wait, wait until the scans have ended, and print what "
        "they found. The exit code is 1 if something could not be checked."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--store", help="the name of the store; without it, all enabled stores")
        parser.add_argument("--bucket", help="only this bucket, which needs --store")
        parser.add_argument("--prefix", default="", help="only keys with this prefix, which needs --bucket")
        parser.add_argument("--wait", action="store_true", help="wait until the scans have ended")

    def handle(self, *__: Any, store: str | None, bucket: str | None, prefix: str, wait: bool, **___: Any) -> None:
        stores = _stores(store, bucket, prefix)
        places = [(bucket, prefix)] if bucket else []
        scans = [_requested(each, places) for each in stores]
        for scan in scans:
            self.stdout.write(_("%(store)s: scan %(id)s") % {"store": scan.store.name, "id": scan.pk})
        if not wait:
            return
        self._wait(scans)
        is_complete = [self._report(scan) for scan in scans]
        if not all(is_complete):
            raise SystemExit(1)

    def _wait(self, scans: list[Scan]) -> None:
        reported = time.monotonic()
        while any(scan.finished_at is None for scan in scans):
            time.sleep(POLL_SECONDS)
            for scan in scans:
                scan.refresh_from_db()
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                for scan in scans:
                    if scan.finished_at is None:
                        self._write_progress(found_by(scan), scan)

    def _write_progress(self, found: Found, scan: Scan) -> None:
        text = _("%(store)s: %(listed)s uploads listed, parts of %(read)s of %(total)s read, %(age)s")
        numbers = {"listed": Count(found.listed), "read": Count(found.read), "total": Count(found.to_check)}
        age = duration_text((timezone.now() - scan.created_at).total_seconds())
        self.stdout.write(text % {"store": scan.store.name, "age": age, **numbers})

    def _report(self, scan: Scan) -> bool:
        """Print what a scan found. Returns whether all of it could be checked."""
        found = found_by(scan)
        name = scan.store.name
        text = _("%(store)s: %(uploads)s uploads in progress in %(buckets)s buckets, %(listed)s listed by this scan")
        numbers = {"uploads": Count(found.uploads), "buckets": Count(found.buckets), "listed": Count(found.listed)}
        self.stdout.write(text % {"store": name, **numbers})
        text = _("%(store)s: %(bytes)s, known of %(known)s of %(uploads)s uploads")
        sizes = {"bytes": bytes_text(found.bytes), "known": Count(found.known), "uploads": Count(found.uploads)}
        self.stdout.write(text % {"store": name, **sizes})
        if scan.error is not None:
            self.stdout.write(f"{name}: {scan.error.code}: {error_text(scan.error)}")
        is_complete = scan.error is None
        for row in incomplete_buckets(scan):
            is_complete = False
            why = f"{row.error.code}: {error_text(row.error)}" if row.error else str(WHY["unjudged"])
            text = _("%(place)s: could not be checked (%(why)s)")
            self.stdout.write(text % {"place": f"{name}/{row.bucket.name}", "why": why})
            if row.refused:
                text = _("%(place)s: the parts of %(number)s uploads could not be read")
                self.stdout.write(text % {"place": f"{name}/{row.bucket.name}", "number": Count(row.refused)})
        return is_complete


def _stores(name: str | None, bucket: str | None, prefix: str) -> list[Store]:
    if bucket and not name:
        raise CommandError(_("--bucket needs --store."))
    if prefix and not bucket:
        raise CommandError(_("--prefix needs --bucket."))
    if name is None:
        stores = list(Store.objects.filter(enabled=True).order_by("name"))
        if not stores:
            raise CommandError(_("There is no enabled store to scan."))
        return stores
    store = Store.objects.filter(name=name).first()
    if store is None:
        raise CommandError(_("There is no store “%(name)s”.") % {"name": name})
    if not store.enabled:
        raise CommandError(_("%(store)s is disabled. Enable it to scan it.") % {"store": name})
    return [store]


def _requested(store: Store, places: list[tuple[str, str]]) -> Scan:
    try:
        return request_scan(None, store, "command", places)
    except ObjectStoreError as error:
        raise CommandError(store_error_text(error)) from error
