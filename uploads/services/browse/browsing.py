"""Reading a store: its buckets, uploads in progress and their parts. Nothing is changed.

Every function that sends a request may raise ObjectStoreError.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from uploads.domain.part_summary import PartSummary, summarize_parts
from uploads.models import Store
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.listing.folders import fold, marker_before, narrow
from uploads.objectstore.listing.order import markers_used
from uploads.objectstore.listing.repair import tidy
from uploads.objectstore.providers import Provider
from uploads.objectstore.retry import DEFAULT_RETRIES, RetryPolicy
from uploads.objectstore.types import (
    MAX_PAGE,
    Bucket,
    ListedPart,
    Marker,
    MultipartUpload,
    ObjectFacts,
    PartsPage,
    UploadsPage,
    UploadsQuery,
)
from uploads.problems import Code, Problem
from uploads.services.stores.clients import client_for
from uploads.services.work.failures import error_code


@dataclass(frozen=True, slots=True)
class BucketList:
    """The buckets of a store: those it lists and those an administrator named.

    `refusal` is set if the store does not allow ListBuckets; the named ones are still included. `notes` say what the
    list does not include, and `entered` are the names that the store has not listed.
    """

    buckets: tuple[Bucket, ...]
    refusal: ObjectStoreError | None = None
    notes: tuple[Problem, ...] = ()
    entered: frozenset[str] = frozenset()

    def limited_to(self, names: frozenset[str] | None) -> BucketList:
        """Only the named buckets, whether the store lists them or not; None for all buckets."""
        if names is None:
            return self
        known = {bucket.name: bucket for bucket in self.buckets}
        buckets = tuple(known.get(name, Bucket(name, None)) for name in sorted(names))
        entered = self.entered & names | (names - known.keys())
        return BucketList(buckets, self.refusal, entered=frozenset(entered))


@dataclass(frozen=True, slots=True)
class ExistingObject:
    """The result of HEAD: an object's facts, no object (`absence`), or that HEAD is not allowed (`refusal`)."""

    facts: ObjectFacts | None
    refusal: ObjectStoreError | None = None
    absence: Refused | None = None


def provider_of(store: Store) -> Provider:
    """The profile of the store's provider, with the overrides that a check of this store has found."""
    return store.profile


def may_forbid_overwrite(store: Store) -> bool:
    """Whether this store can be told not to replace an object, by its current profile."""
    return bool(provider_of(store).forbid_overwrite)


def list_buckets(store: Store) -> BucketList:
    """ListBuckets, with the named buckets added; only the named ones if the permission is missing."""
    named = {bucket.name: Bucket(bucket.name, None) for bucket in store.named_buckets.all()}
    try:
        found = client_for(store).list_buckets()
    except ObjectStoreError as error:
        return BucketList(tuple(named.values()), error, entered=frozenset(named))
    listed = {bucket.name: bucket for bucket in found}
    buckets = sorted({**named, **listed}.values(), key=lambda bucket: bucket.name)
    notes = (Problem(Code.BUCKETS_NOT_SHOWN, count=len(found)),) if found.is_cut else ()
    return BucketList(tuple(buckets), notes=notes, entered=frozenset(named.keys() - listed.keys()))


def list_uploads(store: Store, bucket: str, query: UploadsQuery, retries: RetryPolicy = DEFAULT_RETRIES) -> UploadsPage:
    """One page of ListMultipartUploads. Repeated and unordered rows are repaired.

    One request; if the store finds uploads only by their whole key, the first page under a prefix needs a second one.
    Folders and prefixes that the store gets wrong are computed here, from that same page, which may then have fewer
    rows than requested.
    """
    provider = provider_of(store)
    narrows, folds = narrows_here(provider, query), folds_here(provider, query)
    after = markers_here(provider, query)
    if narrows and not any(after):
        after = (marker_before(query.prefix, provider.order), "")
    page = client_for(store, retries).list_multipart_uploads(
        bucket,
        prefix="" if narrows else query.prefix,
        delimiter="" if folds else query.delimiter,
        max_uploads=query.max_uploads,
        key_marker=after[0],
        upload_id_marker=after[1],
    )
    page = tidy(page.first(MAX_PAGE), after, provider)
    if narrows:
        page = narrow(page, query.prefix, provider.order)
        if not any(markers_here(provider, query)):
            page = _with_uploads_of_key(store, bucket, query, page)
    if folds:
        page = fold(page, after, prefix=query.prefix, delimiter=query.delimiter, order=provider.order)
    return page


