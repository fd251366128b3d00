"""Resuming a transfer with the plain form: the whole file is sent again, and the parts that are there are kept."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import User

from uploads import access
from uploads.access import AnyUser
from uploads.models import Transfer
from uploads.problems import Code, Problem, ProblemError
from uploads.staging.form_body import FormBody

RESUME = "resume"
"""The name of the field, and of the parameter of the page: the id of a transfer."""


class CannotResume(ProblemError):
    """The file cannot resume the transfer, which keeps what it has. `status` is the HTTP status."""

    def __init__(self, problem: Problem, status: int) -> None:
        super().__init__(problem)
        self.status = status


def resumable_transfer(user: AnyUser, text: str) -> Transfer | None:
    """The user's own unfinished transfer with this id, for the page; None if there is none."""
    try:
        transfer = access.transfer_to_send(user, uuid.UUID(text))
    except (ValueError, access.NotVisible, access.NotAllowed):
        return None
    return transfer if transfer.resumable and not transfer.all_received else None


def find_resumed(user: User, text: str, body: FormBody) -> Transfer | None:
    """The transfer that the form names, if its file can resume it; None if it names none. Raises CannotResume."""
    if not text:
        return None
    transfer = resumable_transfer(user, text)
    if transfer is None:
        raise CannotResume(Problem(Code.NO_SUCH_TRANSFER), 404)
    if not transfer.is_staged_here:
        raise CannotResume(Problem(Code.OTHER_NODE, node=transfer.node), 503)
    if transfer.verify_sha256 and not transfer.expected_sha256:
        raise CannotResume(Problem(Code.RESUME_NEEDS_DIGEST), 409)
    if body.file_size != transfer.size:
        sizes = {"size_bytes": body.file_size, "expected_bytes": transfer.size}
        raise CannotResume(Problem(Code.RESUMED_WITH_OTHER_SIZE, **sizes), 409)
    return transfer
