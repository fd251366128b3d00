"""`manage.py sweep`: plan, show, approve and run sweeps. Without an approved plan and --really, nothing is aborted."""

from __future__ import annotations

import time
import uuid
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import HttpRequest
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from dashboard.inventory.query import FILTERS, REPEATABLE, filter_in
from dashboard.shared.formatting import bytes_text, costs_text
from dashboard.shared.messages import text_of
from dashboard.shared.parameters import BadParameter, Query
from uploads import access
from uploads.domain.states import SweepState
from uploads.models import Sweep
from uploads.problems import ProblemError
from uploads.selectors.sweeps import (
    IN_MOTION,
    freed_cost,
    plan_cost,
    prices_for,
    progress_of,
    sample_of,
    spared_reasons,
)
from uploads.services.sweeps.plan import request_sweep
from uploads.services.sweeps.steps import approve_sweep, run_sweep

POLL_SECONDS = 0.5
FAILED_EXIT = 1
WAITS_EXIT = 3


class Command(BaseCommand):
    help = (
        "Plan, show, approve and run sweeps. plan only lists what would be aborted. run needs an approved plan and "
        "--really. Exit codes: 0 done, 1 something failed, was stopped or has an unknown outcome, 2 wrong arguments, "
        "3 nothing was aborted because --really or the approval is missing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        steps = parser.add_subparsers(dest="step", required=True)
        plan = steps.add_parser("plan", help="make a plan; nothing is aborted")
        for name in FILTERS:
            repeated = {"action": "append", "default": []} if name in REPEATABLE else {"default": ""}
            plan.add_argument(f"--{name}", **repeated)
        for name in ("show", "approve", "run"):
            step = steps.add_parser(name)
            step.add_argument("id", type=uuid.UUID)
            if name == "approve":
                step.add_argument("--digest", required=True, help="that of the plan, as show prints it")
            if name == "run":
                step.add_argument("--really", action="store_true", help="abort the uploads of the plan")
            if name != "show":
                step.add_argument("--user", required=True, help="who does it, in the audit log")
        plan.add_argument("--user", required=True, help="the author, in the audit log")

    def handle(self, *_args: Any, step: str, **options: Any) -> None:
        try:
            getattr(self, f"_{step}")(options)
        except (ProblemError, BadParameter) as error:
            text = text_of(error.problem) if isinstance(error, ProblemError) else str(error)
            raise CommandError(text, returncode=2 if step == "plan" else FAILED_EXIT) from error

    def _plan(self, options: dict[str, Any]) -> None:
        given = [(name, options[name.replace("-", "_")]) for name in FILTERS]
        reading = HttpRequest()
        reading.META["QUERY_STRING"] = urlencode([(name, value) for name, value in given if value], doseq=True)
        rule = filter_in(Query(reading, repeatable=REPEATABLE))
        author = access.actor_to_plan_sweeps(_user(options))
        sweep = request_sweep(author, rule)
        self._wait(sweep)
        self._print(sweep)

    def _show(self, options: dict[str, Any]) -> None:
        self._print(_sweep(options))

    def _approve(self, options: dict[str, Any]) -> None:
        sweep = access.sweep_to_approve(_user(options), options["id"])
        approve_sweep(access.actor(_user(options)), sweep, options["digest"])
        self.stdout.write(_("Approved. Nothing is aborted until it is run."))

    def _run(self, options: dict[str, Any]) -> None:
        sweep = access.sweep_to_approve(_user(options), options["id"])
        if not options["really"] or sweep.state not in (SweepState.APPROVED, SweepState.RUNNING):
            self._print(sweep)
            self.stdout.write(_("Nothing was aborted: this needs an approved plan and --really."))
            raise SystemExit(WAITS_EXIT)
        run_sweep(access.actor(_user(options)), sweep)
        self._wait(sweep)
        self._print(sweep)
        progress = progress_of(sweep)
        if sweep.state != SweepState.DONE or progress.failed or progress.unknown:
            raise SystemExit(FAILED_EXIT)

    def _wait(self, sweep: Sweep) -> None:
        """For the workers, which do all of it."""
        sweep.refresh_from_db()
        while sweep.state in IN_MOTION:
            time.sleep(POLL_SECONDS)
            sweep.refresh_from_db()

    def _print(self, sweep: Sweep) -> None:
        progress = progress_of(sweep)
        facts = {"id": sweep.pk, "state": sweep.state, "uploads": sweep.uploads, "bytes": bytes_text(sweep.bytes)}
        self.stdout.write(_("Sweep %(id)s: %(state)s, %(uploads)s uploads with %(bytes)s.") % facts)
        prices = prices_for(sweep)
        cost = {"cost": costs_text(plan_cost(sweep, prices))}
        self.stdout.write(_("Cost in a month: %(cost)s") % cost)
        self.stdout.write(_("Digest of the plan: %(digest)s") % {"digest": sweep.digest})
        for reason, count in spared_reasons(sweep):
            self.stdout.write(_("Spared: %(count)s. %(reason)s") % {"count": count, "reason": text_of(reason)})
        for item in sample_of(sweep.author, sweep):
            self.stdout.write(f"  {item.store.name}/{item.bucket} {item.key} {item.verdict} {item.state}")
        if sweep.started_at is not None:
            numbers = {name: getattr(progress, name) for name in ("done", "spared", "failed", "unknown", "left")}
            numbers["freed"] = bytes_text(sweep.freed_bytes)
            self.stdout.write(
                _(
                    "%(done)s aborted, %(spared)s spared, %(failed)s failed, %(unknown)s unknown, %(left)s not begun. "
                    "Freed: %(freed)s."
                )
                % numbers
            )
            freed = {"cost": costs_text(freed_cost(sweep, prices))}
            self.stdout.write(_("Cost in a month of what was freed: %(cost)s") % freed)


def _user(options: dict[str, Any]) -> User:
    user = User.objects.filter(username=options["user"], is_active=True).first()
    if user is None:
        raise CommandError(_("There is no active user “%(name)s”.") % {"name": options["user"]}, returncode=2)
    return user


def _sweep(options: dict[str, Any]) -> Sweep:
    sweep = Sweep.objects.filter(pk=options["id"]).first()
    if sweep is None:
        raise CommandError(_("There is no sweep %(id)s.") % {"id": options["id"]}, returncode=2)
    return sweep
