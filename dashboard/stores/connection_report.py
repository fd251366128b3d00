"""The result of a connection test in words: each step, what a failure means, and which field fixes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dashboard.shared.explain import Explanation, explain
from dashboard.shared.messages import shown
from dashboard.stores.provider_notes import label_of
from uploads.objectstore.endpoints import endpoint_of
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores.connection_test import MAX_BUCKETS, ConnectionTest, Step

TOLERABLE_OFFSET = timedelta(minutes=1)
"""Stores accept 15 minutes, but a clock that is a minute off keeps drifting."""

FIXES: Mapping[Reason, Promise | str] = {
    Reason.ADDRESSING: gettext_lazy("Set Addressing to virtual-hosted."),
    Reason.TLS: gettext_lazy("If the certificate is from a private authority, enter its PEM file in CA bundle."),
}

NOT_SUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed", "501", "405"})
"""Codes for an operation that an endpoint does not support."""


@dataclass(frozen=True, slots=True)
class StepReport:
    """One step. `text` says what worked; otherwise there is `explained`, and `fix` if a field is known to be wrong."""

    title: str
    operation: str
    bucket: str
    text: str = ""
    explained: Explanation | None = None
    fix: str = ""


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """`verdict` is good, partly or bad."""

    verdict: str
    title: str
    text: str
    steps: list[StepReport]
    clock: str
    not_tried: tuple[str, ...]


def report_of(test: ConnectionTest) -> ConnectionReport:
    verdict, title, text = _verdict(test)
    return ConnectionReport(
        verdict=verdict,
        title=title,
        text=text,
        steps=[_step(step, test) for step in test.steps],
        clock=_clock(test.clock_offset),
        not_tried=test.not_tried,
    )


def _verdict(test: ConnectionTest) -> tuple[str, str, str]:
    if not test.failures:
        if test.lists_uploads:
            return "good", _("The store works with these values"), ""
        text = _("It lists no buckets, so listing uploads could not be tested. Enter a bucket to test it there.")
        return "partly", _("The store responds"), text
    if test.lists_uploads:
        return "partly", _("The store works in part with these values"), ""
    return "bad", _("The store does not work with these values"), ""


def _step(step: Step, test: ConnectionTest) -> StepReport:
    title = _("Listing uploads in progress") if step.bucket else _("Listing buckets")
    if step.error is None:
        return StepReport(title, step.operation, step.bucket, text=_result(step, test))
    explained = explain(step.error)
    return StepReport(title, step.operation, step.bucket, explained=explained, fix=_fix(step, step.error, test))


def _result(step: Step, test: ConnectionTest) -> str:
    if step.bucket:
        return _("there are uploads in progress") if step.count else _("no upload was listed")
    tested = sum(bool(each.bucket) for each in test.steps)
    if step.count > tested == MAX_BUCKETS:
        text = ngettext(
            "%(count)s bucket; the first %(tested)s are tested below",
            "%(count)s buckets; the first %(tested)s are tested below",
            step.count,
        )
    else:
        text = ngettext("%(count)s bucket", "%(count)s buckets", step.count)
    return text % shown({"count": step.count, "tested": tested})


def _fix(step: Step, error: ObjectStoreError, test: ConnectionTest) -> str:
    """Which value to enter in which field, if that is known; empty if the general advice is enough."""
    if error.reason is Reason.WRONG_REGION and isinstance(error, Refused) and error.region:
        return _set_region(error.region, test)
    if error.reason in FIXES:
        return str(FIXES[error.reason])
    if step.bucket:
        return _fix_for_bucket(error, test)
    if error.is_denied:
        return _("Enter the buckets in Named buckets: they can be used without this permission.")
    return ""


def _fix_for_bucket(error: ObjectStoreError, test: ConnectionTest) -> str:
    if error.reason is Reason.NOT_AN_ENDPOINT and test.addressing == "virtual":
        return _("The endpoint responds, but not the bucket's own host name. Set Addressing to path.")
    provider = PROVIDERS[test.provider]
    if (isinstance(error, Refused) and error.code in NOT_SUPPORTED) or not provider.lists_uploads:
        other = PROVIDERS.get(provider.listed_by)
        if other is None:
            return _("Uploads can be opened by key and upload id without a list, and files can be sent.")
        text = _(
            "To list uploads, select the provider %(provider)s. Without a list, uploads can be opened by key and "
            "upload id, and files can be sent."
        )
        return text % {"provider": label_of(other.name)}
    return ""


def _set_region(region: str, test: ConnectionTest) -> str:
    provider = PROVIDERS[test.provider]
    endpoint = endpoint_of(provider, region)
    follows_region = test.endpoint_url == endpoint_of(provider, test.region)
    if follows_region and endpoint and endpoint != test.endpoint_url:
        text = _("Set Region to %(region)s and Endpoint URL to %(endpoint_url)s.")
        return text % {"region": region, "endpoint_url": endpoint}
    return _("Set Region to %(region)s.") % {"region": region}


def _clock(offset: timedelta) -> str:
    if abs(offset) < TOLERABLE_OFFSET:
        return ""
    if offset > timedelta():
        text = _(
            "The store's clock is %(difference_seconds)s ahead of this machine's. Stores refuse every request if the "
            "difference exceeds 15 minutes: set the wrong clock (NTP)."
        )
    else:
        text = _(
            "The store's clock is %(difference_seconds)s behind this machine's. Stores refuse every request if the "
            "difference exceeds 15 minutes: set the wrong clock (NTP)."
        )
    return text % shown({"difference_seconds": abs(offset).total_seconds()})
