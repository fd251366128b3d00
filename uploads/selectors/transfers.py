"""Reading transfers for pages: their progress, why they wait, the states of their parts, possible orphans."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from django.db.models import Count, Exists, F, Min, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from uploads import access
from uploads.access import AnyUser
from uploads.database.prepared import Given, GivenKeys, Rows
from uploads.domain.pace import WINDOW_SECONDS, rate_of, rate_since
from uploads.domain.states import (
    LIVE_PHASES,
    DesiredState,
    PartState,
    Phase,
    StoreUploadState,
    TransferState,
)
from uploads.models import Part, Store, StoreUpload, Transfer
from uploads.models.node import lost_nodes, silent_nodes
from uploads.models.transfer import browser_is_silent
from uploads.objectstore.errors import Reason
from uploads.problems import Code, Problem, RecordedError

WAITING_AFTER: Mapping[str, Code] = {
    Reason.CREDENTIALS_EXPIRED: Code.WAITING_FOR_CREDENTIALS,
    Reason.SECRET_UNREADABLE: Code.WAITING_FOR_SECRET,
    Reason.CLOCK_SKEW: Code.WAITING_FOR_CLOCK,
    Reason.STORE_FULL: Code.WAITING_FOR_STORE_SPACE,
    Code.STAGED_BYTES_LOST: Code.BROWSER_STOPPED,
}
"""What a transfer waits for after an error, by its reason. After every other error it waits for its next attempt."""


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """The progress of a transfer: bytes, parts, bytes per second (None if not known), seconds left."""

    bytes_received: int = 0
    bytes_sent: int = 0
    parts_received: int = 0
    parts_sent: int = 0
    receive_rate: float | None = None
    send_rate: float | None = None
    seconds_left: float | None = None
    upload_id: str = ""
    possible_orphans: tuple[str, ...] = ()
    """Upload ids of which an operator has to decide whether the transfer started them."""
    part_error: RecordedError | None = None
    """The last error of the first part that failed and is not sent yet."""


@dataclass(frozen=True, slots=True)
class PartRun:
    """Consecutive parts of a transfer in one state, both ends included.

    `absent`: nothing was received. `arriving`: a single part of which some bytes were received, `share` of them.
    """

    first: int
    last: int
    state: Literal["absent", "waiting", "arriving", "staged", "sending", "sent"]
    share: float = 1.0


def note_silent_nodes(transfers: Iterable[Transfer]) -> None:
    """Set since when the node of each transfer is silent: one query."""
    silent = silent_nodes()
    for transfer in transfers:
        transfer.node_silent_since = silent.get(transfer.node)


def progress_of(transfers: Sequence[Transfer]) -> dict[uuid.UUID, TransferProgress]:
    """The progress of each transfer of a page: three queries for any number of transfers, four if parts have failed.

    The transfers also get to know whether their nodes are silent.
    """
    note_silent_nodes(transfers)
    now = timezone.now()
    ids = [transfer.pk for transfer in transfers]
    rows = _part_sums(ids, now)
    uploads, suspects = _upload_ids(ids)
    errors = _part_errors([row["failing"] for row in rows.values() if row["failing"] is not None])
    progress = {
        transfer.pk: _progress(transfer, rows.get(transfer.pk), uploads.get(transfer.pk, ""), now)
        for transfer in transfers
    }
    return {
        pk: replace(each, possible_orphans=suspects.get(pk, ()), part_error=errors.get(pk))
        for pk, each in progress.items()
    }


@dataclass(frozen=True, slots=True)
class SelectedFile:
    """A file selected in a browser: its key, its size in bytes, and the fingerprint of its content."""

    key: str
    size: int
    fingerprint: str


def find_known(user: AnyUser, store: Store, bucket: str, files: Sequence[SelectedFile]) -> list[tuple[Transfer, int]]:
    """The user's own transfers that these files resume, and the number of bytes that each has received."""
    selected = {(each.key, each.size, each.fingerprint) for each in files if each.fingerprint}
    found = unfinished(user).filter(store=store, bucket=bucket, fingerprint__in={each[2] for each in selected})
    known = [each for each in found if (each.key, each.size, each.fingerprint) in selected]
    progress = progress_of(known)
    return [(each, progress[each.pk].bytes_received) for each in known]


def unfinished(user: AnyUser) -> QuerySet[Transfer]:
    """The user's own transfers that can be resumed by selecting the same file again: not those of a silent node."""
    return (
        access.transfers_to_send(user)
        .filter(resumable=True, phase__in=LIVE_PHASES | {Phase.FAILED})
        .exclude(desired_state=DesiredState.CANCEL)
        .exclude(node__in=lost_nodes())
    )


def waiting_for_file(user: AnyUser, limit: int = 50) -> list[Transfer]:
    """Unfinished transfers whose browser has stopped sending, those that are paused or have failed included."""
    return list(unfinished(user).filter(browser_is_silent())[:limit])


