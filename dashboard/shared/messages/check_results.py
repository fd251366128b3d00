"""The texts of a store check's result and of its leftovers, for pages, JSON and commands."""

from __future__ import annotations

from django.utils.translation import gettext as _

from dashboard.shared.messages import error_text, text_of
from dashboard.shared.messages.checks import title_of
from dashboard.shared.messages.findings import ADVICE, ADVICE_ON_ERROR, ADVICE_ON_ERROR_IN, ADVICE_ON_OTHER_ERROR
from dashboard.shared.messages.reasons import permission_text, without_permission_text
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.created import Leftover
from uploads.objectstore.probing.results import CheckResult
from uploads.problems import Problem

ERRORS = frozenset({FindingCode.REQUEST_REFUSED, FindingCode.NOTHING_SENT, FindingCode.NO_USABLE_RESPONSE})


def result_title(result: CheckResult) -> str:
    return title_of(result.name, result.title)


def result_text(result: CheckResult) -> str:
    """What was observed. A result stored before findings had codes holds its text, which is shown unchanged."""
    if result.observed is None:
        return result.said
    texts = [_observed_text(result.observed), *map(text_of, result.details)]
    if result.store_message:
        texts.append(_("The store says: %(message)s") % {"message": result.store_message})
    return " ".join(filter(None, texts))


def result_advice(result: CheckResult) -> str:
    """What follows from it, or what to do; empty if nothing."""
    if result.observed is None:
        return result.advice
    code, params = result.observed.code, result.observed.params
    if code == FindingCode.PERMISSION_MISSING:
        return permission_text(str(params.get("operation", "")))
    if code in ERRORS:
        by_reason = ADVICE_ON_ERROR.get(str(params.get("reason", "")), ADVICE_ON_OTHER_ERROR)
        return str(ADVICE_ON_ERROR_IN.get(result.name, by_reason))
    return str(ADVICE.get(code, ""))


def leftover_text(leftover: Leftover) -> str:
    """Why something could not be removed."""
    return error_text(leftover.error)


def _observed_text(observed: Problem) -> str:
    """The parameter `check` is the name of another check; the text shows its title."""
    params = dict(observed.params)
    if "check" in params:
        params["check"] = title_of(str(params["check"]))
    text = text_of(Problem(observed.code, **params))
    if observed.code == FindingCode.PERMISSION_MISSING:
        return f"{text} {without_permission_text(str(params.get('operation', '')))}".strip()
    return text
