"""Decides what transfers need next and enqueues it. Can be called at any time, any number of times, on any node.

Many transfers take as many statements as one. Only parts need the node that stages them. Nothing is enqueued for a node
that is silent: when it is heard again, it dispatches its transfers itself.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from uploads.database.prepared import First, Given, Rows
from uploads.domain.states import PHASES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import Part, StoreUpload, Transfer
from uploads.models.node import silent_nodes
from uploads.services.staging import expected_sha256
from uploads.services.transfers.file_queue import SMALL_FILE, enqueue_files
from uploads.services.work.leases import due, free
from uploads.services.work.queue import enqueue_rows
from uploads.services.work.transitions import change

NEEDED = (
    *("phase", "desired_state", "all_received", "size", "part_count", "node"),
    *("verify_sha256", "expected_sha256", "sha256"),
)

WINDOW = 4
"""Parts of one transfer that are enqueued or being sent at a time, so that no transfer starves the others."""


@transaction.atomic(savepoint=False)
def dispatch(transfer_id: uuid.UUID) -> None:
    """Enqueue the next steps of a transfer: parts, the upload in the store, the completion or the cancellation."""
    # The lock of the row makes a process that has sent a part wait, and then see all parts that were staged before.
    transfer = _LOCKED(id=transfer_id)
    if transfer is not None:
        _run([transfer])


@transaction.atomic(savepoint=False)
def dispatch_many(transfer_ids: Collection[uuid.UUID]) -> None:
    """As `dispatch`. Transfers that another process changes now are left out: that process dispatches them."""
    _run(_unfinished(Transfer.objects.select_for_update(skip_locked=True).filter(pk__in=transfer_ids)))


def _unfinished(rows: QuerySet[Transfer]) -> QuerySet[Transfer]:
    return rows.only(*NEEDED).order_by().exclude(phase__in=PHASES.final)


_LOCKED = First(Transfer, lambda: _unfinished(Transfer.objects.select_for_update().filter(pk=Given(Transfer, "id"))))


def _run(rows: Iterable[Transfer]) -> None:
    by_state: dict[DesiredState, list[Transfer]] = defaultdict(list)
    for transfer in rows:
        by_state[DesiredState(transfer.desired_state)].append(transfer)
    _enqueue_steps("cancel_transfer", by_state[DesiredState.CANCEL])
    running = by_state[DesiredState.RUN]
    moving = [transfer for transfer in running if transfer.phase in (Phase.RECEIVING, Phase.SENDING)]
    completing = [transfer for transfer in running if transfer.phase == Phase.COMPLETING]
    if moving:
        completing += _send(_next_of(moving))
    _enqueue_steps("complete_transfer", completing)


@dataclass(slots=True)
class _Next:
    """What some transfers need, which are receiving or sending."""

    starting: list[Transfer] = field(default_factory=list)
    uploads: list[Transfer] = field(default_factory=list)
    completing: list[Transfer] = field(default_factory=list)
    parts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The ids of parts to send, by the node that has them."""
    files: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """The same for small files, which are sent together."""


def _next_of(transfers: Iterable[Transfer]) -> _Next:
    known = {transfer.pk: transfer for transfer in transfers}
    result = _Next()
    # Read after the rows were locked: a subquery of the locking statement would not see what the lock waited for.
    for facts in _facts_of(known):
        transfer = known[facts["pk"]]
        if transfer.phase == Phase.RECEIVING:
            if not facts["has_staged"]:
                continue
            result.starting.append(transfer)
        if facts["busy"] >= WINDOW:
            continue
        if transfer.all_received and not facts["has_unsent"]:
            # The transfer with another SHA-256 failed when its last byte was received.
            if not expected_sha256.mismatch(transfer, transfer.expected_sha256, transfer.sha256):
                result.completing.append(transfer)
        elif not transfer.by_put_object and not facts["has_upload"]:
            result.uploads.append(transfer)
        elif transfer.all_received or not transfer.by_put_object:
            # PutObject creates the object: not before the SHA-256 of the whole file was checked.
            waiting = [facts[name] for name in NEXT_PARTS if facts[name] is not None]
            is_small = transfer.by_put_object and transfer.size <= SMALL_FILE
            ids = result.files if is_small else result.parts
            ids[transfer.node] += waiting[: WINDOW - facts["busy"]]
    return result


def _send(found: _Next) -> list[Transfer]:
    """Write what was found and enqueue it. Returns the transfers to complete."""
    _change_phase(found.starting, Phase.SENDING, Phase.RECEIVING, sending_at=timezone.now())
    _enqueue_steps("open_store_upload", found.uploads)
    silent = silent_nodes() if found.parts or found.files else {}
    for node, ids in found.parts.items():
        if ids and node not in silent:
            enqueue_rows("send_part", ids, node=node)
    for node, ids in found.files.items():
        if ids and node not in silent:
            enqueue_files(node, ids)
    # PutObject has created the object already.
    put = [transfer for transfer in found.completing if transfer.by_put_object]
    multipart = [transfer for transfer in found.completing if not transfer.by_put_object]
    _change_phase(put, Phase.COMPLETING, Phase.SENDING, tries=0, completed_at=timezone.now())
    _change_phase(multipart, Phase.COMPLETING, Phase.SENDING, tries=0)
    return found.completing


def _change_phase(transfers: Sequence[Transfer], to: Phase, since: Phase, **fields: object) -> None:
    if transfers:
        rows = Transfer.objects.filter(pk__in=[transfer.pk for transfer in transfers])
        change(PHASES, rows, to, {since}, **fields)