ABOUT_THE_BROWSER = frozenset({Code.BROWSER_STOPPED, Code.FORM_STOPPED})


def why_waiting(transfer: Transfer, error: RecordedError | None = None) -> Problem | None:
    """Why a transfer does not move; None if it moves or has finished. `error` is its last one, or that of a part."""
    return next(reasons_for_waiting(transfer, error), None)


def reasons_for_waiting(transfer: Transfer, error: RecordedError | None = None) -> Iterator[Problem]:
    """Why a transfer does not move, what an operator can do most about first. One leg may still move."""
    if transfer.state is TransferState.CANCELLING and transfer.tries and error:
        yield Problem(Code.WAITING_FOR_RETRY)
    if transfer.phase in LIVE_PHASES and transfer.desired_state == DesiredState.RUN:
        yield from _reasons_for_waiting(transfer, error)


def _reasons_for_waiting(transfer: Transfer, error: RecordedError | None) -> Iterator[Problem]:
    if transfer.state is TransferState.WAITING_FOR_NODE and (node_silent_since := transfer.node_silent_since):
        yield Problem(Code.WAITING_FOR_NODE, node=transfer.node, since_at=node_silent_since.isoformat())
        return
    if transfer.completed_at is not None:
        yield Problem(Code.COMPLETED_NOT_VERIFIED)
    if transfer.waits_for_space:
        yield Problem(Code.WAITING_FOR_SPACE)
    if transfer.browser_is_silent:
        yield Problem(Code.BROWSER_STOPPED if transfer.resumable else Code.FORM_STOPPED)
    if transfer.phase != Phase.RECEIVING and (silent_since := transfer.store.not_answering_since):
        yield Problem(Code.STORE_NOT_ANSWERING, since_at=silent_since.isoformat())
    if error is not None:
        yield Problem(WAITING_AFTER.get(error.reason, Code.WAITING_FOR_RETRY))


SUMS = (
    "bytes_received",
    "bytes_sent",
    "bytes_moved",
    "parts_received",
    "parts_sent",
    "failing",
    "sent_lately",
    "sent_lately_since",
)


def _part_sums(ids: Sequence[uuid.UUID], now: datetime) -> dict[uuid.UUID, dict[str, Any]]:
    rows = _SUMS(transfers=ids, since=now - timedelta(seconds=WINDOW_SECONDS))
    return {transfer_id: dict(zip(SUMS, sums, strict=True)) for transfer_id, *sums in rows}


def _sums() -> QuerySet[Part, Any]:
    sent, sending = Q(state=PartState.SENT), Q(state=PartState.SENDING)
    lately = (sent | sending) & Q(moved_at__gte=Given(Part, "moved_at", "since"))
    sums = {
        "bytes_received": Sum("received"),
        "bytes_sent": Sum("size", filter=sent),
        "bytes_moved": Sum("moved", filter=sending),
        "parts_received": Count("pk", filter=~Q(state=PartState.WAITING)),
        "parts_sent": Count("pk", filter=sent),
        "failing": Min("pk", filter=~Q(error_code="")),
        "sent_lately": Sum(F("moved") - F("mark_moved"), filter=lately),
        "sent_lately_since": Min("mark_at", filter=lately),
    }
    rows = Part.objects.filter(transfer__in=GivenKeys(Transfer, "transfers")).order_by()
    return rows.values("transfer_id").annotate(**sums).values_list("transfer_id", *SUMS)


_SUMS = Rows(_sums)


def _part_errors(ids: Sequence[int]) -> dict[uuid.UUID, RecordedError | None]:
    """The errors of these parts, by transfer."""
    return {part.transfer_id: part.error for part in Part.objects.filter(pk__in=ids)} if ids else {}


def _upload_ids(ids: Sequence[uuid.UUID]) -> tuple[dict[uuid.UUID, str], dict[uuid.UUID, tuple[str, ...]]]:
    """The newest upload in the store of each transfer, and its possible orphans."""
    newest, suspects = dict[uuid.UUID, str](), dict[uuid.UUID, tuple[str, ...]]()
    for transfer_id, upload_id, state in _UPLOADS(transfers=ids):
        if state == StoreUploadState.SUSPECT:
            suspects[transfer_id] = (*suspects.get(transfer_id, ()), upload_id)
        else:
            newest[transfer_id] = upload_id
    return newest, suspects


_UPLOADS = Rows(
    lambda: (
        StoreUpload.objects.filter(transfer__in=GivenKeys(Transfer, "transfers"))
        .order_by("id")
        .values_list("transfer_id", "upload_id", "state")
    )
)