def _with_uploads_of_key(store: Store, bucket: str, query: UploadsQuery, page: UploadsPage) -> UploadsPage:
    """The first page under a prefix, and the uploads whose whole key is the prefix: one request.

    After a restart, MinIO lists an upload only if the prefix is its key.
    """
    try:
        found = client_for(store).list_multipart_uploads(bucket, prefix=query.prefix, max_uploads=query.max_uploads)
    except ObjectStoreError as error:
        note = Problem(Code.WHOLE_KEY_NOT_LISTED, code=error_code(error), request_id=error.request_id or "-")
        return replace(page, notes=(*page.notes, note))
    listed = {(upload.key, upload.upload_id) for upload in page.uploads}
    left_out = (each for each in found.uploads if (each.key, each.upload_id) not in listed)
    more = (Problem(Code.WHOLE_KEY_HAS_MORE),) if found.is_truncated else ()
    return replace(page, uploads=(*left_out, *page.uploads), notes=(*page.notes, *found.notes, *more))


def markers_here(provider: Provider, query: UploadsQuery) -> Marker:
    """The markers after which such a page starts; both are empty on the first page."""
    return markers_used((query.key_marker, query.upload_id_marker), provider)


def folds_here(provider: Provider, query: UploadsQuery) -> bool:
    """Whether the folders of such a page are computed here, from a listing without a delimiter."""
    return bool(query.delimiter) and (provider.delimiter == "broken" or narrows_here(provider, query))


def narrows_here(provider: Provider, query: UploadsQuery) -> bool:
    """Whether the page is requested without the prefix and filtered here."""
    return bool(query.prefix) and provider.exact_prefix and not query.whole_key


def find_listed(
    store: Store, bucket: str, key: str, upload_id: str, retries: RetryPolicy = DEFAULT_RETRIES
) -> tuple[MultipartUpload | None, bool]:
    """An upload as the listing at its key shows it, and whether that page was complete: one request."""
    page = list_uploads(store, bucket, UploadsQuery(prefix=key, max_uploads=MAX_PAGE, whole_key=True), retries)
    found = (upload for upload in page.uploads if (upload.key, upload.upload_id) == (key, upload_id))
    return next(found, None), not page.is_truncated


def list_parts(
    store: Store, bucket: str, key: str, upload_id: str, *, max_parts: int = MAX_PAGE, part_number_marker: int = 0
) -> PartsPage:
    """One page of ListParts: one request. Some stores send more parts than were requested, or earlier ones."""
    page = client_for(store).list_parts(
        bucket, key, upload_id, max_parts=max_parts, part_number_marker=part_number_marker
    )
    if len(page.parts) <= MAX_PAGE:
        return page
    parts = tuple(part for part in page.parts if part.number > part_number_marker)[:MAX_PAGE]
    last = parts[-1].number if parts else 0
    return replace(page, parts=parts, is_truncated=len(parts) == MAX_PAGE, next_part_number_marker=last)


def list_all_parts(store: Store, bucket: str, key: str, upload_id: str) -> list[ListedPart]:
    """All parts of an upload, 10,000 at most: one request for each 1,000."""
    return list(client_for(store).iter_parts(bucket, key, upload_id))


def summarize_upload(store: Store, bucket: str, key: str, upload_id: str) -> PartSummary:
    """All parts of an upload, in numbers: one request for each 1,000."""
    return summarize_parts(list_all_parts(store, bucket, key, upload_id), provider_of(store).min_part_size)


def head_object(
    store: Store, bucket: str, key: str, retries: RetryPolicy = DEFAULT_RETRIES, *, with_checksum: bool = False
) -> ExistingObject:
    """HEAD; a missing object or permission is a result, any other error is raised.

    The response to HEAD has no body with the reason. For a bare 400, which may mean expired credentials, another
    request is sent to find the reason. `with_checksum`: the object's CRC-64 is needed.
    """
    try:
        return ExistingObject(client_for(store, retries).head_object(bucket, key, with_checksum=with_checksum))
    except Refused as refusal:
        if refusal.reason is Reason.NO_SUCH_KEY:
            return ExistingObject(None, absence=refusal)
        if refusal.is_denied:
            return ExistingObject(None, refusal)
        if refusal.code == "400":
            client_for(store, retries).list_multipart_uploads(bucket, max_uploads=1)
        raise


def is_gone(error: ObjectStoreError) -> bool:
    """Whether the store reports that an upload no longer exists: it was completed or aborted in the meantime.

    Ceph reports NoSuchKey where others report NoSuchUpload.
    """
    return error.reason in {Reason.NO_SUCH_UPLOAD, Reason.NO_SUCH_KEY}
