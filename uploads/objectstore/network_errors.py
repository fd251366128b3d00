"""Translates exceptions of the network to NotSent and OutcomeUnknown."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator

import urllib3

from uploads.objectstore import budget
from uploads.objectstore.addresses import AddressRefusedError
from uploads.objectstore.connections import NeverConnectedError
from uploads.objectstore.errors import NotSent, OutcomeUnknown, Reason, unreadable
from uploads.problems import Code, Problem


def budget_used_up() -> Problem | None:
    """That the page has no time left to wait for stores, if that is so."""
    page = budget.current()
    return Problem(Code.PAGE_TIME_USED_UP, limit_seconds=page.seconds) if page is not None and not page.left else None


def not_sent(error: NeverConnectedError) -> NotSent:
    """No connection was opened: retryable, unless TLS rejected the store."""
    causes = list(_causes(error))
    refused = next((each for each in causes if isinstance(each, AddressRefusedError)), None)
    if refused is not None:
        return NotSent(refused.problem, reason=Reason.ADDRESS_REFUSED)
    if any(isinstance(each, TimeoutError) for each in causes):
        return _connect_timeout(str(causes[-1]))
    tls = next((each for each in causes if isinstance(each, ssl.SSLError | ssl.CertificateError)), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        return NotSent(Problem(Code.CERTIFICATE_NOT_TRUSTED, detail=tls.verify_message), reason=Reason.TLS)
    if tls is not None and not isinstance(tls, ssl.SSLEOFError):
        return NotSent(Problem(Code.TLS_FAILED, detail=str(tls)), reason=Reason.TLS)
    return NotSent(Problem(Code.CONNECTION_FAILED, detail=str(causes[-1])), reason=Reason.UNREACHABLE, retryable=True)


def _connect_timeout(detail: str) -> NotSent:
    if problem := budget_used_up():
        found = NotSent(problem, reason=Reason.TIMEOUT, retryable=True)
    else:
        problem = Problem(Code.CONNECTION_FAILED, detail=detail)
        found = NotSent(problem, reason=Reason.UNREACHABLE, retryable=True)
    found.timed_out = True
    return found


def outcome_unknown(error: Exception) -> OutcomeUnknown:
    causes = list(_causes(error))
    if any(isinstance(each, TimeoutError | urllib3.exceptions.ReadTimeoutError) for each in causes):
        problem = budget_used_up() or Problem(Code.CONNECTION_STALLED)
        found = OutcomeUnknown(problem, reason=Reason.TIMEOUT, retryable=True)
        found.timed_out = True
        return found
    if any(_is_malformed(each) for each in causes):
        # Not the text of the exception, which may be a line that another service sent.
        return unreadable(Code.RESPONSE_NOT_HTTP, detail=type(causes[-1]).__name__)
    return OutcomeUnknown(
        Problem(Code.CONNECTION_LOST, detail=str(causes[-1])), reason=Reason.CONNECTION_LOST, retryable=True
    )


def _is_malformed(error: BaseException) -> bool:
    if isinstance(error, urllib3.exceptions.DecodeError):
        return True
    lost = http.client.RemoteDisconnected | http.client.IncompleteRead
    return isinstance(error, http.client.HTTPException) and not isinstance(error, lost)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all its causes, outermost first: urllib3 keeps some in `reason` and in its arguments."""
    pending, seen = [error], set[int]()
    while pending:
        each = pending.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
        pending += [found for found in inner if isinstance(found, BaseException)]
