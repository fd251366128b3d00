"""Staged parts whose files this node no longer has: its disk was replaced or emptied, or a file was deleted.

If the file can arrive again, its parts wait for their bytes from the first missing one on. If not, the transfer fails.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.domain.part_numbers import name_numbers
from uploads.domain.states import NEEDS_NODE, PART_STATES, DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.problems import Code, Problem
from uploads.services.staging import nodes
from uploads.services.staging.writing import only_writer
from uploads.services.transfers.ending import fail_transfer
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR, problem_fields
from uploads.services.work.leases import free
from uploads.services.work.transitions import change
from uploads.staging.disk import WriterBusy

log = logging.getLogger(__name__)

BYTES_GONE = "BytesGone"
"""The error code of every transfer with lost bytes. The reason says more."""

NO_BYTES: dict[str, Any] = {
    "received": 0,
    "moved": 0,
    "reserved_bytes": 0,
    "crc64": "",
    "sha256_state": None,
    "etag": "",
    "store_upload": None,
    "sent_at": None,
    **leases.RELEASED,
    **leases.SUCCEEDED,
    **NO_ERROR,
}
"""The columns of a part without a byte."""


def has_file(part: Part) -> bool:
    """Whether the whole part is on the disk of this node."""
    try:
        return part.staged_path.stat().st_size == part.size
    except FileNotFoundError:
        return not part.size


def is_still_staged(part: Part) -> bool:
    """Whether the bytes of a part are staged: by the disk on its own node, by the database without that disk."""
    by_database = bool(part.reserved_bytes) or not part.size
    if not part.transfer.is_staged_here:
        return by_database
    return has_file(part) or (by_database and not nodes.has_disk())


def can_arrive_again(transfer: Transfer) -> bool:
    """Whether its sender can send bytes again that have arrived: it still sends, or a page finds the transfer again."""
    return transfer.resumable and (bool(transfer.fingerprint) or not transfer.all_received)


def settle_missing_files(transfer: Transfer) -> bool:
    """Compare the staged parts of a transfer of this node with their files. Returns whether bytes are lost.

    Raises OSError; NodeConflict while the disk of the node is not here; WriterBusy while bytes arrive, or while a
    later part is being sent: try again later.
    """
    nodes.check_disk()
    with only_writer(transfer), transaction.atomic():
        current = Transfer.objects.select_for_update().get(pk=transfer.pk)
        if current.phase not in NEEDS_NODE | {Phase.FAILED} or current.desired_state == DesiredState.CANCEL:
            return False
        _release_absent(current)
        missing = _missing_parts(current)
        if not missing:
            return False
        nodes.check_disk()  # It may have been unmounted since.
        _settle(current, missing)
    return True


def _missing_parts(transfer: Transfer) -> list[Part]:
    sizes = transfer.folder.whole_sizes()
    staged = transfer.parts.filter(state=PartState.STAGED, size__gt=0).order_by("number")
    return [part for part in staged if sizes.get(part.number) != part.size]


def _release_absent(transfer: Transfer) -> None:
    """Release what is reserved for parts that have not arrived and have no file."""
    waiting = transfer.parts.filter(state=PartState.WAITING, reserved_bytes__gt=0)
    absent = [part.pk for part in waiting if not transfer.folder.arrived(part.number)]
    Part.objects.filter(pk__in=absent).update(reserved_bytes=0, received=0)


def _settle(transfer: Transfer, missing: Sequence[Part]) -> None:
    numbers = name_numbers([part.number for part in missing])
    problem = Problem(Code.STAGED_BYTES_LOST, node=transfer.node, count=len(missing), parts=numbers)
    log.warning("transfer %s: %s", transfer.pk, problem)
    if can_arrive_again(transfer):
        _wait_again(transfer, missing[0].number, problem)
        audit.record_transfer(None, "bytes-lost", transfer, parts=numbers)
    else:
        change(PART_STATES, transfer.parts.filter(pk__in=[part.pk for part in missing]), PartState.WAITING, **NO_BYTES)
        fail_transfer(transfer.pk, problem_fields(problem) | {"error_code": BYTES_GONE})
    if transfer.phase == Phase.FAILED:
        _add_detail(transfer, problem)


def _wait_again(transfer: Transfer, first: int, problem: Problem) -> None:
    """A file arrives in order: from the first missing part on, every part waits for its bytes."""
    rows = transfer.parts.filter(number__gte=first)
    if rows.filter(state=PartState.SENDING).exclude(free()).exists():
        raise WriterBusy(Problem(Code.WRITER_BUSY))
    change(PART_STATES, rows, PartState.WAITING, **NO_BYTES)
    rows.update(received=0, reserved_bytes=0)
    for number in rows.values_list("number", flat=True):
        transfer.folder.whole(number).unlink(missing_ok=True)
        transfer.folder.partial(number).unlink(missing_ok=True)
    arriving: dict[str, Any] = {"all_received": False, "received_at": timezone.now(), "sha256": ""}
    if transfer.phase != Phase.FAILED:
        arriving |= problem_fields(problem) | {"error_code": BYTES_GONE}
    Transfer.objects.filter(pk=transfer.pk).update(quota_refused_at=None, **arriving)


def _add_detail(transfer: Transfer, problem: Problem) -> None:
    """A failed transfer keeps the reason of its failure, and gets this one as a detail."""
    details = [*transfer.error_params.get("details", ()), problem.as_json()]
    Transfer.objects.filter(pk=transfer.pk).update(error_params={**transfer.error_params, "details": details})
