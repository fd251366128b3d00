"""A body can take hours. Meanwhile its token may expire, and its user may be disabled or lose the role."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from django.http import HttpRequest

from uploads import access
from uploads.models import AccessToken, Transfer
from uploads.problems import Code, Problem, ProblemError
from uploads.selectors.people import user_as_stored
from uploads.services.people.tokens import TokenRefused, check_usable, limits_of

Block = TypeVar("Block")

INTERVAL_SECONDS = 30.0
"""How often a request whose body is arriving is checked again."""


class NoLongerAllowed(ProblemError):
    """The sender may not go on. What has arrived is kept, and another token or session can resume it."""


class StillAllowed:
    """Checks the sender of one request now and then."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._due = time.monotonic() + INTERVAL_SECONDS

    def blocks(self, transfer: Transfer, blocks: Iterable[Block]) -> Iterator[Block]:
        """Blocks of a body for this transfer. Raises NoLongerAllowed between two of them."""
        for block in blocks:
            if time.monotonic() >= self._due:
                check_allowed(self._request, transfer)
                self._due = time.monotonic() + INTERVAL_SECONDS
            yield block


def while_allowed(request: HttpRequest, transfer: Transfer, blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks of a body that is for one transfer. Raises NoLongerAllowed between two of them."""
    return StillAllowed(request).blocks(transfer, blocks)


def check_allowed(request: HttpRequest, transfer: Transfer) -> None:
    """Read the token, the user and the grants again. Raises NoLongerAllowed."""
    token: AccessToken | None = getattr(request, "access_token", None)
    try:
        user = user_as_stored(access.actor(request.user))
        if token is not None:
            user = access.limited(user, limits_of(check_usable(token)))
        access.transfer_to_send(user, transfer.pk)
    except (TokenRefused, access.NotAllowed) as error:
        raise NoLongerAllowed(error.problem) from error
    except access.NotVisible as error:
        raise NoLongerAllowed(Problem(Code.ACCESS_DENIED)) from error
