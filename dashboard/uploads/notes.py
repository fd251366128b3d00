"""What a listing says about how this store lists, where it would mislead otherwise: on the page and in the JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from dashboard.shared.formatting import Count
from dashboard.shared.links import Trail
from dashboard.shared.messages import text_of
from uploads.objectstore.providers import Provider
from uploads.objectstore.types import Marker, PartsPage, UploadsPage, UploadsQuery
from uploads.services.browse.browsing import folds_here, markers_here, narrows_here


@dataclass(frozen=True, slots=True)
class Note:
    """`code` names the note in the JSON. `may_miss`: uploads that are in progress may be missing from the listing."""

    code: str
    text: Promise | str
    may_miss: bool = False
    is_warning: bool = False
    """Whether the page shows it as a warning. Its other notes are a list."""


PAGES_LOSE = Note(
    "PagesLoseUploads",
    _(
        "The pages of this store's listing leave out uploads: a store check found no way to request all of them. "
        "Uploads may be missing, even if a page is the last one. Narrow the prefix until one page of "
        "1,000 lists everything."
    ),
    may_miss=True,
    is_warning=True,
)
UNSUPPORTED = Note(
    "ListingUnsupported",
    _("This endpoint's API has no operation that lists uploads. An empty listing does not mean that there are none."),
    may_miss=True,
)
GRANTED = Note(
    "GrantedFolders",
    _("You may see what is in these folders. The store has not been asked what else there is."),
)
KEY_MARKER_UNUSED = Note(
    "KeyMarkerIgnored",
    _(
        "This store continues a listing after an upload-id-marker alone. Partway did not send the key-marker: with it, "
        "the store would list other uploads."
    ),
)
UPLOAD_ID_MARKER_ALONE = Note(
    "UploadIdMarkerAlone",
    _("Most stores ignore an upload-id-marker without a key-marker. This is then the first page."),
)
FOLDERS = Note(
    "FoldersGroupedHere",
    _(
        "Partway groups the folders itself, page by page, because this store's grouping by a delimiter is unreliable. "
        "A page may show fewer rows than its size, or none, although more follow."
    ),
)
NARROWED = Note(
    "PrefixFilteredHere",
    _(
        "This store finds uploads only by their whole key. Partway requests those with exactly this key, and filters "
        "all others by the prefix itself, page by page. A page may show fewer rows than its size, or none, although "
        "more follow."
    ),
)
UNORDERED = Note(
    "Unordered",
    _(
        "This store lists uploads in no particular order. Rows are shown as they arrive, and some may move from one "
        "page to another."
    ),
)
BY_UPLOAD_ID = Note(
    "OrderedByUploadId",
    _(
        "This store lists uploads in the order of their upload ids. The uploads of a key or folder may be on several "
        "pages."
    ),
)
FORGETS = Note(
    "ListingForgets",
    _(
        "This store's listing may leave out uploads whose parts still exist. Uploads that Partway started are shown "
        "anyway; you can open others by key and upload id."
    ),
    may_miss=True,
)
KEEPS_ENDED = Note(
    "ListingKeepsEnded",
    _("This store's listing may still name uploads that have ended. A row is marked as gone as soon as Partway knows."),
)
NO_MARKERS = Note(
    "NextMarkersMissing",
    _("The store reports that more uploads follow, but it gives no marker to continue from."),
    may_miss=True,
)
MARKERS_LOOP = Note(
    "NextMarkersDoNotAdvance",
    _("The store reports that more uploads follow, but its markers lead back to an earlier page."),
    may_miss=True,
)

PART_MARKER_STUCK = Note(
    "NextPartNumberMarkerDoesNotAdvance",
    _("The store reports that more parts follow, but it gives no marker to continue from."),
    may_miss=True,
)


def notes_on(provider: Provider, query: UploadsQuery, page: UploadsPage, trail: Trail) -> list[Note]:
    """Notes in the order of their importance. What could not be read of the page comes first."""
    return [
        *(Note(problem.code, text_of(problem), may_miss=True) for problem in page.notes),
        *(note for note, applies in _notes(provider, query, page, trail) if applies),
    ]


def _notes(provider: Provider, query: UploadsQuery, page: UploadsPage, trail: Trail) -> Iterator[tuple[Note, bool]]:
    has_rows = bool(page.uploads or page.common_prefixes)
    is_one_of_several = page.is_truncated or any(markers_here(provider, query))
    yield Note("RowsLeftOut", _rows_left_out(page), may_miss=True, is_warning=True), page.unshown > 0
    yield UNSUPPORTED, not provider.lists_uploads
    yield PAGES_LOSE, provider.loses_pages
    yield KEY_MARKER_UNUSED, provider.marker_pair == "upload-id" and bool(query.key_marker)
    yield UPLOAD_ID_MARKER_ALONE, _may_be_first_page(provider, query, page, trail)
    yield FOLDERS, folds_here(provider, query)
    yield NARROWED, narrows_here(provider, query)
    yield UNORDERED, provider.order == "none" and is_one_of_several
    yield BY_UPLOAD_ID, provider.order == "upload-id" and is_one_of_several
    yield FORGETS, provider.forgets
    yield KEEPS_ENDED, provider.keeps_ended and has_rows


def _may_be_first_page(provider: Provider, query: UploadsQuery, page: UploadsPage, trail: Trail) -> bool:
    """Whether an upload id marker was entered alone, and nothing shows that the store continues by it."""
    is_alone = bool(query.upload_id_marker and not query.key_marker)
    store_names_it = bool(trail) or bool(page.next_upload_id_marker and not page.next_key_marker)
    return is_alone and provider.marker_pair != "upload-id" and not store_names_it


def why_stuck(trail: Trail, page: UploadsPage, here: Marker) -> Note | None:
    """Why no page can follow a page that is reported as truncated; None if one can, or need not."""
    after = (page.next_key_marker, page.next_upload_id_marker)
    if not page.is_truncated:
        return None
    if not any(after):
        return NO_MARKERS
    return MARKERS_LOOP if after == here or after in trail else None


def why_parts_end(page: PartsPage, marker: int) -> Note | None:
    """Why no page can follow a page of parts that is reported as truncated; None if one can, or need not."""
    return PART_MARKER_STUCK if page.is_truncated and page.onward <= marker else None


def _rows_left_out(page: UploadsPage) -> str:
    return ngettext(
        "The store sent %(count)s row more than fits on one page; it is not shown here. Narrow the listing with a "
        "prefix if the next page does not show it.",
        "The store sent %(count)s rows more than fit on one page; they are not shown here. Narrow the listing with a "
        "prefix if the next page does not show them.",
        page.unshown,
    ) % {"count": Count(page.unshown)}
