"""A small file that comes with its creation as a whole: its bytes are read before its transfer is created."""

from __future__ import annotations

import logging
from contextlib import ExitStack

from django.contrib.auth.models import User
from django.http import HttpRequest

from dashboard.transfers.bodies import open_body
from dashboard.transfers.slots import NoSlot, creating, receiving
from dashboard.transfers.tus.body import DIGEST_HEADER
from uploads.services.transfers.start import NewTransfer, Started
from uploads.services.transfers.whole_files import WholeFile, is_possible, prepare
from uploads.staging.body import Body
from uploads.staging.tus import CHECKSUM_HEADER

log = logging.getLogger(__name__)

FILL_SECONDS = 0.2
"""How long to wait for the bytes. A transfer that takes longer is to be seen while they arrive."""


def may_be_whole(request: HttpRequest, new: NewTransfer, length: int | None) -> bool:
    """Whether the whole file is in the request, with nothing to verify."""
    is_plain = CHECKSUM_HEADER not in request.headers and DIGEST_HEADER not in request.headers
    return length == new.size and is_plain and is_possible(new)


def start_whole(request: HttpRequest, user: User, new: NewTransfer) -> tuple[Started | None, Body | None]:
    """The transfer, if it could be created with all of its bytes, and the body, if some of it was read.

    A transfer that is not new is that of the same request, repeated. Raises TransferRefused, NoSlot.
    """
    with ExitStack() as slot:
        try:
            slot.enter_context(receiving.taken_by(user.pk))
        except NoSlot:
            return None, None  # The transfer is created, and its bytes come later.
        body = open_body(request, new.size)
        # First, so that the store is asked once for a file that takes longer.
        content = body.fill(FILL_SECONDS)
        return _start(user, new, content) if content is not None else None, body


def _start(user: User, new: NewTransfer, content: memoryview) -> Started | None:
    with creating.taken_by(user.pk):
        file = prepare(new)
    if not isinstance(file, WholeFile):
        return file
    try:
        return file.create(content)
    except OSError as error:
        # It is created without its bytes then, and receiving them says what is wrong.
        log.warning("a file of %s bytes could not be staged: %s", len(content), error)
        return None
