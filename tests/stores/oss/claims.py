"""What a signed request claims: its access key, its signature, and the text that was signed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.stores.oss import errors
from tests.stores.oss.request import Request

MAX_SKEW = timedelta(minutes=15)

_GMT = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT")
"""Days have two digits ("Add a signature to the header", "Detail analysis")."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A signature that is not verified yet."""

    access_key: str
    token: str
    signature: str
    string_to_sign: str
    sign: Callable[[str], str]
    """Computes the signature with a secret key."""
    mismatch_ec: str
    """The EC of SignatureDoesNotMatch."""


@dataclass(frozen=True, slots=True)
class Dated:
    """The time of a request, and its text as it was sent."""

    moment: datetime
    text: str


def date_of_headers(request: Request, now: datetime) -> Dated:
    """The date of x-oss-date in ISO 8601, or else of Date in GMT. Raises AccessDenied or RequestTimeTooSkewed."""
    if text := request.header("x-oss-date"):
        moment = parse_iso(text)
    elif text := request.header("date"):
        moment = _parse_gmt(text)
    else:
        raise errors.no_date()
    if moment is None:
        raise errors.bad_date()
    if abs(now - moment) > MAX_SKEW:
        raise errors.skewed(_timestamp(moment), _timestamp(now))
    return Dated(moment, text)


def refuse_expired(expires: datetime, now: datetime, ec: str) -> None:
    """Raise AccessDenied if a signed URL has expired."""
    if now > expires:
        raise errors.expired(_timestamp(expires), _timestamp(now), ec)


def parse_iso(text: str) -> datetime | None:
    """A time like 20221220T084818Z."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _parse_gmt(text: str) -> datetime | None:
    """A time like Tue, 20 Dec 2022 08:48:18 GMT."""
    if not _GMT.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return None


def _timestamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"
