"""Sending deliveries under a lease: at least once each, in order of attempts, with growing waits up to a limit."""

from __future__ import annotations

import logging
import smtplib
from typing import Any

import requests
from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from uploads.domain.alerts import Channel, Event, wait_after
from uploads.domain.states import ITEM_STATES, ItemState
from uploads.models import AlertDelivery
from uploads.models.fields import SecretUnreadable
from uploads.objectstore.addresses import AddressRefusedError
from uploads.objectstore.budget import BudgetUsedUp
from uploads.objectstore.connections import NeverConnectedError
from uploads.problems import Code, Problem
from uploads.services.alerts import webhooks
from uploads.services.alerts.words import words_of
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.kinds import register
from uploads.services.work.leases import Kind, Lease, in_seconds
from uploads.services.work.queue import enqueue_on_commit, enqueue_waiting
from uploads.services.work.tasks import record_worker_lost, task

log = logging.getLogger(__name__)

HOLD_SECONDS = 60.0
"""When a delivery that is held back is looked at again."""

NO_MAIL = "django.core.mail.backends.dummy.EmailBackend"


class NotDelivered(Exception):
    """Why an attempt failed. `status` is that of the response, if there was one. `is_final`: no other is worthwhile."""

    def __init__(self, problem: Problem, *, status: int | None = None, is_final: bool = False) -> None:
        super().__init__(str(problem))
        self.problem, self.status, self.is_final = problem, status, is_final


def _give_up(lease: Lease[AlertDelivery], error: dict[str, Any]) -> None:
    lease.end(ItemState.FAILED, finished_at=timezone.now(), **error)


def _resume(delivery: AlertDelivery, seconds: float) -> None:
    enqueue_on_commit("deliver_alert", [delivery.pk], countdown=seconds)


def _dispatch_due(limit: int) -> int:
    return enqueue_waiting("deliver_alert", limit, "created_at")


DELIVERIES = register(
    Kind(
        name="alert",
        model=AlertDelivery,
        table=ITEM_STATES,
        waiting=ItemState.ORDERED,
        running=ItemState.RUNNING,
        related=("rule", "rule__store", "alert"),
        facts=lambda delivery: {"order": delivery.pk},
        resume=_resume,
        give_up=_give_up,
        worker_lost=record_worker_lost,
        dispatch_due=_dispatch_due,
    )
)


@task(DELIVERIES, AlertDelivery.objects.all)
def deliver_alert(lease: Lease[AlertDelivery]) -> None:
    """Send one delivery. The attempt is counted before it is made."""
    delivery = lease.row
    if _is_held_back(delivery):
        if lease.release(not_before=in_seconds(HOLD_SECONDS)):
            _resume(delivery, HOLD_SECONDS)
        return
    delivery.attempts += 1
    lease.renew(attempts=delivery.attempts)
    try:
        status = send(delivery)
    except NotDelivered as failure:
        _defer(lease, failure)
    else:
        lease.end(ItemState.DONE, status=status, finished_at=timezone.now(), **NO_ERROR)


def _is_held_back(delivery: AlertDelivery) -> bool:
    """Whether it waits: in silence, and an end while its start is still being sent, so that it never arrives first."""
    if delivery.event == Event.TEST:
        return False
    if delivery.rule.quiet.includes(timezone.now()):
        return True
    starts = AlertDelivery.objects.filter(alert=delivery.alert, channel=delivery.channel, event=Event.START)
    return delivery.event == Event.END and starts.filter(state__in=(ItemState.ORDERED, ItemState.RUNNING)).exists()


def _defer(lease: Lease[AlertDelivery], failure: NotDelivered) -> None:
    log.warning("alert delivery %s: %s", lease.row.pk, failure)
    fields = {"status": failure.status, **problem_fields(failure.problem)}
    wait = None if failure.is_final else wait_after(lease.row.attempts)
    if wait is None:
        _give_up(lease, fields)
    elif lease.release(not_before=in_seconds(wait), **fields):
        _resume(lease.row, wait)


def send(delivery: AlertDelivery) -> int | None:
    """The status of a webhook's response, None for a mail. Raises NotDelivered."""
    if delivery.event != Event.TEST and not delivery.rule.enabled:
        raise NotDelivered(Problem(Code.ALERT_RULE_DISABLED), is_final=True)
    if delivery.channel not in delivery.rule.channels:
        raise NotDelivered(Problem(Code.ALERT_WITHOUT_CHANNEL), is_final=True)
    if delivery.channel == Channel.WEBHOOK:
        return _post(delivery)
    _mail(delivery)
    return None


def _post(delivery: AlertDelivery) -> int:
    try:
        status = webhooks.post(delivery)
    except SecretUnreadable:
        raise NotDelivered(Problem(Code.ALERT_SECRET_UNREADABLE)) from None
    except (requests.RequestException, NeverConnectedError, OSError, BudgetUsedUp) as error:
        refused = _address_refused(error)
        if refused is not None:
            raise NotDelivered(refused.problem, is_final=True) from error
        raise NotDelivered(Problem(Code.WEBHOOK_UNREACHABLE, kind=type(error).__name__)) from error
    if not 200 <= status < 300:
        raise NotDelivered(Problem(Code.WEBHOOK_REFUSED, status=status), status=status)
    return status


def _address_refused(error: BaseException | None) -> AddressRefusedError | None:
    """The refusal in the causes of an error. requests wraps what urllib3 has wrapped."""
    seen: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, AddressRefusedError):
            return each
        if each is not None and each not in seen:
            seen.append(each)
            causes = [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
            waiting += [cause for cause in causes if isinstance(cause, BaseException)]
    return None


def _mail(delivery: AlertDelivery) -> None:
    if settings.EMAIL_BACKEND == NO_MAIL:
        raise NotDelivered(Problem(Code.MAIL_NOT_CONFIGURED), is_final=True)
    words = words_of(delivery)
    message = EmailMessage(
        " ".join(words.subject.split()),
        f"{words.text}\n",
        settings.DEFAULT_FROM_EMAIL,
        list(delivery.rule.emails),
        headers={"Message-ID": f"<{delivery.pk}@partway>", "Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise NotDelivered(Problem(Code.MAIL_NOT_SENT, kind=type(error).__name__)) from error
