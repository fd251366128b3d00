"""Texts about alerts: what a rule watches, and what is sent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy, override

from dashboard.shared.formatting import bytes_text, money_text, time_text
from dashboard.shared.messages.types import Message
from dashboard.shared.messages.verdicts import VERDICTS
from dashboard.shared.numbers import count_text
from uploads.domain.alerts import Channel, Event, What
from uploads.domain.cost import Money
from uploads.problems import Code
from uploads.services.alerts.words import Words

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

    from uploads.models import AlertDelivery, AlertRule

MESSAGES: Mapping[str, Message] = {
    Code.NO_SUCH_ALERT_RULE: gettext_lazy("There is no such alert rule."),
    Code.ALERT_NAME_TAKEN: gettext_lazy("There is a rule “%(name)s” already."),
    Code.TOO_MANY_ALERT_RULES: gettext_lazy("There are %(limit)s alert rules already. Delete one first."),
    Code.ALERT_WITHOUT_CHANNEL: gettext_lazy("The rule has no such address any more."),
    Code.ALERT_RULE_DISABLED: gettext_lazy("The rule was disabled before this was sent."),
    Code.ALERT_STORE_DISABLED: gettext_lazy("The store %(store)s is disabled."),
    Code.ALERT_NOTHING_SCANNED: gettext_lazy("Nothing was scanned yet."),
    Code.ALERT_BUCKETS_NOT_LISTED: ngettext_lazy(
        "%(buckets)s bucket could not be listed.", "%(buckets)s buckets could not be listed.", "buckets"
    ),
    Code.ALERT_BYTES_NOT_KNOWN: ngettext_lazy(
        "The bytes of %(uploads)s upload are not known yet.",
        "The bytes of %(uploads)s uploads are not known yet.",
        "uploads",
    ),
    Code.ALERT_WITHOUT_PRICE: gettext_lazy(
        "No price is set for %(unpriced_bytes)s, so their cost in %(currency)s is not known."
    ),
    Code.ALERT_IN_OTHER_CURRENCIES: gettext_lazy(
        "The rule counts %(currency)s, and some prices are in other currencies: %(others)s."
    ),
    Code.ALERT_NEEDS_TWO_DAYS: gettext_lazy("Growth needs two days on which the bytes of all uploads were known."),
    Code.ALERT_SECRET_UNREADABLE: gettext_lazy(
        "The webhook or its secret cannot be decrypted with CREDENTIALS_KEYS. Enter both again."
    ),
    Code.WEBHOOK_UNREACHABLE: gettext_lazy("The webhook could not be reached, or did not answer (%(kind)s)."),
    Code.WEBHOOK_REFUSED: gettext_lazy("The webhook answered with the status %(status)s."),
    Code.MAIL_NOT_CONFIGURED: gettext_lazy("This site sends no mail: EMAIL_URL is not set."),
    Code.MAIL_NOT_SENT: gettext_lazy("The mail server did not accept the mail (%(kind)s)."),
}

WHATS: Mapping[str, StrPromise] = {
    What.BYTES.value: gettext_lazy("Hidden bytes"),
    What.UPLOADS.value: gettext_lazy("Uploads in progress"),
    What.COST.value: gettext_lazy("Cost of hidden bytes in a month"),
    What.GROWTH.value: gettext_lazy("Growth of hidden bytes per day"),
    What.SCAN_FAILED.value: gettext_lazy("Places that could not be scanned"),
    What.SCAN_OVERDUE.value: gettext_lazy("Hours since the oldest scan"),
}


EVENTS: Mapping[str, StrPromise] = {
    Event.START.value: gettext_lazy("start"),
    Event.END.value: gettext_lazy("end"),
    Event.TEST.value: gettext_lazy("test"),
}

CHANNELS: Mapping[str, StrPromise] = {
    Channel.WEBHOOK.value: gettext_lazy("webhook"),
    Channel.EMAIL.value: gettext_lazy("e-mail"),
}


def value_text(rule: AlertRule, value: Decimal) -> str:
    """A value of a rule, with its unit."""
    match What(rule.what):
        case What.BYTES:
            return bytes_text(int(value))
        case What.GROWTH:
            return _("%(size)s per day") % {"size": bytes_text(int(value))}
        case What.COST:
            return _("%(cost)s per month") % {"cost": money_text(Money(value, rule.currency))}
        case What.SCAN_OVERDUE:
            return _("%(count)s hours") % {"count": count_text(int(value))}
    return count_text(int(value))


def place_text(rule: AlertRule) -> str:
    if rule.store is None:
        where = rule.bucket or _("all stores")
    else:
        where = f"{rule.store.name}/{rule.bucket}" if rule.bucket else rule.store.name
    return f"{where}, {VERDICTS[rule.verdict]}" if rule.verdict else where


def condition_text(rule: AlertRule) -> str:
    """What a rule watches, in one line."""
    return _("%(what)s above %(threshold)s (%(place)s)") % {
        "what": WHATS[rule.what],
        "threshold": value_text(rule, rule.threshold),
        "place": place_text(rule),
    }


def channels_text(rule: AlertRule) -> str:
    """Where the alerts of a rule are sent. Of a webhook, only its server."""
    count = len(rule.emails)
    mails = ngettext("%(count)s e-mail address", "%(count)s e-mail addresses", count) % {"count": count_text(count)}
    return ", ".join(each for each in (rule.shown_webhook, mails if count else "") if each)


def words(delivery: AlertDelivery) -> Words:
    """In English: a webhook or a mailbox has no language."""
    with override("en"):
        rule, alert = delivery.rule, delivery.alert
        condition = condition_text(rule)
        if alert is None or delivery.event == Event.TEST:
            subject = _("[Partway] Test: %(rule)s") % {"rule": rule.name}
            return Words(subject, _("This is a test of an alert rule. %(condition)s") % {"condition": condition})
        value = value_text(rule, alert.value)
        if delivery.event == Event.START or alert.ended_at is None:
            subject = _("[Partway] Alert: %(rule)s is at %(value)s") % {"rule": rule.name, "value": value}
            text = _("%(condition)s\n\nThe value is %(value)s since %(start)s.")
        else:
            subject = _("[Partway] Ended: %(rule)s") % {"rule": rule.name}
            text = _("%(condition)s\n\nThis is not so any more since %(end)s. It began at %(start)s with %(value)s.")
        times = {"start": time_text(alert.started_at), "end": time_text(alert.ended_at) if alert.ended_at else ""}
        return Words(subject, text % {"condition": condition, "value": value, **times})
