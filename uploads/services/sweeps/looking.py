"""Looking at an upload again, immediately before its abort: whether it still is as it was planned.

What cannot be read completely is never taken for the plan: the upload is spared, with the reason.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads import access, grants
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Action, Place
from uploads.domain.sweeps import Judged, why_spared
from uploads.domain.verdicts import Verdict
from uploads.models import InventoryUpload, SweepItem
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import UploadRef
from uploads.problems import Code, Problem
from uploads.selectors.inventory.conditions import uploads_of
from uploads.services.browse.browsing import find_listed, is_gone, provider_of
from uploads.services.browse.ownership import owner_of
from uploads.services.ended.marks import mark_changed
from uploads.services.ended.noting import write_ended
from uploads.services.inventory.objects import Found, find, note_object
from uploads.services.inventory.reading import apply, read_facts
from uploads.services.inventory.scans.rows import judge_read, write_read
from uploads.services.operations.paced import was_sent
from uploads.services.people.tokens import limits_of
from uploads.services.stores import pace
from uploads.services.stores.clients import ONCE
from uploads.services.work.failures import problem_fields


class Spared(Exception):
    """The upload is not aborted. `columns` are the error columns that say why."""

    def __init__(self, problem: Problem, *details: Problem) -> None:
        super().__init__(str(problem))
        self.columns: dict[str, Any] = problem_fields(problem, list(details))


def was_requested(item: SweepItem) -> bool:
    """Whether an abort of this run may have had an effect already."""
    return item.operation_item is not None and was_sent(item.operation_item)


def look_again(item: SweepItem) -> None:
    """Raises Spared if the upload is not to be aborted, and ObjectStoreError if the store does not say it."""
    _require_permission(item)
    row = InventoryUpload.objects.select_related("bucket").filter(pk=item.upload_row).first()
    if row is None or (row.ended_at is not None and not was_requested(item)):
        raise Spared(Problem(Code.SPARED_GONE))
    try:
        now = _read(item, row)
    except ObjectStoreError as error:
        if not is_gone(error):
            raise
        if was_requested(item):
            # Our own abort may have removed it. Another one finds that out.
            return
        note_gone(row)
        raise Spared(Problem(Code.SPARED_GONE)) from error
    planned = Judged(Verdict(item.verdict), item.parts, item.bytes, item.last_part_at, item.active_at)
    rule = InventoryFilter.from_json(item.sweep.rule)
    code = why_spared(planned, now, rule.verdicts)
    if code is None and not _matches(item, rule):
        code = Code.SPARED_RULE
    if code is not None:
        at = now.last_part_at.isoformat() if now.last_part_at else None
        raise Spared(Problem(code, last_part_at=at))


def _matches(item: SweepItem, rule: InventoryFilter) -> bool:
    """Whether the upload meets the conditions of the rule besides the verdict, as the inventory has it now."""
    user = item.sweep.started_by
    return user is None or uploads_of(user, replace(rule, verdicts=())).filter(pk=item.upload_row).exists()


def _require_permission(item: SweepItem) -> None:
    sweep = item.sweep
    if sweep.run_token is not None and sweep.started_by is not None:
        grants.limit(sweep.started_by, limits_of(sweep.run_token))
    place = Place(item.store_id, item.bucket, item.key)
    refusal = access.no_longer_allowed(sweep.started_by, Action.ABORT_UPLOADS, place, sweep.run_token_id)
    if refusal is not None:
        raise Spared(Problem(Code.SPARED_NOT_ALLOWED), refusal)


def _read(item: SweepItem, row: InventoryUpload) -> Judged:
    """The upload as the store has it now. The inventory keeps what was read.

    ListParts comes last: nothing else is waited for between it and the abort. Raises Spared for what the other requests
    leave open, if the upload still exists.
    """
    found = find(item.store, row.bucket, item.key) if item.verdict == Verdict.SUPERSEDED else None
    doubt = _doubt_about_object(found) or _doubt_about_start(item)
    facts = read_facts(item.store, item.bucket, UploadRef(item.key, item.upload_id))
    at = timezone.now()
    apply(row, facts, at)
    with transaction.atomic():
        mark_changed(row.bucket)
        if found is not None:
            note_object([row.pk], found)
        judge_read(item.store, row.bucket, [row], at)
        write_read([row])
    if doubt is not None:
        raise doubt
    is_owned = owner_of(item.store, item.bucket, item.key, item.upload_id) is not None
    return Judged(Verdict(row.verdict), facts.parts, facts.bytes, facts.last_part_at, row.active_at, is_owned)


def _doubt_about_start(item: SweepItem) -> Spared | None:
    """Whether an upload without parts may be another one than that of the plan: some stores use their ids again.

    One request. Parts say so by themselves, with their times.
    """
    if item.parts:
        return None
    with pace.request(item.store):
        listed, _ = find_listed(item.store, item.bucket, item.key, item.upload_id, ONCE)
    if listed is None:
        provider = provider_of(item.store)
        is_left_out = provider.forgets or provider.loses_pages
        return None if is_left_out else Spared(Problem(Code.SPARED_UNLISTED))
    is_other = listed.initiated is not None and listed.initiated > item.active_at
    return Spared(Problem(Code.SPARED_STARTED)) if is_other else None


def _doubt_about_object(found: Found | None) -> Spared | None:
    """Whether the newer object is gone that superseded the upload, or nothing says when it was written."""
    if found is None or (found.modified_at is not None and not found.error):
        return None
    return Spared(Problem(Code.SPARED_OBJECT))


def note_gone(row: InventoryUpload) -> None:
    """The inventory has the upload no longer, and the sums of its bucket are computed again."""
    if row.ended_at is None:
        with transaction.atomic():
            write_ended(row.store, row.bucket, [row], timezone.now())
