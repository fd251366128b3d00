"""What a listing page says of the store's own ways, where it would mislead without: by the profile alone."""

from __future__ import annotations

from dashboard.shared.messages import text_of
from uploads.objectstore.providers import Provider
from uploads.objectstore.types import UploadsPage, UploadsQuery
from uploads.services.browse.browsing import folds_here, narrows_here

FOLDERS = (
    "Folders are made here, page by page: this store's own grouping by a delimiter is not to be relied on. A page may "
    "show fewer rows than its size, or none, while more follow."
)
NARROWED = (
    "This store finds uploads only by their whole key. The prefix is looked for here, page by page: a page may show "
    "fewer rows than its size, or none, while more follow."
)
UNORDERED = "This store lists in no order: rows stand as they came, and some may move from one page to another."
FORGETS = (
    "This store's listing may leave out uploads whose parts are still there. Those that were begun here are shown all "
    "the same; others can be opened by key and upload id."
)
KEEPS_ENDED = (
    "This store's listing may go on naming uploads that have ended: a row is marked as gone when that is seen."
)


def notes_on(provider: Provider, asked: UploadsQuery, page: UploadsPage) -> list[str]:
    """Sentences in the order of how much they matter; what of the page could not be read comes first."""
    has_rows = bool(page.uploads or page.common_prefixes)
    found = [
        (FOLDERS, folds_here(provider, asked)),
        (NARROWED, narrows_here(provider, asked)),
        (UNORDERED, provider.order == "none" and (page.is_truncated or bool(asked.key_marker))),
        (FORGETS, provider.forgets),
        (KEEPS_ENDED, provider.keeps_ended and has_rows),
    ]
    return [*map(text_of, page.notes), *(words for words, applies in found if applies)]