def _enqueue_steps(task: str, transfers: Iterable[Transfer]) -> None:
    """Enqueue a step of each of the transfers, unless one is running, enqueued or deferred."""
    if ids := [transfer.pk for transfer in transfers]:
        enqueue_rows(task, ids, only=idle())


def idle() -> Q:
    """Rows that no process works on, and that are neither enqueued nor deferred."""
    return free() & due() & Q(queued_at__isnull=True)


# --- What the parts of a transfer need, found through small indexes ---------------------------------------------------

NEXT_PARTS = tuple(f"next_{number}" for number in range(WINDOW))
FACTS = ("has_staged", "has_unsent", "has_upload", "busy", *NEXT_PARTS)


def with_part_facts(transfers: QuerySet[Transfer], now: datetime | Given | None = None) -> QuerySet[Transfer]:
    """Transfers with what decides on their next step. `busy`: parts that are enqueued or being sent.

    `next_0` and so on are the first parts to enqueue. However many parts a transfer has, a few of them are read.
    """
    parts = Part.objects.filter(transfer=OuterRef("pk")).order_by()
    uploads = StoreUpload.objects.filter(transfer=OuterRef("pk"), state=StoreUploadState.OPEN)
    waiting = parts.filter(due(now), **TO_ENQUEUE).order_by("number").values("pk")
    return transfers.annotate(
        has_staged=Exists(parts.filter(state=PartState.STAGED)),
        has_unsent=Exists(unsent(parts)),
        has_upload=Exists(uploads),
        busy=_count(parts.filter(state=PartState.SENDING)) + _count(parts.filter(queued_at__isnull=False)),
        **{name: Subquery(waiting[number : number + 1]) for number, name in enumerate(NEXT_PARTS)},
    )


def _facts_of(transfer_ids: Collection[uuid.UUID]) -> list[dict[str, Any]]:
    """FACTS and `pk` of each transfer."""
    if len(transfer_ids) > 1:
        rows = with_part_facts(Transfer.objects.filter(pk__in=transfer_ids))
        return list(rows.values("pk", *FACTS).order_by())
    (transfer_id,) = transfer_ids
    return [dict(zip(("pk", *FACTS), row, strict=True)) for row in _FACTS(id=transfer_id, now=timezone.now())]


_FACTS = Rows(
    lambda: (
        with_part_facts(Transfer.objects.filter(pk=Given(Transfer, "id")), Given(Part, "not_before", "now"))
        .values_list("pk", *FACTS)
        .order_by()
    )
)
"""Each part that arrives and each that is sent asks for them, so their statement is built once."""

TO_ENQUEUE = {"state": PartState.STAGED, "queued_at__isnull": True}


def unsent(parts: QuerySet[Part]) -> QuerySet[Part]:
    """A large file has thousands of parts that are sent: they are not read.

    SQLite looks for each of the states, and PostgreSQL uses the index `part_unsent`.
    """
    return parts.filter(state__in=(PartState.WAITING, PartState.STAGED, PartState.SENDING))


def _count(parts: QuerySet[Part]) -> Coalesce:
    counted = parts.values("transfer_id").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(counted), 0)


# --- What the watchdog looks for --------------------------------------------------------------------------------------


def due_transfers(limit: int) -> list[uuid.UUID]:
    """At most `limit` transfers that need a step which nobody has enqueued: a process died, or a message was lost."""
    found: list[uuid.UUID] = []
    for rows in (_to_cancel(), _to_complete(), _due_parts()):
        found += rows.order_by().values_list("pk", flat=True)[: limit - len(found)]
        if len(found) >= limit:
            break
    return found


def _to_cancel() -> QuerySet[Transfer]:
    unfinished = sorted(set(Phase) - PHASES.final)
    return Transfer.objects.filter(idle(), desired_state=DesiredState.CANCEL, phase__in=unfinished)


def _to_complete() -> QuerySet[Transfer]:
    return Transfer.objects.filter(idle(), desired_state=DesiredState.RUN, phase=Phase.COMPLETING)


def _due_parts() -> QuerySet[Transfer]:
    """Transfers that are receiving or sending, and lack a step. Parts of silent nodes wait for their node.

    Each condition is a subquery with a limit, because PostgreSQL would read all parts for an EXISTS.
    """
    parts = Part.objects.filter(transfer=OuterRef("pk")).order_by()
    rows = Transfer.objects.filter(
        idle(), desired_state=DesiredState.RUN, phase__in=(Phase.RECEIVING, Phase.SENDING)
    ).annotate(
        waiting=Subquery(parts.filter(due(), **TO_ENQUEUE).order_by("number").values("pk")[:1]),
        unsent=Subquery(unsent(parts).values("pk")[:1]),
        upload=Subquery(
            StoreUpload.objects.filter(transfer=OuterRef("pk"), state=StoreUploadState.OPEN).order_by().values("pk")[:1]
        ),
        busy=_count(parts.filter(state=PartState.SENDING)) + _count(parts.filter(queued_at__isnull=False)),
    )
    is_multipart = Q(part_count__gt=1)
    has_digest = Q(verify_sha256=False) | (Q(sha256=F("expected_sha256")) & ~Q(sha256=""))
    to_start = Q(phase=Phase.RECEIVING, waiting__isnull=False)
    to_open = is_multipart & Q(upload__isnull=True) & (Q(all_received=False) | Q(unsent__isnull=False))
    to_send = (
        ~Q(node__in=silent_nodes())
        & Q(waiting__isnull=False, busy__lt=WINDOW)
        & ((is_multipart & Q(upload__isnull=False)) | (~is_multipart & Q(all_received=True)))
    )
    to_complete = Q(all_received=True, unsent__isnull=True) & has_digest
    return rows.filter(to_start | Q(phase=Phase.SENDING) & (to_open | to_send | to_complete))
