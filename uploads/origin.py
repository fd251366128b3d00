"""Where the work of this thread comes from: the address and the means of whoever requested it, for the audit log.

The middleware sets it for each request, access tokens add their name, and `manage.py` sets it for commands. Whatever
nobody has set it for is done by Partway's own schedule: tasks, rounds and the watchdog.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


class Means(StrEnum):
    """By which means something was requested. JSON and tus count as `page`, or as `token` if they have one."""

    PAGE = "page"
    TOKEN = "token"  # noqa: S105 - a word
    COMMAND = "command"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Origin:
    """`address`: of the client, '' if there is none. `token`: the name of the access token, '' without one.

    `token_id`: its row, which work that is requested now refers to.
    """

    address: str = ""
    means: str = Means.SCHEDULE
    token: str = ""
    token_id: int | None = None


_current: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - frozen


def current() -> Origin:
    return _current.get()


@contextmanager
def origin(
    *, address: str | None = None, means: str | None = None, token: str | None = None, token_id: int | None = None
) -> Iterator[None]:
    """What is recorded inside comes from here. What is None stays as it is outside. `token_id` is that of `token`."""
    outside = _current.get()
    inside = Origin(
        address=outside.address if address is None else address,
        means=outside.means if means is None else means,
        token=outside.token if token is None else token,
        token_id=outside.token_id if token is None else token_id,
    )
    reset = _current.set(inside)
    try:
        yield
    finally:
        _current.reset(reset)
