"""ListingClient: buckets, uploads in progress and their parts; single pages, and iterators over all pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from hashlib import blake2b
from typing import TypeVar

from uploads.objectstore import successes, xml
from uploads.objectstore.client_base import ClientBase
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused, unreadable
from uploads.objectstore.keys import check_bucket, check_range, check_text, check_upload, key_before
from uploads.objectstore.listing.copies import keep_newest
from uploads.objectstore.listing.order import after_a_row, markers_used, with_rows_in_order
from uploads.objectstore.listing.parts import in_number_order
from uploads.objectstore.refusals import Response
from uploads.objectstore.transport import Call
from uploads.objectstore.types import (
    MAX_PAGE,
    MAX_PART_NUMBER,
    Bucket,
    Buckets,
    ListedPart,
    PartsPage,
    UploadsPage,
)
from uploads.objectstore.xml_tree import Fields
from uploads.problems import Code, Problem

T = TypeVar("T")

MAX_BUCKETS, MAX_BUCKET_PAGES = 10_000, 20
"""Where a listing of buckets ends, so that a page view is not thousands of requests. Each bucket opens by its name."""

MAX_PARTS, MAX_PARTS_PAGES = 2 * MAX_PART_NUMBER, 120
"""Where a listing of an upload's parts ends. Uploads have at most 10,000; some stores list 100 per page."""

MAX_UPLOADS, MAX_UPLOADS_PAGES = 1_000_000, 2000
"""Where a listing of all uploads ends: the names that are remembered, to leave out repeats, take about 100 MB then."""