def _progress(transfer: Transfer, row: Mapping[str, Any] | None, upload_id: str, now: datetime) -> TransferProgress:
    sums = {name: value or 0 for name, value in (row or {}).items()}
    received = transfer.size if transfer.all_received else sums.get("bytes_received", 0)
    sent = sums.get("bytes_sent", 0) + sums.get("bytes_moved", 0)
    running = transfer.phase in LIVE_PHASES and transfer.desired_state == DesiredState.RUN
    running = running and transfer.state is not TransferState.WAITING_FOR_NODE
    receive_rate = _receive_rate(transfer, received, now) if running else None
    send_rate = _send_rate(sums, now) if running else None
    return TransferProgress(
        bytes_received=received,
        bytes_sent=sent,
        parts_received=sums.get("parts_received", 0),
        parts_sent=sums.get("parts_sent", 0),
        receive_rate=receive_rate,
        send_rate=send_rate,
        seconds_left=_seconds_left(transfer, received, sent, receive_rate, send_rate),
        upload_id=upload_id,
    )


def _receive_rate(transfer: Transfer, received: int, now: datetime) -> float | None:
    if transfer.all_received or transfer.browser_is_silent:
        return None
    return rate_since(transfer.received_marks, now.timestamp(), received)


def _send_rate(sums: Mapping[str, Any], now: datetime) -> float | None:
    since = sums.get("sent_lately_since")
    return rate_of(sums["sent_lately"], (now - since).total_seconds()) if since else None


def _seconds_left(
    transfer: Transfer, received: int, sent: int, receive_rate: float | None, send_rate: float | None
) -> float | None:
    """The time that the slower of the two legs needs; None if a leg that has something to move does not move."""
    legs = []
    if not transfer.all_received:
        if not receive_rate:
            return None
        legs.append((transfer.size - received) / receive_rate)
    if send_rate:
        legs.append((transfer.size - sent) / send_rate)
    elif received - sent >= transfer.part_size or transfer.all_received:
        return None  # The store leg has a whole part, or the rest of the file, and does not move.
    return max(legs, default=None)


def part_runs(transfer: Transfer) -> tuple[PartRun, ...]:
    """The states of a transfer's parts, in runs."""
    rows = _PARTS(transfer=transfer.pk)
    states = {number: _state_in_picture(transfer, number, state, received) for number, state, received in rows}
    numbered = ((number, states.get(number, ("absent", 1.0))) for number in range(1, transfer.part_count + 1))
    runs = []
    for (state, share), group in groupby(numbered, key=lambda each: each[1]):
        numbers = [number for number, _ in group]
        runs.append(PartRun(numbers[0], numbers[-1], state, share))
    return tuple(runs)


_PARTS = Rows(
    lambda: Part.objects.filter(transfer=Given(Part, "transfer")).order_by().values_list("number", "state", "received")
)


def _state_in_picture(transfer: Transfer, number: int, state: str, received: int) -> tuple[Any, float]:
    """The state of a part, and the share of it that is filled."""
    if state != PartState.WAITING or not received:
        return state, 1.0
    return "arriving", min(1.0, received / max(1, transfer.plan.part(number).size))


def transfers_in_progress(user: AnyUser, limit: int) -> list[Transfer]:
    """The newest transfers that are live, paused or being cancelled. Those that have ended are not read.

    Two statements of which each has an index: with one, SQLite reads all transfers in the order of their age.
    """
    visible = access.visible_transfers(user).order_by("-created_at")
    live = visible.filter(phase__in=LIVE_PHASES, finished_at__isnull=True)
    # Without an order: these are few, and would be looked for among all that have failed.
    cancelling = visible.filter(phase=Phase.FAILED, desired_state=DesiredState.CANCEL).order_by()
    found = [*live[:limit], *cancelling[:limit]]
    return sorted(found, key=lambda transfer: transfer.created_at, reverse=True)[:limit]


def possible_orphans(user: AnyUser) -> QuerySet[StoreUpload]:
    """Uploads that transfers may have created with requests whose responses were lost; an operator has to decide."""
    # The transfer of each possible orphan is looked up. With IN, SQLite looks for the uploads of all transfers.
    transfers = Transfer.objects.filter(access.transfers_condition(user), store__in=access.visible_stores(user))
    is_visible = Exists(transfers.filter(pk=OuterRef("transfer")).order_by())
    return StoreUpload.objects.filter(is_visible, state=StoreUploadState.SUSPECT).select_related("transfer__store")


def lost_creates(user: AnyUser) -> QuerySet[Transfer]:
    """Transfers whose uploads may be in the store without an id that Partway knows, those that were last lost first.

    An index has them in this order.
    """
    rows = access.visible_transfers(user).filter(lost_creates__gt=0, store__in=access.visible_stores(user))
    return rows.select_related("store").order_by("-lost_create_at")


def possible_creators(store: Store, bucket: str, key: str, upload_id: str) -> list[Transfer]:
    """The transfers that may have created this upload."""
    rows = StoreUpload.objects.filter(
        state=StoreUploadState.SUSPECT,
        upload_id=upload_id,
        transfer__store=store,
        transfer__bucket=bucket,
        transfer__key=key,
    )
    return [row.transfer for row in rows.select_related("transfer")]
