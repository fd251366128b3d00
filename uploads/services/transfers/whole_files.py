"""Small files whose bytes have all arrived before anything is known of them: one transaction, and no rows that change.

Most small files come in one request, within milliseconds. Their bytes are staged and synced first, in the folder of a
transfer that does not exist yet. Then the transfer is created as one whose file has arrived, and enqueued. Requests
that come at the same time share a transaction. If the process dies before that, nobody knows the folder, and it is
removed when the node starts (`sweep_staging`).

Whatever may need a decision is left to `start` and `Receiver`: another transfer with the key, a digest to verify,
little space, a node that is not heard.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction

from uploads import audit, crash
from uploads.database.prepared import Exists, Given, InsertMany
from uploads.domain.planning import Plan
from uploads.domain.states import PartState, Phase
from uploads.models import AuditEntry, Part, StagingNode, Transfer
from uploads.models.node import silent_before
from uploads.services.staging import quota
from uploads.services.transfers.file_queue import enqueue_new_files
from uploads.services.transfers.free_keys import Key, has_room, key_of, used_keys
from uploads.services.transfers.start import (
    NewTransfer,
    Started,
    check_names,
    is_key_used,
    lock,
    look_at_store,
    new_row,
    plan_of,
)
from uploads.services.work.combining import Combiner
from uploads.staging.body import BLOCK_SIZE
from uploads.staging.disk import sync_folder

LARGEST = BLOCK_SIZE
"""Bytes of the largest file that is received like this. It is in memory as a whole."""

MOST_AT_ONCE = 32
"""Files of one transaction."""

PAUSE_SECONDS = 5.0
"""How long no file is received like this after space was not ample, as bytes are staged before they are reserved, or
after the disk failed.
"""


class _Pause:
    until = 0.0

    @classmethod
    def begin(cls) -> None:
        cls.until = time.monotonic() + PAUSE_SECONDS


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file that may be created: nothing is in the way of its key."""

    new: NewTransfer
    plan: Plan
    columns: dict[str, Any]

    def create(self, content: memoryview) -> Started | None:
        """Stage all of its bytes and create its transfer. None if `start` has to decide. Raises OSError."""
        file = _File(self.new, _row(self))
        folder = file.row.folder
        try:
            with folder.holding_whole_file(content):
                _create_with_others(file)
        except OSError:
            # Such as a full disk, or one on which folders cannot be locked.
            _Pause.begin()
            raise
        finally:
            if not file.is_created:
                _remove_bytes(file.row)
        return Started(file.row, is_new=True) if file.is_created else None


def is_possible(new: NewTransfer) -> bool:
    """Whether the file is small, nothing is to be verified or discarded first, and no failure was a moment ago."""
    is_plain = not new.verify_sha256 and not new.expected_sha256 and new.discard is None
    return 0 < new.size <= LARGEST and is_plain and time.monotonic() >= _Pause.until


def prepare(new: NewTransfer) -> WholeFile | Started | None:
    """A possible file that may be created, or the transfer of the same request, repeated.

    None if `start` has to decide. Raises TransferRefused.
    """
    plan = plan_of(new)
    check_names(new, plan)
    # Where the store has to be asked, it is not asked for nothing.
    if plan.part_count > 1 or (not new.replacement.any_object and is_key_used(new)):
        return None
    columns = look_at_store(new)
    return columns if isinstance(columns, Started) else WholeFile(new, plan, columns)


def _row(file: WholeFile) -> Transfer:
    """The row of a transfer whose file has arrived."""
    row = new_row(file.new, file.plan, file.columns)
    row.phase = Phase.SENDING.value
    row.all_received = True
    row.progressed_at = row.sending_at = row.received_at
    return row


# --- One transaction for the files of several requests ----------------------------------------------------------------


class _File:
    """A file that is staged, with the rows to insert."""

    def __init__(self, new: NewTransfer, row: Transfer) -> None:
        self.new = new
        self.row = row
        self.part = Part(
            transfer=row,
            number=1,
            size=row.size,
            received=row.size,
            reserved_bytes=row.size,
            state=PartState.STAGED.value,
            queued_at=row.received_at,
        )
        self.entry: AuditEntry = audit.entry_of_transfer(new.owner, "begun", row, size=row.size, replace=new.replace)
        self.is_created = False


def _create_with_others(file: _File) -> None:
    """Create it, if nothing speaks against it (`is_created`)."""
    if not _creating.do(file):
        # The transaction may have been committed.
        file.is_created = _exists(file.row)
        if not file.is_created:
            _create([file])


def _exists(transfer: Transfer) -> bool:
    return Transfer.objects.filter(pk=transfer.pk).exists()


def _remove_bytes(transfer: Transfer) -> None:
    """If the outcome of its transaction is unknown, and the database does not say it, the bytes stay."""
    with suppress(OSError, DatabaseError):
        if not _exists(transfer):
            transfer.folder.remove()


def _create(files: Sequence[_File]) -> None:
    sync_folder(Path(settings.STAGING_DIR))
    crash.point("whole.staged")
    with transaction.atomic():
        lock([file.new.owner for file in files], [file.new.store for file in files])
        accepted = _with_room(_with_free_keys(files))
        if accepted and _is_heard() and _take_space(accepted):
            _insert(accepted)
        else:
            accepted = []
    for file in accepted:
        file.is_created = True
    crash.point("whole.created")


_creating = Combiner(_create, MOST_AT_ONCE)


def _with_free_keys(files: Sequence[_File]) -> list[_File]:
    used: set[Key] = used_keys(file.new for file in files)
    free = []
    for file in files:
        if key_of(file.new) not in used:
            used.add(key_of(file.new))
            free.append(file)
    return free


def _with_room(files: Sequence[_File]) -> list[_File]:
    """Without those of owners who may not have so many transfers in progress."""
    counts = Counter(file.new.owner for file in files)
    owners = {owner for owner, count in counts.items() if has_room(owner, count)}
    return [file for file in files if file.new.owner in owners]


def _is_heard() -> bool:
    return not _IS_SILENT(name=settings.NODE_NAME, silent_before=silent_before())


_IS_SILENT = Exists(
    lambda: StagingNode.objects.filter(
        name=Given(StagingNode, "name"),
        sender_heard_at__lt=Given(StagingNode, "sender_heard_at", "silent_before"),
    ).order_by()
)


def _take_space(files: Sequence[_File]) -> bool:
    is_ample = quota.take_for_all([file.row for file in files])
    if not is_ample:
        _Pause.begin()
    return is_ample


_INSERT_TRANSFERS = InsertMany(Transfer)
_INSERT_PARTS = InsertMany(Part)


def _insert(files: Sequence[_File]) -> None:
    _INSERT_TRANSFERS([file.row for file in files])
    audit.save([file.entry for file in files])
    _INSERT_PARTS([file.part for file in files])
    enqueue_new_files(settings.NODE_NAME, [file.row.pk for file in files])
