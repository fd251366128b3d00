"""All uploads of one key, with their parts and the object that is there: for a decision between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from uploads.domain.comparison import Advice, Candidate, advise
from uploads.domain.part_summary import PartSummary
from uploads.models import Store, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import MAX_PAGE, MultipartUpload, UploadRef, UploadsQuery
from uploads.problems import Problem
from uploads.services.browse.browsing import ExistingObject, head_object, is_gone, list_uploads, provider_of
from uploads.services.browse.many_facts import Outcome, summarize_uploads
from uploads.services.browse.ownership import owners
from uploads.services.browse.preflight import find_blockers, is_recent


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One upload of the key. `outcome`: its parts, or why they are not known. `blockers` of a completion."""

    upload: MultipartUpload
    outcome: Outcome
    blockers: tuple[Problem, ...]
    owner: Transfer | None
    advice: Advice

    @property
    def part_summary(self) -> PartSummary | None:
        return self.outcome if isinstance(self.outcome, PartSummary) else None

    @property
    def error(self) -> ObjectStoreError | None:
        """Why the parts are not known; None for an upload that has ended."""
        return self.outcome if isinstance(self.outcome, ObjectStoreError) and not is_gone(self.outcome) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SameKey:
    """`total` uploads of a key, of which some are compared.

    `existing`: the object with this key; an error if that is not known. `more`: the store lists more than one page, so
    that there may be other uploads.
    """

    compared: tuple[Compared, ...]
    total: int
    existing: ExistingObject | ObjectStoreError
    more: bool


def compare_uploads(store: Store, bucket: str, key: str, start: int, count: int) -> SameKey:
    """Uploads of a key from `start` on: one request for their names, one for the object, and those for the parts.

    Raises ObjectStoreError if the store does not list them. An error of one upload is only that of its column.
    """
    page = list_uploads(store, bucket, UploadsQuery(prefix=key, max_uploads=MAX_PAGE, whole_key=True))
    uploads = [upload for upload in page.uploads if upload.key == key]
    shown = uploads[start : start + count]
    outcomes = summarize_uploads(store, bucket, [UploadRef(key, each.upload_id) for each in shown]) if shown else []
    return SameKey(
        compared=_compared(store, bucket, shown, outcomes),
        total=len(uploads),
        existing=_existing(store, bucket, key),
        more=page.is_truncated and len(uploads) == len(page.uploads),
    )


def _compared(
    store: Store, bucket: str, uploads: Sequence[MultipartUpload], outcomes: Sequence[Outcome]
) -> tuple[Compared, ...]:
    owned = owners(store, bucket, [each.upload_id for each in uploads])
    provider = provider_of(store)
    blockers = [find_blockers(each, provider) if isinstance(each, PartSummary) else () for each in outcomes]
    holders = [owned.get((each.key, each.upload_id)) for each in uploads]
    advice = advise(
        [
            _candidate(outcome, is_blocked=bool(blocked), is_owned=holder is not None)
            for outcome, blocked, holder in zip(outcomes, blockers, holders, strict=True)
        ]
    )
    return tuple(
        Compared(upload=upload, outcome=outcome, blockers=blocked, owner=holder, advice=advised)
        for upload, outcome, blocked, holder, advised in zip(uploads, outcomes, blockers, holders, advice, strict=True)
    )


def _candidate(outcome: Outcome, *, is_blocked: bool, is_owned: bool) -> Candidate:
    if not isinstance(outcome, PartSummary):
        ended = isinstance(outcome, ObjectStoreError) and is_gone(outcome)
        return Candidate(
            parts=None,
            size=None,
            last_activity=None,
            is_whole=False,
            is_recent=False,
            is_owned=is_owned,
            is_gone=ended,
        )
    return Candidate(
        parts=outcome.count,
        size=outcome.total_bytes,
        last_activity=outcome.last_activity,
        is_whole=not outcome.missing and not is_blocked,
        is_recent=is_recent(outcome) or bool(outcome.undated),
        is_owned=is_owned,
    )


def _existing(store: Store, bucket: str, key: str) -> ExistingObject | ObjectStoreError:
    try:
        return head_object(store, bucket, key)
    except ObjectStoreError as error:
        return error
