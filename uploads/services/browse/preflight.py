"""What an abort or a completion would do, looked up before anybody is asked to confirm it. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from uploads.domain.part_summary import PartSummary, Run
from uploads.models import Operation, OperationItem, Store, Transfer
from uploads.models.operation import active_key
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.providers import Provider
from uploads.objectstore.types import MAX_PART_NUMBER, UploadRef
from uploads.services.browse.browsing import ExistingObject, head_object, is_gone, provider_of, summarize_upload
from uploads.services.browse.ownership import owner_of

RECENT = timedelta(hours=1)
"""A part younger than this may mean that somebody is still sending."""

MAX_NAMED_RUNS = 10
"""Gaps or small parts that a sentence names one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbortPreflight:
    """`recent`: a part arrived within the last hour. `transfer` owns the upload; `operation` is already at it.

    `refusal`: its parts may not be listed, so that nothing is known of it.
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
    """`blockers` are what the store would refuse, in sentences; with any of them nothing can be ordered."""

    upload: UploadRef
    part_summary: PartSummary | None
    gone: bool
    existing: ExistingObject | None
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    has_gaps: bool
    resulting_size: int
    expected_etag: str
    transfer: Transfer | None
    operation: Operation | None


def preflight_abort(store: Store, bucket: str, upload: UploadRef) -> AbortPreflight:
    """Raises ObjectStoreError. To abort an upload nobody has to list its parts."""
    refusal, part_summary = None, None
    try:
        part_summary = _summarize(store, bucket, upload)
    except ObjectStoreError as error:
        if error.reason is not Reason.PERMISSION:
            raise
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
    """Walks all parts and looks for an object of that key. Raises ObjectStoreError."""
    part_summary = _summarize(store, bucket, upload)
    existing = None if part_summary is None else head_object(store, bucket, upload.key)
    provider = provider_of(store)
    return CompletePreflight(
        upload=upload,
        part_summary=part_summary,
        gone=part_summary is None,
        existing=existing,
        blockers=() if part_summary is None else find_blockers(part_summary, provider),
        warnings=() if part_summary is None else find_warnings(part_summary, existing),
        has_gaps=part_summary is not None and bool(part_summary.missing),
        resulting_size=part_summary.total_bytes if part_summary else 0,
        expected_etag=part_summary.expected_etag if part_summary and provider.joined_etag else "",
        transfer=owner_of(store, bucket, upload.key, upload.upload_id),
        operation=active_operation(store, bucket, upload),
    )


def is_recent(part_summary: PartSummary) -> bool:
    return part_summary.last_activity is not None and timezone.now() - part_summary.last_activity < RECENT


def active_operation(store: Store, bucket: str, upload: UploadRef) -> Operation | None:
    """The operation that is working on this upload now."""
    item = (
        OperationItem.objects.filter(active_key=active_key(store.pk, bucket, upload.key, upload.upload_id))
        .select_related("operation")
        .first()
    )
    return item.operation if item else None


def find_blockers(part_summary: PartSummary, provider: Provider) -> tuple[str, ...]:
    """What the store would refuse, in sentences."""
    if part_summary.count == 0:
        return ("No part has been uploaded: there is nothing to complete.",)
    found = []
    if part_summary.too_small:
        found.append(
            f"{_count(part_summary.too_small, 'part')} below this store's minimum of {provider.min_part_size:,} bytes, "
            f"which only the last part may be: {name_runs(part_summary.too_small)}."
        )
    if part_summary.count > provider.max_parts or part_summary.last_number > MAX_PART_NUMBER:
        found.append(f"The store takes at most {provider.max_parts:,} parts; this upload has {part_summary.count:,}.")
    if part_summary.total_bytes > provider.max_object_size:
        found.append(
            f"The object would have {part_summary.total_bytes:,} bytes; the store takes {provider.max_object_size:,}."
        )
    if provider.equal_parts and part_summary.odd_sized:
        found.append(
            f"This store wants parts of equal size but the last, and these differ: {name_runs(part_summary.odd_sized)}."
        )
    return tuple(found)


def find_warnings(part_summary: PartSummary, existing: ExistingObject | None) -> tuple[str, ...]:
    found = []
    if part_summary.missing:
        found.append(
            f"{_count(part_summary.missing, 'part number')} missing ({name_runs(part_summary.missing)}): the object "
            "would be made of what is there, and may be silently too short."
        )
    if is_recent(part_summary):
        found.append("A part arrived within the last hour: somebody may still be sending.")
    if existing is not None and existing.facts is not None:
        found.append("An object of this key exists and would be replaced.")
    return tuple(found)


def name_runs(runs: tuple[Run, ...]) -> str:
    named = [str(run.first) if run.count == 1 else f"{run.first}-{run.last}" for run in runs[:MAX_NAMED_RUNS]]
    return ", ".join(named) + (", ..." if len(runs) > MAX_NAMED_RUNS else "")


def _count(runs: tuple[Run, ...], noun: str) -> str:
    number = sum(run.count for run in runs)
    return f"{number:,} {noun} is" if number == 1 else f"{number:,} {noun}s are"


def _summarize(store: Store, bucket: str, upload: UploadRef) -> PartSummary | None:
    """None where the upload is gone."""
    try:
        return summarize_upload(store, bucket, upload.key, upload.upload_id)
    except ObjectStoreError as error:
        if is_gone(error):
            return None
        raise
