"""Starting the transfers of several small files that come in one request, with the statements of one.

Most files of a folder are new, and nothing is in the way of their keys. They are looked at together, and created in one
transaction. All others are started one by one, by `start`: those with an unfinished transfer, those whose key another
file of the request has, and those that are not small.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.db import connections, transaction
from django.utils import timezone

from uploads import audit, crash
from uploads.database.prepared import InsertMany
from uploads.domain.planning import Plan
from uploads.models import Transfer
from uploads.services.browse.browsing import ExistingObject
from uploads.services.staging import quota
from uploads.services.stores.clients import keeping_clients
from uploads.services.transfers.destination import first_folder
from uploads.services.transfers.file_queue import SMALL_FILE
from uploads.services.transfers.free_keys import Key, has_room, key_of, used_keys
from uploads.services.transfers.identity import transfer_id_of
from uploads.services.transfers.start import (
    REPEATED_WITHIN,
    NewTransfer,
    Started,
    TransferRefused,
    check_names,
    existing_object,
    find_repeated,
    lock,
    new_row,
    plan_of,
    replacement_columns,
    require_destination,
    start,
)

THREADS = 4
"""Requests to stores at the same time. Those of another request, to another store, do not wait for them."""

_INSERT_MANY = InsertMany(Transfer)

Outcome = Started | TransferRefused


@dataclass(slots=True)
class _File:
    """A file whose key is free, and what was found out about it."""

    new: NewTransfer
    plan: Plan
    columns: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome | None = None


def start_together(news: Sequence[NewTransfer]) -> list[Outcome]:
    """As `start` for files of one owner, in their order. A file that cannot start does not keep others from it."""
    files = dict(_plain_files(news))
    with keeping_clients():
        used = used_keys(file.new for file in files.values())
        files = {number: file for number, file in files.items() if key_of(file.new) not in used}
        _look(files.values())
        _create([file for file in files.values() if file.outcome is None])
        outcomes = {number: file.outcome for number, file in files.items()}
        return [outcomes.get(number) or _start_alone(new) for number, new in enumerate(news)]


def _start_alone(new: NewTransfer) -> Outcome:
    try:
        return start(new)
    except TransferRefused as refusal:
        return refusal


def _plain_files(news: Sequence[NewTransfer]) -> Iterator[tuple[int, _File]]:
    """The files that may be started together, by their places. The others are started alone, or refused there."""
    keys = set[Key]()
    for number, new in enumerate(news):
        key = key_of(new)
        is_plain = new.with_bytes and 0 < new.size <= SMALL_FILE and not new.verify_sha256 and new.discard is None
        if not is_plain or key in keys:
            continue
        keys.add(key)
        try:
            plan = plan_of(new)
            check_names(new, plan)
        except TransferRefused:
            continue
        if plan.part_count == 1:
            yield number, _File(new, plan)


# --- What the store says ----------------------------------------------------------------------------------------------


def _look(files: Iterable[_File]) -> None:
    """Find out what each file may replace, or why it is refused."""
    accepted = _accepted(files)
    with ThreadPoolExecutor(THREADS, "look") as threads:
        found = [threads.submit(copy_context().run, _ask, file.new) for file in accepted]
    known: list[tuple[_File, ExistingObject]] = []
    for file, existing in zip(accepted, found, strict=True):
        try:
            known.append((file, existing.result()))
        except TransferRefused as refusal:
            file.outcome = refusal
    recent = _done_lately(existing for _, existing in known)
    for file, shown in known:
        try:
            _decide(file, shown, recent)
        except TransferRefused as refusal:
            file.outcome = refusal


def _done_lately(found: Iterable[ExistingObject]) -> set[uuid.UUID]:
    """The transfers that have written these objects, if a request could still be the same one, repeated."""
    named = [transfer_id_of(existing.facts) for existing in found if existing.facts is not None]
    writers = {writer for writer in named if writer is not None}
    if not writers:
        return set()
    rows = Transfer.objects.filter(pk__in=writers, finished_at__gte=timezone.now() - REPEATED_WITHIN)
    return set(rows.values_list("pk", flat=True))


def _ask(new: NewTransfer) -> ExistingObject:
    """`existing_object` in a thread, which keeps no connection to the database: a failure of the store is recorded."""
    try:
        return existing_object(new)
    finally:
        connections.close_all()


def _decide(file: _File, existing: ExistingObject, recent: Collection[uuid.UUID]) -> None:
    """The decisions of `start`, in its order."""
    writer = transfer_id_of(existing.facts) if existing.facts is not None else None
    repeated = find_repeated(file.new, existing) if writer in recent else None
    if repeated is not None:
        file.outcome = Started(repeated)
    else:
        file.columns = replacement_columns(file.new, existing)


def _accepted(files: Iterable[_File]) -> list[_File]:
    """Those whose destination the store does not refuse. It is asked once for each, also if it refuses."""
    refusals: dict[object, TransferRefused] = {}
    accepted = []
    for file in files:
        destination = (file.new.store.pk, file.new.bucket, first_folder(file.new.key))
        if destination not in refusals:
            try:
                require_destination(file.new.store, file.new.bucket, file.new.key)
            except TransferRefused as refusal:
                refusals[destination] = refusal
        file.outcome = refusals.get(destination)
        if file.outcome is None:
            accepted.append(file)
    return accepted


# --- Their rows -------------------------------------------------------------------------------------------------------


def _create(files: Sequence[_File]) -> None:
    """Create those whose key is still free; none of them if their owner may not have so many transfers in progress."""
    if not files:
        return
    with transaction.atomic():
        owner = files[0].new.owner
        lock([owner], [file.new.store for file in files])
        used = used_keys(file.new for file in files)
        free = [file for file in files if key_of(file.new) not in used]
        if free and has_room(owner, len(free)):
            _insert(owner, free)
    crash.point("together.created")


def _insert(owner: User, files: Sequence[_File]) -> None:
    rows = [_row(file) for file in files]
    _INSERT_MANY(rows)
    details = {row: {"size": row.size, "replace": file.new.replace} for row, file in zip(rows, files, strict=True)}
    audit.record_transfers(owner, "begun", details)
    reserved = quota.reserve_only_parts(rows)
    for row, file in zip(rows, files, strict=True):
        file.outcome = Started(row, is_new=True, reserved=reserved.get(row.pk))


def _row(file: _File) -> Transfer:
    row = new_row(file.new, file.plan, file.columns)
    row.progressed_at = row.received_at
    return row
