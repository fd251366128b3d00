"""What an abort or a completion would do, for the page that asks for confirmation. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from uploads.domain import part_numbers
from uploads.domain.confirmation import SeenParts, missing_numbers
from uploads.domain.part_summary import PartSummary, Run, summarize_parts
from uploads.models import Operation, OperationItem, Store, Transfer
from uploads.models.operation import active_key
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.providers import Provider
from uploads.objectstore.types import MAX_PART_NUMBER, ListedPart, UploadRef
from uploads.problems import Code, Problem
from uploads.services.browse.browsing import ExistingObject, head_object, is_gone, list_all_parts, provider_of
from uploads.services.browse.ownership import owner_of

RECENT = timedelta(hours=1)
"""A part younger than this may mean that someone is still sending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortPreflight:
    """`recent`: a part arrived within the last hour. `transfer` owns the upload; `operation` works on it already.

    `refusal`: ListParts failed, so the parts are not known.
    """

    upload: UploadRef
    part_summary: PartSummary | None
    refusal: ObjectStoreError | None
    gone: bool
    recent: bool
    transfer: Transfer | None
    operation: Operation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletePreflight:
    """`blockers` are what the store would refuse; with any of them the completion cannot be requested.

    `seen_parts`, `gaps` and `existing` are what a confirmation is bound to.
    """

    upload: UploadRef
    part_summary: PartSummary | None
    gone: bool
    existing: ExistingObject | None
    blockers: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    has_gaps: bool
    seen_parts: SeenParts
    gaps: str
    resulting_size: int | None
    expected_etag: str
    transfer: Transfer | None
    operation: Operation | None


def preflight_abort(store: Store, bucket: str, upload: UploadRef) -> AbortPreflight:
    """An upload can be aborted without knowing its parts, whatever the reason is."""
    refusal, part_summary = None, None
    try:
        parts = _parts(store, bucket, upload)
        part_summary = None if parts is None else summarize_parts(parts, provider_of(store).min_part_size)
    except ObjectStoreError as error:
        refusal = error
    return AbortPreflight(
        upload=upload,
        part_summary=part_summary,
        refusal=refusal,
        gone=part_summary is None and refusal is None,
        recent=part_summary is not None and is_recent(part_summary),
        transfer=owner_of(store, bucket, upload.key, upload.upload_id),
        operation=active_operation(store, bucket, upload),
    )


def preflight_complete(store: Store, bucket: str, upload: UploadRef) -> CompletePreflight:
    """Lists all parts and checks for an object with that key. Raises ObjectStoreError."""
    provider = provider_of(store)
    parts = _parts(store, bucket, upload)
    part_summary = None if parts is None else summarize_parts(parts, provider.min_part_size)
    existing = None if part_summary is None else head_object(store, bucket, upload.key)
    return CompletePreflight(
        upload=upload,
        part_summary=part_summary,
        gone=part_summary is None,
        existing=existing,
        blockers=() if part_summary is None else find_blockers(part_summary, provider),
        warnings=() if part_summary is None else find_warnings(part_summary, existing),
        has_gaps=part_summary is not None and bool(part_summary.missing),
        seen_parts=SeenParts.of(parts or ()),
        gaps=part_numbers.write_numbers(missing_numbers(parts or ())),
        resulting_size=part_summary.total_bytes if part_summary else 0,
        expected_etag=part_summary.expected_etag if part_summary and provider.computes_joined_etag else "",
        transfer=owner_of(store, bucket, upload.key, upload.upload_id),
        operation=active_operation(store, bucket, upload),
    )


def is_recent(part_summary: PartSummary) -> bool:
    """Whether a part arrived recently. If none did, `part_summary.undated` counts those that cannot be judged."""
    return part_summary.last_activity is not None and timezone.now() - part_summary.last_activity < RECENT


def active_operation(store: Store, bucket: str, upload: UploadRef) -> Operation | None:
    """The operation that is working on this upload now."""
    item = (
        OperationItem.objects.filter(active_key=active_key(store.pk, bucket, upload.key, upload.upload_id))
        .select_related("operation")
        .first()
    )
    return item.operation if item else None


