"""Keeping staging clean: what nobody will ever finish is cancelled, what a crash left behind is adopted or removed."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path

from django.conf import settings

from uploads import crash
from uploads.domain.states import FINAL_PHASES, PartState
from uploads.models import Part, Transfer
from uploads.services.staging import quota
from uploads.services.transfers.receive import QuotaExceeded, ReceivingStopped, recover
from uploads.services.transfers.steps import StepRefused, request_cancel
from uploads.staging.disk import StagingFolder, WriterBusy

log = logging.getLogger(__name__)


def expire(transfer: Transfer) -> None:
    """No byte has come for too long: cancel it, with its upload in the store."""
    hours = settings.STAGING_EXPIRY / 3600
    message = f"No byte came from the browser for {hours:g} hours: what was staged is cleaned away."
    Transfer.objects.filter(pk=transfer.pk).update(error_code="Expired", error_message=message, error_request_id="")
    crash.point("expiry.noted")
    try:
        request_cancel(None, transfer, reason=message)
    except StepRefused:
        return  # It is being cancelled already.


def sweep_staging() -> None:
    """At the start of a node: every folder in its staging belongs to a transfer that lives, or goes.

    Whole parts that nobody wrote down are adopted and leave; files of parts that are in the store go. What is not named
    like a transfer was not put there by us and is left alone.
    """
    staging = Path(settings.STAGING_DIR)
    if not staging.exists():
        return
    for path in sorted(staging.iterdir()):
        try:
            _sweep(path)
        except (WriterBusy, ReceivingStopped, QuotaExceeded) as reason:
            log.info("staging %s: left as it is: %s", path.name, reason)
        except OSError as error:
            log.warning("staging %s: %s", path.name, error)


def _sweep(path: Path) -> None:
    try:
        transfer_id = uuid.UUID(path.name)
    except ValueError:
        log.warning("staging: %s is not ours and is left alone", path)
        return
    transfer = Transfer.objects.select_related("store").filter(pk=transfer_id).first()
    folder = StagingFolder(path)
    if transfer is None or transfer.phase in FINAL_PHASES:
        with folder.writer():
            log.warning("staging %s: no living transfer has these bytes: removed", path.name)
            quota.release_all(transfer) if transfer else folder.remove()
        return
    with folder.writer():
        _drop_stray_files(transfer)
    if transfer.resumable and not transfer.all_received:
        recover(transfer)


def _drop_stray_files(transfer: Transfer) -> None:
    states = dict(transfer.parts.values_list("number", "state"))
    for number, state in states.items():
        if state == PartState.SENT:
            transfer.folder.whole(number).unlink(missing_ok=True)
        if state != PartState.WAITING:
            transfer.folder.partial(number).unlink(missing_ok=True)
    # A partial file without a row holds no room, so nobody may write to it: its bytes are sent again.
    for number, path in transfer.folder.partials():
        if number not in states:
            path.unlink()
    Part.objects.filter(transfer=transfer, state=PartState.SENT, reserved_bytes__gt=0).update(reserved_bytes=0)
