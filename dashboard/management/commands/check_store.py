"""`manage.py check_store`: find out how a store behaves, and let the results override its provider's profile."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.messages import error_text, store_error_text
from dashboard.shared.messages.check_results import leftover_text, result_advice, result_text, result_title
from dashboard.shared.messages.checks import GROUPS, VERDICTS
from uploads.models import Store, StoreCheck
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.probing.created import Leftover
from uploads.objectstore.probing.results import CheckResult, Group, Verdict, read_results
from uploads.services.stores.checks.overrides import reset_overrides
from uploads.services.stores.checks.request import request_check
from uploads.services.stores.checks.run import run_store_check

POLL_SECONDS = 0.5

CONSENT = gettext_lazy(
    "The check writes about 20 uploads and 12 objects of a few bytes to the bucket %(bucket)s of %(store)s, under a "
    "scratch prefix (.partway-check-…), and removes all of them again. Continue? [y/N] "
)


class Command(BaseCommand):
    help = (
        "Check how a store behaves, with about 130 small requests in one bucket: permissions, listing, parts, "
        "completion, digests and odd keys. The check removes what it creates. The results override the provider's "
        "profile until --reset. The exit code is 1 if something failed or is not allowed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name of the store")
        parser.add_argument("--bucket", help="the bucket to check in")
        parser.add_argument("--yes", action="store_true", help="do not ask before writing to the bucket")
        parser.add_argument("--reset", action="store_true", help="only remove the overrides of the profile")

    def handle(self, *__: Any, name: str, bucket: str | None, yes: bool, reset: bool, **___: Any) -> None:
        store = Store.objects.filter(name=name).first()
        if store is None:
            raise CommandError(_("There is no store “%(name)s”.") % {"name": name})
        if reset:
            self._reset(store)
            return
        if not bucket:
            raise CommandError(_("--bucket is required. Name a bucket that the check may write to."))
        if not yes:
            _ask(store, bucket)
        check = self._run(store, bucket)
        self._report(check)
        verdicts = {result["verdict"] for result in check.results}
        if check.error or check.leftovers or verdicts & {Verdict.FAILED, Verdict.DENIED}:
            raise SystemExit(1)

    def _reset(self, store: Store) -> None:
        overrides = reset_overrides(None, store)
        if overrides:
            self.stdout.write(_("Removed overrides: %(overrides)s.") % {"overrides": _fields(overrides)})
        else:
            self.stdout.write(_("The profile has no overrides."))

    def _run(self, store: Store, bucket: str) -> StoreCheck:
        """Run the check here. If a worker runs one of this bucket already, wait for that."""
        try:
            check = request_check(None, store, bucket, here=True)
        except ObjectStoreError as error:
            raise CommandError(store_error_text(error)) from error
        with _quiet():
            run_store_check(check.pk)
        check.refresh_from_db()
        if check.is_active:
            self.stdout.write(_("A check of this bucket is running already. Waiting for it to finish."))
        while check.is_active:
            time.sleep(POLL_SECONDS)
            check.refresh_from_db()
        return check

    def _report(self, check: StoreCheck) -> None:
        results = read_results(check.results)
        for group in Group:
            self.stdout.write(f"\n{GROUPS[group]}")
            for result in (each for each in results if each.group is group):
                self._write_result(result)
        self.stdout.write(f"\n{_counts(results)}.")
        if check.overrides:
            text = _("Overrides of the profile of %(provider)s: %(overrides)s.")
            self.stdout.write(text % {"provider": check.provider, "overrides": _fields(check.overrides)})
        for left in map(Leftover.from_json, check.leftovers):
            names = {"kind": left.kind, "key": left.key, "id": left.id, "why": leftover_text(left)}
            self.stdout.write(_("Left in the bucket: %(kind)s %(key)s %(id)s: %(why)s") % names)
        if check.error:
            self.stdout.write(f"{check.error.code}: {error_text(check.error)}")

    def _write_result(self, result: CheckResult) -> None:
        self.stdout.write(f"  {str(VERDICTS[result.verdict]).upper():9} {result_title(result)}: {result_text(result)}")
        for detail in _details(result):
            self.stdout.write(f"            {detail}")


def _ask(store: Store, bucket: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError(_("Pass --yes to agree that the check writes uploads and objects and removes them again."))
    if input(CONSENT % {"bucket": bucket, "store": store.name}).strip().lower() not in {"y", "yes"}:
        raise CommandError(_("Nothing was written."))


@contextmanager
def _quiet() -> Iterator[None]:
    """Do not log refusals by the store: the check provokes them, and the report shows them."""
    log = logging.getLogger("uploads.objectstore")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _details(result: CheckResult) -> Iterable[str]:
    if advice := result_advice(result):
        yield advice
    if result.code and result.request_id:
        yield _("%(code)s, request id %(request_id)s") % {"code": result.code, "request_id": result.request_id}
    elif result.code:
        yield result.code


def _counts(results: list[CheckResult]) -> str:
    numbers = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
    return ", ".join(f"{number} {VERDICTS[verdict]}" for verdict, number in numbers.items() if number)


def _fields(overrides: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in overrides.items())