def find_blockers(part_summary: PartSummary, provider: Provider) -> tuple[Problem, ...]:
    """What the store would refuse, or would build of the wrong parts."""
    if part_summary.count == 0:
        return (Problem(Code.NO_PARTS),)
    return (
        *_without_etag(part_summary),
        *_too_small(part_summary, provider),
        *_too_many(part_summary, provider),
        *_too_large(part_summary, provider),
        *_unequal(part_summary, provider),
        *_unclear_copies(part_summary),
    )


def _without_etag(part_summary: PartSummary) -> Iterator[Problem]:
    if part_summary.without_etag:
        yield Problem(Code.PARTS_WITHOUT_ETAG, count=part_summary.without_etag)


def _too_small(part_summary: PartSummary, provider: Provider) -> Iterator[Problem]:
    runs = part_summary.too_small
    if runs:
        yield Problem(
            Code.PARTS_TOO_SMALL, count=_count(runs), limit_bytes=provider.min_part_size, parts=name_runs(runs)
        )


def _too_many(part_summary: PartSummary, provider: Provider) -> Iterator[Problem]:
    if part_summary.count > provider.max_parts:
        yield Problem(Code.PART_LIMIT_EXCEEDED, count=part_summary.count, limit=provider.max_parts)
    elif part_summary.last_number > MAX_PART_NUMBER:
        yield Problem(Code.PART_NUMBER_TOO_HIGH, number=part_summary.last_number, limit=MAX_PART_NUMBER)


def _too_large(part_summary: PartSummary, provider: Provider) -> Iterator[Problem]:
    if part_summary.total_bytes is not None and part_summary.total_bytes > provider.max_object_size:
        yield Problem(Code.OBJECT_TOO_LARGE, size=part_summary.total_bytes, limit=provider.max_object_size)


def _unequal(part_summary: PartSummary, provider: Provider) -> Iterator[Problem]:
    runs = part_summary.odd_sized
    if provider.equal_parts and runs:
        yield Problem(Code.PARTS_UNEQUAL, count=_count(runs), parts=name_runs(runs))


def _unclear_copies(part_summary: PartSummary) -> Iterator[Problem]:
    if runs := part_summary.unclear:
        yield Problem(Code.PART_COPIES_UNCLEAR, count=_count(runs), parts=name_runs(runs))


def find_warnings(part_summary: PartSummary, existing: ExistingObject | None) -> tuple[Problem, ...]:
    """What an operator should know before an upload is completed."""
    found = []
    if missing := part_summary.missing:
        found.append(Problem(Code.PARTS_MISSING, count=_count(missing), parts=name_runs(missing)))
    if copied := part_summary.copied:
        found.append(Problem(Code.PART_COPIES, count=_count(copied), parts=name_runs(copied)))
    if is_recent(part_summary):
        found.append(Problem(Code.PART_ARRIVED_RECENTLY))
    elif part_summary.undated:
        found.append(Problem(Code.PART_TIMES_UNKNOWN, count=part_summary.undated))
    if part_summary.unsized:
        found.append(Problem(Code.PART_SIZES_UNKNOWN, count=part_summary.unsized))
    if existing is not None and existing.facts is not None:
        found.append(Problem(Code.OBJECT_WOULD_BE_REPLACED))
    return tuple(found)


def name_runs(runs: tuple[Run, ...]) -> str:
    """Part numbers in short: `1-4, 9`."""
    return part_numbers.name_runs([(run.first, run.last) for run in runs])


def _count(runs: tuple[Run, ...]) -> int:
    return sum(run.count for run in runs)


def _parts(store: Store, bucket: str, upload: UploadRef) -> list[ListedPart] | None:
    """All parts; None if the upload is gone."""
    try:
        return list_all_parts(store, bucket, upload.key, upload.upload_id)
    except ObjectStoreError as error:
        if is_gone(error):
            return None
        raise