class ListingClient(ClientBase):
    """The operations that list."""

    _encodes_silently = False
    """Whether the store was seen to encode keys without saying so."""

    # Buckets

    def list_buckets(self) -> Buckets:
        """ListBuckets (OSS: ListBuckets, GetService): all buckets, up to MAX_BUCKETS and MAX_BUCKET_PAGES."""
        found: list[Bucket] = []
        query, seen = dict(self._dialect.list_buckets), set[str]()
        for _ in range(MAX_BUCKET_PAGES):
            call = Call("ListBuckets", "GET", query=query)
            page, onward = self._read(call, lambda response: xml.buckets(response.body))
            found += page if self._provider.dates_buckets else (replace(bucket, created=None) for bucket in page)
            if len(found) > MAX_BUCKETS:
                break
            if not onward:
                return Buckets(found)
            query |= onward
            if not _is_new(str(onward), seen):
                raise _loop("ListBuckets", onward)
        cut = Buckets(found[:MAX_BUCKETS])
        cut.is_cut = True
        return cut

    def head_bucket(self, bucket: str) -> str:
        """HeadBucket (OSS: GetBucketInfo): the bucket's region, '' if the store does not name it.

        Raises Refused if the credentials may not use the bucket.
        """
        check_bucket(bucket)
        method, query = self._dialect.bucket_region
        response = self._call(Call("HeadBucket", method, bucket, query=query))
        return response.named("bucket-region") or (xml.bucket_region(response.body) if response.body else "")

    # Uploads in progress

    def list_multipart_uploads(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        max_uploads: int = MAX_PAGE,
        key_marker: str = "",
        upload_id_marker: str = "",
    ) -> UploadsPage:
        """ListMultipartUploads: one page of 1 to 1,000 uploads after the markers, with one request.

        An upload id marker without a key marker is sent as it is: S3 ignores it, and some stores have no other marker.
        If a store appears to encode keys without saying so, the client repeats the request once without encoding-type,
        and does not request it again.
        """
        check_bucket(bucket)
        check_range("max-uploads", max_uploads, 1, MAX_PAGE)
        after = markers_used((key_marker, upload_id_marker), self._provider)
        if self._provider.marker_pair == "key-before" and all(after):
            after = key_before(after, prefix, delimiter)
        query = _query(prefix=prefix, delimiter=delimiter, key_marker=after[0], upload_id_marker=after[1])
        query |= {"uploads": "", "max-uploads": str(max_uploads)}
        return _under(prefix, with_rows_in_order(after_a_row(self._listed(bucket, query)), self._provider))

    def _listed(self, bucket: str, query: Mapping[str, str]) -> UploadsPage:
        try:
            return self._listed_page(bucket, query)
        except Refused as refused:
            if refused.reason is not Reason.NO_SUCH_UPLOAD:
                raise
            # rclone reports a bucket without uploads as 404 NoSuchUpload.
            return UploadsPage((), (), is_truncated=False, next_key_marker="", next_upload_id_marker="")

    def _listed_page(self, bucket: str, query: Mapping[str, str]) -> UploadsPage:
        if self._provider.url_encoding != "none" and not self._encodes_silently:
            call = Call("ListMultipartUploads", "GET", bucket, query={**query, "encoding-type": "url"})
            if page := self._read(call, self._page_unless_ambiguous):
                return page
            self._encodes_silently = True
        return self._read(Call("ListMultipartUploads", "GET", bucket, query=query), self._uploads_page)

    def iter_multipart_uploads(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        max_uploads: int = MAX_PAGE,
        key_marker: str = "",
        upload_id_marker: str = "",
    ) -> Iterator[UploadsPage]:
        """All pages after the markers, without repeated uploads or prefixes.

        The delimiter is not sent to a store that groups incorrectly, so that no upload is lost. Raises
        UnreadableResponse if a truncated page has no marker, or a pair of markers that was used before, or after
        MAX_UPLOADS uploads and prefixes or MAX_UPLOADS_PAGES pages.
        """
        if self._provider.delimiter == "broken":
            delimiter = ""
        markers = markers_used((key_marker, upload_id_marker), self._provider)
        seen_markers, seen = {_name_of(*markers)}, set[bytes]()
        for _ in range(MAX_UPLOADS_PAGES):
            page = self.list_multipart_uploads(
                bucket,
                prefix=prefix,
                delimiter=delimiter,
                max_uploads=max_uploads,
                key_marker=markers[0],
                upload_id_marker=markers[1],
            )
            yield _without_repeats(page, seen)
            if not page.is_truncated:
                return
            markers = page.onward
            if not any(markers) or not _is_new(_name_of(*markers), seen_markers):
                raise _loop("ListMultipartUploads", markers)
            if len(seen) > MAX_UPLOADS:
                break
        error = unreadable(Code.UPLOADS_WITHOUT_END, count=len(seen_markers) - 1)
        error.operation = "ListMultipartUploads"
        raise error

    def is_listed(self, bucket: str, key: str, upload_id: str) -> bool:
        """Whether ListMultipartUploads contains the upload, on the pages of uploads with exactly this key.

        Raises ObjectStoreError, such as Refused without permission to list uploads.
        """
        for page in self.iter_multipart_uploads(bucket, prefix=key):
            if any((upload.key, upload.upload_id) == (key, upload_id) for upload in page.uploads):
                return True
            # A key comes before all longer keys that start with it.
            if self._provider.order == "key" and any(upload.key != key for upload in page.uploads):
                return False
        return False

    def list_parts(
        self, bucket: str, key: str, upload_id: str, *, max_parts: int = MAX_PAGE, part_number_marker: int = 0
    ) -> PartsPage:
        """ListParts: one page of 1 to 1,000 parts whose numbers are greater than the marker.

        If a store that does not check upload ids finds no parts, the upload is looked for with ListMultipartUploads.
        """
        check_upload(bucket, key, upload_id)
        check_range("max-parts", max_parts, 1, MAX_PAGE)
        check_range("part-number-marker", part_number_marker, 0, 2**31 - 1)
        query = {"uploadId": upload_id, "max-parts": str(max_parts)}
        if part_number_marker:
            query["part-number-marker"] = str(part_number_marker)
        call = Call("ListParts", "GET", bucket, key, query)
        page = in_number_order(self._read(call, lambda response: successes.parts_page(response, key, upload_id)))
        if not page.parts and not part_number_marker:
            self._require_upload(bucket, key, upload_id)
        return page

    def _require_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Refused with NO_SUCH_UPLOAD if the store has no such upload, but would not say so itself."""
        if self._provider.checks_upload_ids or self.is_listed(bucket, key, upload_id):
            return
        raise Refused(
            Problem(Code.UPLOAD_NOT_LISTED),
            code="NoSuchUpload",
            status=404,
            reason=Reason.NO_SUCH_UPLOAD,
            operation="ListMultipartUploads",
        )

    def iter_parts(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        *,
        max_parts: int = MAX_PAGE,
        part_number_marker: int = 0,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
        seen: Callable[[PartsPage], object] = lambda _: None,
    ) -> Iterator[ListedPart]:
        """All parts after the marker, each number once, from as many pages of ListParts as necessary.

        Of several copies it is the newest one. Each page is requested inside a context of `turn`, and then passed to
        `seen`. Raises UnreadableResponse if a truncated page has no marker, or one that
        was used before, or after MAX_PARTS parts or MAX_PARTS_PAGES pages.
        """
        marker, seen_markers, kept = part_number_marker, {part_number_marker}, dict[int, ListedPart]()
        for _ in range(MAX_PARTS_PAGES):
            if len(kept) > MAX_PARTS:
                raise unreadable(Code.PARTS_WITHOUT_END, count=len(kept))
            with turn():
                page = self.list_parts(bucket, key, upload_id, max_parts=max_parts, part_number_marker=marker)
            seen(page)
            keep_newest(kept, page.parts)
            if not page.is_truncated:
                break
            marker = self._next_parts_marker(page, marker, kept)
            if marker <= 0 or marker in seen_markers:
                raise _loop("ListParts", marker)
            seen_markers.add(marker)
        else:
            raise unreadable(Code.PARTS_WITHOUT_END, count=len(kept))
        yield from kept.values()

    def _next_parts_marker(self, page: PartsPage, marker: int, kept: dict[int, ListedPart]) -> int:
        """The marker of the next page. A page may end between the copies of its last part, which is read again then."""
        after = page.next_part_number_marker
        if self._provider.keeps_part_copies and after - 1 > marker:
            kept.pop(after, None)
            return after - 1
        return after

    def _uploads_page(self, response: Response) -> UploadsPage:
        return self._interpreted(xml.uploads_fields(response.body), response)

    def _page_unless_ambiguous(self, response: Response) -> UploadsPage | None:
        fields = xml.uploads_fields(response.body)
        return None if xml.encoding_is_ambiguous(fields) else self._interpreted(fields, response)

    def _interpreted(self, fields: Fields, response: Response) -> UploadsPage:
        markers_encoded = self._provider.url_encoding == "all"
        return xml.uploads_page(fields, markers_encoded=markers_encoded, request_id=response.request_id)


def _query(**values: str) -> dict[str, str]:
    """The parameters that are not empty, by their names in the API; each can be sent exactly."""
    named = {name.replace("_", "-"): text for name, text in values.items() if text}
    for name, text in named.items():
        check_text(name, text)
    return named


def _under(prefix: str, page: UploadsPage) -> UploadsPage:
    """The page without uploads that lack the prefix: with the prefix `a/`, Swift also lists uploads of the key `a`."""
    if all(upload.key.startswith(prefix) for upload in page.uploads):
        return page
    kept = tuple(upload for upload in page.uploads if upload.key.startswith(prefix))
    key_marker, upload_id_marker = page.onward
    return replace(page, uploads=kept, next_key_marker=key_marker, next_upload_id_marker=upload_id_marker)


def _without_repeats(page: UploadsPage, seen: set[bytes]) -> UploadsPage:
    """The page without the uploads and prefixes whose names are in the set, to which the page's are added."""
    new_uploads = [each for each in page.uploads if _is_new(_name_of(each.key, each.upload_id), seen)]
    new_prefixes = [each for each in page.common_prefixes if _is_new(_name_of(each), seen)]
    return replace(page, uploads=tuple(new_uploads), common_prefixes=tuple(new_prefixes))


def _name_of(*texts: str) -> bytes:
    """A digest of a key and an upload id, or of a prefix: it takes as little memory for long ones."""
    return blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _is_new(item: T, seen: set[T]) -> bool:
    new = item not in seen
    seen.add(item)
    return new


def _loop(operation: str, marker: object) -> ObjectStoreError:
    error = unreadable(Code.LISTING_WITHOUT_END, marker=repr(marker))
    error.operation = operation
    return error
