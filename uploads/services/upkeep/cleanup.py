"""Cleaning staging: transfers that expired are cancelled, and what a crash left behind is recovered or removed."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from uploads import crash
from uploads.domain.states import FINAL_PHASES, PartState
from uploads.models import Part, Transfer
from uploads.models.transfer import steps_queue
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.staging.nodes import ID_FILE, NodeConflict
from uploads.services.staging.writing import only_writer
from uploads.services.transfers.missing_files import settle_missing_files
from uploads.services.transfers.receive import QuotaExceeded, ReceivingStopped, recover
from uploads.services.transfers.steps import StepRefused, request_cancel
from uploads.services.work.failures import problem_fields
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.rounds import only_one
from uploads.staging.disk import StagingFolder, WriterBusy

log = logging.getLogger(__name__)

Thing = TypeVar("Thing")

WRITER_SECONDS = 2.0
"""When to try again to remove the bytes of a transfer that still receives. It stops within about a second."""


def expire(transfer: Transfer) -> None:
    """Cancel a transfer of which nothing has arrived for too long, with its upload in the store."""
    problem = Problem(Code.EXPIRED, silent_seconds=settings.STAGING_EXPIRY)
    Transfer.objects.filter(pk=transfer.pk).update(**problem_fields(problem))
    crash.point("expiry.recorded")
    try:
        request_cancel(None, transfer, reason=problem)
    except StepRefused:
        return  # The transfer is already being cancelled.


def sweep_staging() -> None:
    """At the start of a node: remove every folder in its staging that belongs to no transfer in progress.

    Complete parts that are not in the database are recovered, and files of parts that are in the store are removed.
    A folder without the name of a transfer was not created by Partway and stays, as does one of another node. Then
    the parts are looked for that should be here and are not.
    """
    staging = Path(settings.STAGING_DIR)
    if staging.exists():
        for path in sorted(staging.iterdir()):
            if not path.name.startswith(ID_FILE):
                _carefully(path.name, partial(_sweep, path))
    for transfer in _with_staged_bytes():
        _carefully(str(transfer.pk), partial(settle_missing_files, transfer))


def _with_staged_bytes() -> QuerySet[Transfer]:
    """The transfers of this node that have not ended and that have bytes on its disk, by the database."""
    parts = Part.objects.filter(reserved_bytes__gt=0, transfer__node=settings.NODE_NAME)
    return Transfer.objects.filter(pk__in=parts.values("transfer")).exclude(phase__in=FINAL_PHASES)


def _carefully(name: str, act: Callable[[], object]) -> None:
    """Call `act`. An exception is logged, and does not stop the caller."""
    try:
        act()
    except (WriterBusy, ReceivingStopped, QuotaExceeded) as reason:
        log.info("staging %s: left unchanged: %s", name, reason)
    except (OSError, NodeConflict) as error:
        log.warning("staging %s: %s", name, error)
    except Exception:
        log.exception("staging %s: internal error", name)


def _sweep(path: Path) -> None:
    try:
        transfer_id = uuid.UUID(path.name)
    except ValueError:
        log.warning("staging: %s was not created by Partway and stays", path)
        return
    transfer = Transfer.objects.select_related("store").filter(pk=transfer_id).first()
    folder = StagingFolder(path)
    if transfer is not None and not transfer.is_staged_here:
        log.warning("staging %s: belongs to the node %s and stays", path.name, transfer.node)
        return
    if transfer is None:
        with folder.until_it_is_known(), folder.writer():
            _remove_unknown(transfer_id, folder)
        return
    if transfer.phase in FINAL_PHASES:
        with folder.writer():
            log.warning("staging %s: removed, because its transfer has ended", path.name)
            quota.release_all(transfer)
        return
    with only_writer(transfer):
        _remove_stray_files(transfer)
    if transfer.resumable and not transfer.all_received:
        recover(transfer)


def _remove_unknown(transfer_id: uuid.UUID, folder: StagingFolder) -> None:
    """A whole file is staged before its transfer is created, which its writer may have done a moment ago."""
    if not Transfer.objects.filter(pk=transfer_id).exists():
        log.warning("staging %s: removed, because it belongs to no transfer", transfer_id)
        folder.remove()


def remove_staged(transfer_id: uuid.UUID) -> None:
    """Remove what is staged here of a transfer that another node has ended. While bytes arrive: a little later."""
    transfer = Transfer.objects.filter(pk=transfer_id, node=settings.NODE_NAME, phase__in=FINAL_PHASES).first()
    if transfer is None:
        return
    try:
        with transfer.folder.writer():
            quota.release_all(transfer)
    except WriterBusy:
        queue = steps_queue(settings.NODE_NAME)
        enqueue_on_commit("remove_staged", [transfer.pk], queue=queue, countdown=WRITER_SECONDS)


def _remove_stray_files(transfer: Transfer) -> None:
    states = dict(transfer.parts.values_list("number", "state"))
    for number, state in states.items():
        if state == PartState.SENT and not transfer.by_put_object:
            transfer.folder.whole(number).unlink(missing_ok=True)
        if state != PartState.WAITING:
            transfer.folder.partial(number).unlink(missing_ok=True)
    # A partial file without a row has no reserved bytes, so nothing may be written to it: the browser sends it again.
    for number, path in transfer.folder.partials():
        if number not in states:
            path.unlink()
    if not transfer.by_put_object:
        Part.objects.filter(transfer=transfer, state=PartState.SENT, reserved_bytes__gt=0).update(reserved_bytes=0)


# --- What workers that died have left ---------------------------------------------------------------------------------


MAX_LEFT = 200
"""Parts, and transfers, that one run releases. The next run has the others."""


def nodes_with_left_bytes() -> list[str]:
    """The nodes with something to release, by the database. Only a process of the node can do it."""
    nodes = {*_sent_and_left().values_list("transfer__node", flat=True).order_by().distinct()}
    nodes |= {*_ended_and_left().values_list("node", flat=True).order_by().distinct()}
    return sorted(nodes)


def release_left_bytes() -> None:
    """Release what is staged here and not needed any more, because the process that should have removed it died."""
    with only_one(f"staging of {settings.NODE_NAME}") as held:
        if held is None:
            return
        here = settings.NODE_NAME
        _each(_sent_and_left().filter(transfer__node=here).select_related("transfer")[:MAX_LEFT], quota.release)
        held.renew()
        _each(_ended_and_left().filter(node=here)[:MAX_LEFT], quota.release_all)


def _each(things: Iterable[Thing], act: Callable[[Thing], object]) -> None:
    for thing in things:
        try:
            act(thing)
        except Exception:
            log.exception("staging: internal error at %s", thing)


def _sent_and_left() -> QuerySet[Part]:
    # The process that has sent a part is about to remove it itself.
    old = timezone.now() - timedelta(seconds=settings.LOST_MESSAGE_SECONDS)
    return Part.objects.filter(
        state=PartState.SENT,
        reserved_bytes__gt=0,
        sent_at__lt=old,
        transfer__part_count__gt=1,  # The bytes of PutObject stay until the transfer ends.
    ).order_by("sent_at")


def _ended_and_left() -> QuerySet[Transfer]:
    return Transfer.objects.filter(release_at__lte=timezone.now()).order_by("release_at")
