"""Recording refusals in the audit log: what a signed-in user has asked for and was not given.

What counts: a request that would change something and is refused (not allowed, not visible, not possible in this
state, too much), and a page that the role does not include. Requests without a user are not recorded, except failed
sign-ins (uploads/services/sign_in), and neither are values that a form does not accept: nothing was decided about them.
Each user has a limit per minute, so that a script that repeats itself does not fill the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from uploads import audit
from uploads.problems import Problem, ProblemError

log = logging.getLogger(__name__)

REFUSALS = frozenset({403, 404, 409, 413, 422, 429, 507})
"""The statuses of a change that is refused."""

OF_CHUNKS = frozenset({403, 404, 413, 507})
"""Those of a PATCH of tus. Its other statuses, such as a wrong offset, are part of the protocol."""

ONLY_READ = frozenset({"new-transfer-check", "new-transfer-plan", "new-transfer-existing", "facts"})
"""Views that read, although their requests may be POST."""

THINGS: Mapping[str, str] = {
    **dict.fromkeys(("abort", "complete"), ""),
    **dict.fromkeys(("new-transfer", "files", "file", "files-together"), "transfer"),
    **dict.fromkeys(
        ("add-store", "edit-store", "disable-store", "enable-store", "store-inventory", "store-prices"), "store"
    ),
    **dict.fromkeys(("new-sweep", "change-repeating-sweep"), "sweep"),
    **dict.fromkeys(("store-checks", "store-check", "reset-found"), "check"),
}
"""What a view is about, where its name does not begin with it."""

WORDS: Mapping[str, str] = {
    "transfer": "transfer",
    "scan": "scan",
    "lifecycle": "lifecycle",
    "alert": "alert",
    **dict.fromkeys(("user", "token", "group", "grant", "invitation", "link", "administrator"), "user"),
}
"""What a view is about, if its name has the word."""

MOST_IN_A_MINUTE = 30


class AuditRefusals:
    """The middleware that sees the user of a request and its response."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._limit = Limit()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        user = getattr(request, "user", None)
        # A request with several files has a response for each.
        for each in getattr(response, "parts", [response]):
            if is_refusal(request, each) and isinstance(user, User) and self._limit.allows(user.pk):
                self._record(request, each, user)
        return response

    def _record(self, request: HttpRequest, response: HttpResponseBase, user: User) -> None:
        try:
            _record(request, response, user, is_last=self._limit.is_reached(user.pk))
        except Exception:
            log.exception("a refusal could not be recorded")

    def process_exception(self, request: HttpRequest, error: Exception) -> None:
        if isinstance(error, ProblemError):
            request.refused_for = error.problem  # type: ignore[attr-defined]


class Limit:
    """How many refusals of each user have been recorded in this minute, by this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = 0
        self._counts: dict[int, int] = {}

    def allows(self, user_id: int) -> bool:
        """Count one more, unless the limit is reached."""
        with self._lock:
            minute = int(time.monotonic() // 60)
            if minute != self._minute:
                self._minute, self._counts = minute, {}
            if self._counts.get(user_id, 0) >= MOST_IN_A_MINUTE:
                return False
            self._counts[user_id] = self._counts.get(user_id, 0) + 1
            return True

    def is_reached(self, user_id: int) -> bool:
        with self._lock:
            return self._counts.get(user_id, 0) >= MOST_IN_A_MINUTE


def is_refusal(request: HttpRequest, response: HttpResponseBase) -> bool:
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return response.status_code == 403
    statuses = OF_CHUNKS if request.method == "PATCH" else REFUSALS
    return response.status_code in statuses and _view_of(request) not in ONLY_READ


def _view_of(request: HttpRequest) -> str:
    return (request.resolver_match.url_name if request.resolver_match else None) or ""


def thing_of(view: str) -> str:
    """The thing of the action `<thing>.refused`."""
    if view in THINGS:
        return THINGS[view] or view
    words = {word.removesuffix("s") for word in view.split("-")}
    return next((thing for word, thing in WORDS.items() if word in words), "request")


def _record(request: HttpRequest, response: HttpResponseBase, user: User, *, is_last: bool) -> None:
    view = _view_of(request)
    detail: dict[str, Any] = {"page": view or request.path[:200], "status": response.status_code}
    reason = _reason(request, response)
    if reason is not None:
        detail["reason" if isinstance(reason, Problem) else "code"] = reason
    if is_last:
        detail["not_all"] = True
    action = f"{thing_of(view)}.refused"
    audit.record(user, action, outcome=audit.Outcome.REFUSED, **_subject(request), detail=detail)


def _reason(request: HttpRequest, response: HttpResponseBase) -> Problem | str | None:
    """Why: the problem of the exception, or the code of the response."""
    problem: Problem | None = getattr(request, "refused_for", None)
    return problem or getattr(response, "code", None)


def _subject(request: HttpRequest) -> dict[str, Any]:
    """What the request is about, by its address, its form, and the rows that they name."""
    named = request.resolver_match.kwargs if request.resolver_match else {}
    # A body that nobody has read is not read for this.
    form = request.POST if hasattr(request, "_post") else {}
    subject: dict[str, Any] = {
        "store": str(named.get("store", ""))[:63],
        "bucket": str(named.get("bucket", ""))[:255],
        "key": str(form.get("key", ""))[:1024],
        "upload_id": str(form.get("upload-id", ""))[:1024],
        "transfer_id": named.get("transfer_id"),
        "operation_id": named.get("operation_id"),
    }
    return subject | audit.place_of(subject["transfer_id"], subject["operation_id"])
