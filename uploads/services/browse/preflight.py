"""What an abort or a completion would do, looked up before anybody is asked to confirm it. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from uploads.domain.part_summary import Run, Survey
from uploads.models import Operation, OperationItem, Store, Transfer
from uploads.models.operation import active_key
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.providers import Provider
from uploads.objectstore.types import UploadRef
from uploads.services.browse.browsing import ExistingObject, head_object, is_gone, provider_of, survey_upload
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
    survey: Survey | None
    refusal: ObjectStoreError | None
    gone: bool
    recent: bool
    transfer: Transfer | None
    operation: Operation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletePreflight:
    """`blockers` are what the store would refuse, in sentences; with any of them nothing can be ordered."""

    upload: UploadRef
    survey: Survey | None
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
    refusal, surveyed = None, None
    try:
        surveyed = _survey(store, bucket, upload)
    except ObjectStoreError as error:
        if error.reason is not Reason.PERMISSION:
            raise
        refusal = error
    return AbortPreflight(
        upload=upload,
        survey=surveyed,
        refusal=refusal,
        gone=surveyed is None and refusal is None,
        recent=surveyed is not None and is_recent(surveyed),
        transfer=owner_of(store, bucket, upload.key, upload.upload_id),
        operation=active_operation(store, bucket, upload),
    )


def preflight_complete(store: Store, bucket: str, upload: UploadRef) -> CompletePreflight:
    """Walks all parts and looks for an object of that key. Raises ObjectStoreError."""
    surveyed = _survey(store, bucket, upload)
    existing = None if surveyed is None else head_object(store, bucket, upload.key)
    provider = provider_of(store)
    return CompletePreflight(
        upload=upload,
        survey=surveyed,
        gone=surveyed is None,
        existing=existing,
        blockers=() if surveyed is None else find_blockers(surveyed, provider),
        warnings=() if surveyed is None else find_warnings(surveyed, existing),
        has_gaps=surveyed is not None and bool(surveyed.missing),
        resulting_size=surveyed.total_bytes if surveyed else 0,
        expected_etag=surveyed.expected_etag if surveyed and provider.joined_etag else "",
        transfer=owner_of(store, bucket, upload.key, upload.upload_id),
        operation=active_operation(store, bucket, upload),
    )


def is_recent(surveyed: Survey) -> bool:
    return surveyed.last_activity is not None and timezone.now() - surveyed.last_activity < RECENT


def active_operation(store: Store, bucket: str, upload: UploadRef) -> Operation | None:
    """The operation that is working on this upload now."""
    item = (
        OperationItem.objects.filter(active_key=active_key(store.pk, bucket, upload.key, upload.upload_id))
        .select_related("operation")
        .first()
    )
    return item.operation if item else None


def find_blockers(surveyed: Survey, provider: Provider) -> tuple[str, ...]:
    """What the store would refuse, in sentences."""
    if surveyed.count == 0:
        return ("No part has been uploaded: there is nothing to complete.",)
    found = []
    if surveyed.too_small:
        found.append(
            f"{_count(surveyed.too_small, 'part')} below this store's minimum of {provider.min_part_size:,} bytes, "
            f"which only the last part may be: {name_runs(surveyed.too_small)}."
        )
    if surveyed.count > provider.max_parts or surveyed.last_number > 10_000:
        found.append(f"The store takes at most {provider.max_parts:,} parts; this upload has {surveyed.count:,}.")
    if surveyed.total_bytes > provider.max_object_size:
        found.append(
            f"The object would have {surveyed.total_bytes:,} bytes; the store takes {provider.max_object_size:,}."
        )
    if provider.equal_parts and surveyed.odd_sized:
        found.append(
            f"This store wants parts of equal size but the last, and these differ: {name_runs(surveyed.odd_sized)}."
        )
    return tuple(found)


def find_warnings(surveyed: Survey, existing: ExistingObject | None) -> tuple[str, ...]:
    found = []
    if surveyed.missing:
        found.append(
            f"{_count(surveyed.missing, 'part number')} missing ({name_runs(surveyed.missing)}): the object would be "
            "made of what is there, and may be silently too short."
        )
    if is_recent(surveyed):
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


def _survey(store: Store, bucket: str, upload: UploadRef) -> Survey | None:
    """None where the upload is gone."""
    try:
        return survey_upload(store, bucket, upload.key, upload.upload_id)
    except ObjectStoreError as error:
        if is_gone(error):
            return None
        raise
