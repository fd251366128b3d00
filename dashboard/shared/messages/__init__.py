"""All text that pages, JSON and commands show for a code. One module per family of codes.

To add a code: a member of `uploads.problems.Code`, and its text here under the same name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from dashboard.shared.formatting import bytes_text, duration_text, time_text
from dashboard.shared.messages import (
    access,
    alerts,
    checks,
    objectstore,
    operations,
    people,
    reasons,
    saved_views,
    scans,
    sso,
    staging,
    stores,
    sweeps,
    transfers,
    verdicts,
)
from dashboard.shared.messages.types import Message
from dashboard.shared.numbers import Count
from uploads.domain.roles import Role
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.problems import Problem, RecordedError, without_surrogates
from uploads.services.work.failures import error_code, recorded_error

log = logging.getLogger(__name__)

MESSAGES: Mapping[str, Message] = {
    **access.MESSAGES,
    **sso.MESSAGES,
    **people.MESSAGES,
    **saved_views.MESSAGES,
    **objectstore.MESSAGES,
    **stores.MESSAGES,
    **checks.MESSAGES,
    **transfers.MESSAGES,
    **staging.MESSAGES,
    **operations.MESSAGES,
    **verdicts.MESSAGES,
    **scans.MESSAGES,
    **alerts.MESSAGES,
    **sweeps.MESSAGES,
}


def text_of(problem: Problem) -> str:
    """The text of a code with its parameters. What a later version stored under the code is shown as it is."""
    message = MESSAGES.get(problem.code)
    try:
        text = str(problem) if message is None else str(message % shown(problem.params))
    except (LookupError, TypeError, ValueError, OverflowError):
        log.warning("the parameters do not fit the text: %s", problem)
        text = str(problem)
    return without_surrogates(text)


def shown(params: Mapping[str, Any]) -> dict[str, object]:
    """Parameters as texts show them: numbers by the locale, `_bytes`, `_seconds` and `_at` with their units."""
    return {name: _shown(name, value) for name, value in params.items()}


def _shown(name: str, value: Any) -> object:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return _number_shown(name, value)
    if name == "role":
        return access.ROLES[Role(value)]
    if isinstance(value, str) and name.endswith("_at"):
        return time_text(datetime.fromisoformat(value))
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value


def _number_shown(name: str, value: float) -> object:
    if name.endswith("_bytes"):
        return bytes_text(int(value))
    if name.endswith("_seconds"):
        return duration_text(value)
    return Count(value) if isinstance(value, int) else value


def error_text(error: RecordedError) -> str:
    """What a row's error says in one paragraph, the store's own message last and marked as such."""
    if not error.reason:
        return error.store_message
    sentences = [_reason_text(error), *(text_of(each) for each in error.details)]
    if error.store_message:
        sentences.append(_marked(error.store_message))
    if error.reason == Reason.PERMISSION:
        sentences.append(reasons.permission_text(str(error.params.get("operation", ""))))
    return " ".join(filter(None, sentences))


def _reason_text(error: RecordedError) -> str:
    if error.reason in reasons.RECORDED:
        return str(reasons.RECORDED[Reason(error.reason)])
    if error.reason in set(Reason):
        return ""
    return text_of(Problem(error.reason, **error.params))


def refusal_text(problem: Problem, store_error: ObjectStoreError | None = None) -> str:
    """A problem, followed by the store's failure that caused it."""
    caused_by = error_text(recorded_error(store_error)) if store_error else ""
    return " ".join(filter(None, [text_of(problem), caused_by]))


def own_error_text(error: ObjectStoreError) -> str:
    """What we know of an error besides its reason; empty if nothing."""
    return " ".join(text_of(each) for each in (error.problem, *error.details) if each is not None)


def store_error_text(error: ObjectStoreError) -> str:
    """What an error adds to its explanation: our own text, and the store's message, marked as such."""
    marked = _marked(error.store_message) if error.store_message else ""
    return " ".join(filter(None, [own_error_text(error), marked]))


def _marked(store_message: str) -> str:
    return _("The store says: %(message)s") % {"message": store_message}


def error_json(error: RecordedError | None) -> dict[str, str] | None:
    """As JSON shows a row's error."""
    if error is None:
        return None
    return {"code": error.code, "message": error_text(error), "request_id": error.request_id}


__all__ = [
    "MESSAGES",
    "error_code",
    "error_json",
    "error_text",
    "own_error_text",
    "refusal_text",
    "store_error_text",
    "text_of",
]
