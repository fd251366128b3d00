"""Planning a sweep: its rows are written one batch at a time, so that a million of them need little memory."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import access, grants
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Action, Place
from uploads.domain.states import FINAL_PHASES, StoreUploadState
from uploads.domain.sweeps import Judged, rule_problem, why_not_planned
from uploads.domain.verdicts import Verdict
from uploads.models import InventoryUpload, RepeatingSweep, Store, StoreUpload, Sweep, SweepItem, SweepPlace
from uploads.origin import current
from uploads.problems import ProblemError
from uploads.selectors.inventory import plan_of
from uploads.selectors.inventory.by_id import next_by_id
from uploads.services.inventory.judging import judge_rows
from uploads.services.people.tokens import limits_of
from uploads.services.sweeps.recording import record
from uploads.services.work.leases import SUCCEEDED, Lease
from uploads.services.work.queue import enqueue_rows

BATCH = 500
"""Rows of the inventory that one task looks at: a few statements, whatever their number of buckets."""


class RuleRefused(ProblemError):
    """No sweep can have this rule."""


def request_sweep(author: User, rule: InventoryFilter, *, repeating: RepeatingSweep | None = None) -> Sweep:
    """Have a task plan a sweep of what the rule matches. Raises RuleRefused."""
    check_rule(rule)
    with transaction.atomic():
        sweep = Sweep.objects.create(
            rule=rule.to_json(),
            store=Store.objects.filter(name=rule.store).first() if rule.store else None,
            bucket=rule.bucket,
            prefix=rule.prefix,
            author=author,
            access_token_id=current().token_id,
            repeating=repeating,
        )
        record(author, "planned", sweep, rule=sweep.rule)
        enqueue_rows("drive_sweep", [sweep.pk])
    return sweep


def check_rule(rule: InventoryFilter) -> None:
    """Raises RuleRefused."""
    problem = rule_problem(rule.verdicts)
    if problem is not None:
        raise RuleRefused(problem)


@dataclass(slots=True)
class _Batch:
    items: list[SweepItem] = field(default_factory=list)
    spared: Counter[str] = field(default_factory=Counter)


def plan_batch(lease: Lease[Sweep]) -> bool:
    """Plan the next rows of the inventory. Returns whether the plan is complete."""
    sweep, now = lease.row, timezone.now()
    rule = InventoryFilter.from_json(sweep.rule)
    author = author_of(sweep)
    # Whatever their verdict: those that are spared are counted.
    ids, onward = next_by_id(plan_of(author, replace(rule, verdicts=()), now), sweep.planned_to, BATCH)
    rows = list(InventoryUpload.objects.select_related("store", "bucket").filter(pk__in=ids).order_by("pk"))
    batch = _judge(sweep, author, rule, rows, now)
    with transaction.atomic():
        lease.renew(**_totals(sweep, batch, onward or (ids[-1] if ids else sweep.planned_to)))
        SweepItem.objects.bulk_create(batch.items)
        _add_to_places(sweep, batch.items)
    return onward is None


def author_of(sweep: Sweep) -> User:
    """The author, with no more rights than the token that requested the plan."""
    author = sweep.author
    if sweep.access_token is not None:
        grants.limit(author, limits_of(sweep.access_token))
    return author


def _judge(sweep: Sweep, author: User, rule: InventoryFilter, rows: Sequence[InventoryUpload], now: datetime) -> _Batch:
    by_store: dict[Store, list[InventoryUpload]] = defaultdict(list)
    for row in rows:
        by_store[row.store].append(row)
    for store, of_store in by_store.items():
        judge_rows(store, of_store, now)
    owned, batch, number = owned_among(rows), _Batch(), sweep.uploads
    for row in rows:
        place = Place(row.store_id, row.bucket.name, row.key)
        is_allowed = access.may(author, Action.ABORT_UPLOADS, place)
        judged = judged_of(row, is_owned=row.pk in owned)
        reason = why_not_planned(judged, rule.verdicts, is_allowed=is_allowed)
        if reason is not None:
            batch.spared[reason.value] += 1
        else:
            batch.items.append(_item(sweep, row, number + len(batch.items)))
    return batch


def judged_of(row: InventoryUpload, *, is_owned: bool) -> Judged:
    return Judged(Verdict(row.verdict), row.parts, row.bytes, row.last_part_at, row.active_at, is_owned)


def owned_among(rows: Sequence[InventoryUpload]) -> set[int]:
    """The ids of those that a live transfer owns: one query."""
    ids = [row.upload_id for row in rows]
    open_uploads = StoreUpload.objects.filter(upload_id__in=ids, state=StoreUploadState.OPEN)
    names = set(
        open_uploads.exclude(transfer__phase__in=FINAL_PHASES).values_list(
            "transfer__store_id", "transfer__bucket", "transfer__key", "upload_id"
        )
    )
    return {row.pk for row in rows if (row.store_id, row.bucket.name, row.key, row.upload_id) in names}


def _item(sweep: Sweep, row: InventoryUpload, number: int) -> SweepItem:
    return SweepItem(
        sweep=sweep,
        number=number,
        upload_row=row.pk,
        store_id=row.store_id,
        bucket=row.bucket.name,
        key=row.key,
        upload_id=row.upload_id,
        storage_class=row.storage_class,
        verdict=row.verdict,
        parts=row.parts,
        bytes=row.bytes,
        active_at=row.active_at,
        last_part_at=row.last_part_at,
    )


def _totals(sweep: Sweep, batch: _Batch, planned_to: int) -> dict[str, Any]:
    """The columns of the sweep after this batch. The digest continues that of the batches before it."""
    digest = hashlib.sha256(sweep.digest.encode())
    for item in batch.items:
        facts = (item.store_id, item.bucket, item.key, item.upload_id, item.verdict, item.bytes, item.last_part_at)
        digest.update(repr(facts).encode())
    known = [item.bytes for item in batch.items if item.bytes is not None]
    return {
        "digest": digest.hexdigest(),
        "planned_to": planned_to,
        "uploads": sweep.uploads + len(batch.items),
        "known": sweep.known + len(known),
        "bytes": sweep.bytes + sum(known),
        "spared": dict(Counter(sweep.spared) + batch.spared),
        **SUCCEEDED,
    }


def _add_to_places(sweep: Sweep, items: Sequence[SweepItem]) -> None:
    """Add to the sums of each bucket: one statement for new ones, and one for each bucket that continues."""
    sums: dict[tuple[int, str, str], list[int | None]] = defaultdict(list)
    for item in items:
        sums[item.store_id, item.bucket, item.storage_class].append(item.bytes)
    places = [
        SweepPlace(sweep=sweep, store_id=store, bucket=bucket, storage_class=storage_class)
        for store, bucket, storage_class in sums
    ]
    SweepPlace.objects.bulk_create(places, ignore_conflicts=True)
    found = list(SweepPlace.objects.filter(sweep=sweep, bucket__in={bucket for _, bucket, _ in sums}))
    for place in found:
        sizes = sums.get((place.store_id, place.bucket, place.storage_class), [])
        place.uploads += len(sizes)
        place.known += sum(size is not None for size in sizes)
        place.bytes += sum(size or 0 for size in sizes)
    SweepPlace.objects.bulk_update(found, ["uploads", "known", "bytes"])
