"""URLs of the pages of a bucket. Every value is percent-encoded, so that it arrives exactly."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.http import HttpRequest
from django.urls import reverse

from dashboard.shared.parameters import query_string, write_trail
from uploads.objectstore.types import DEFAULT_PAGE, Marker, UploadRef, UploadsQuery

Trail = list[Marker]

TRY_AGAIN = "try"
"""The parameter that makes a page ask a store that is known not to answer: `?try=1`."""


def try_again_url(request: HttpRequest) -> str:
    """The same page, which asks the store even if it is known not to answer."""
    url = request.get_full_path()
    return f"{url}{'&' if '?' in url else '?'}{TRY_AGAIN}=1"


@dataclass(frozen=True, slots=True)
class BucketLinks:
    """The pages of one bucket of one store.

    `back`: the path and query of the page that the operator came from. The pages of an upload lead back to it.
    """

    store: str
    bucket: str
    back: str = ""

    def _url(self, name: str) -> str:
        return reverse(name, args=[self.store, self.bucket])

    @property
    def uploads(self) -> str:
        return self._url("uploads")

    @property
    def came_from(self) -> str:
        """Where the pages of an upload lead back to."""
        return self.back or self.uploads

    @property
    def listing_left(self) -> str:
        """The page of the listing that the operator has left; the first one if it was another page."""
        return self.back if self.back.partition("?")[0] == self.uploads else self.uploads

    @property
    def compare_form(self) -> str:
        return self._url("compare")

    @property
    def detail_form(self) -> str:
        return self._url("upload")

    @property
    def abort_form(self) -> str:
        return self._url("abort")

    @property
    def complete_form(self) -> str:
        return self._url("complete")

    @property
    def lifecycle(self) -> str:
        return self._url("lifecycle")

    @property
    def facts_base(self) -> str:
        return self._url("facts")

    def listing(self, query: UploadsQuery, trail: Trail | None = None, *, default_page: int = DEFAULT_PAGE) -> str:
        """A page of the listing."""
        return self.uploads + query_string(
            {
                "prefix": query.prefix,
                "delimiter": query.delimiter,
                "max-uploads": query.max_uploads if query.max_uploads != default_page else None,
                "key-marker": query.key_marker,
                "upload-id-marker": query.upload_id_marker,
                "whole-key": 1 if query.whole_key else None,
                "trail": write_trail(trail or []),
            }
        )

    def detail(self, upload: UploadRef, **more: str | int) -> str:
        return self.detail_form + self._named(upload, **more)

    def part_summary(self, upload: UploadRef) -> str:
        return self._url("survey") + name_query(upload)

    def facts(self, upload: UploadRef) -> str:
        return self.facts_base + name_query(upload)

    def abort(self, upload: UploadRef) -> str:
        return self.abort_form + self._named(upload)

    def complete(self, upload: UploadRef) -> str:
        return self.complete_form + self._named(upload)

    def compare(self, key: str) -> str:
        """The uploads of one key, side by side."""
        return f"{self.compare_form}?key={quote(key, safe='')}{self._back()}"

    def _named(self, upload: UploadRef, **more: str | int) -> str:
        return name_query(upload, **more) + self._back()

    def _back(self) -> str:
        return f"&back={quote(self.back, safe='')}" if self.back else ""


def name_query(upload: UploadRef, **more: str | int) -> str:
    """`?key=…&upload-id=…`, and more parameters under the API's names."""
    name = f"?key={quote(upload.key, safe='')}&upload-id={quote(upload.upload_id, safe='')}"
    return name + "".join(f"&{name.replace('_', '-')}={value}" for name, value in more.items())
