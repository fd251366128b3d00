"""`manage.py check_store`: find out by trying how a store behaves, and have that overrule its provider's profile."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.shared.messages import error_text, store_error_text
from uploads.models import Store, StoreCheck
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.probing.results import CheckResult, Group, Verdict
from uploads.services.stores.checks import request_check, reset_found, run_store_check

LOOK_SECONDS = 0.5

CONSENT = (
    "Some 20 uploads are begun in the bucket {bucket} of {store}, and small objects made, all under a scratch prefix "
    "(.partway-check-...), and all removed again. Go on? [y/N] "
)


class Command(BaseCommand):
    help = (
        "Check how a store behaves, by about 80 small requests in one bucket: each permission, listing, parts, "
        "completion, digests, odd keys. What it makes there it removes. What it finds overrules the provider's profile "
        "until --reset. Exit code 1 where something failed or is not allowed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="of the store")
        parser.add_argument("--bucket", help="the bucket to try it in")
        parser.add_argument("--yes", action="store_true", help="do not ask before writing into the bucket")
        parser.add_argument("--reset", action="store_true", help="only forget what was found: the profile holds again")

    def handle(self, *_: Any, name: str, bucket: str | None, yes: bool, reset: bool, **__: Any) -> None:
        store = Store.objects.filter(name=name).first()
        if store is None:
            raise CommandError(f"There is no store {name!r}.")
        if reset:
            forgotten = reset_found(None, store)
            self.stdout.write(f"Forgotten: {_flags(forgotten)}." if forgotten else "Nothing overruled the profile.")
            return
        if not bucket:
            raise CommandError("--bucket is needed: name one in which something may be written.")
        if not yes:
            self._ask(store, bucket)
        check = self._checked(store, bucket)
        self._report(check)
        verdicts = {result["verdict"] for result in check.results}
        if check.error or check.leftovers or verdicts & {Verdict.FAILED, Verdict.DENIED}:
            raise SystemExit(1)

    def _ask(self, store: Store, bucket: str) -> None:
        if not sys.stdin.isatty():
            raise CommandError("Give --yes to agree that uploads and small objects are written, and removed again.")
        if input(CONSENT.format(bucket=bucket, store=store.name)).strip().lower() not in {"y", "yes"}:
            raise CommandError("Nothing was written.")

    def _checked(self, store: Store, bucket: str) -> StoreCheck:
        """Done here; where a worker is at it already, that one's outcome is waited for."""
        try:
            check = request_check(None, store, bucket, here=True)
        except ObjectStoreError as error:
            raise CommandError(store_error_text(error)) from error
        with _quiet():
            run_store_check(check.pk)
        check.refresh_from_db()
        if check.is_active:
            self.stdout.write("This bucket is being checked already; waiting for that.")
        while check.is_active:
            time.sleep(LOOK_SECONDS)
            check.refresh_from_db()
        return check

    def _report(self, check: StoreCheck) -> None:
        results = [CheckResult.from_json(fields) for fields in check.results]
        for group in Group:
            self.stdout.write(f"\n{group.value.capitalize()}")
            for result in (each for each in results if each.group is group):
                self._line(result)
        counts = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
        self.stdout.write(f"\n{', '.join(f'{number} {verdict}' for verdict, number in counts.items() if number)}.")
        if check.overrides:
            self.stdout.write(f"Overrules the profile of {check.provider}: {_flags(check.overrides)}.")
        for left in check.leftovers:
            self.stdout.write(f"Left in the bucket: {left['kind']} {left['key']} {left['id']}: {left['why']}")
        if check.error:
            self.stdout.write(f"{check.error.code}: {error_text(check.error)}")

    def _line(self, result: CheckResult) -> None:
        self.stdout.write(f"  {result.verdict.upper():9} {result.title}: {result.said}")
        for more in _details(result):
            self.stdout.write(f"            {more}")


@contextmanager
def _quiet() -> Iterator[None]:
    """What stores refuse is what is asked for here; the report says it."""
    log = logging.getLogger("uploads.objectstore")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _details(result: CheckResult) -> Iterable[str]:
    if result.advice:
        yield result.advice
    if result.code:
        yield f"{result.code}, request id {result.request_id}" if result.request_id else result.code


def _flags(found: dict[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in found.items())
