"""What a listing page says about how this store lists, where the page would mislead otherwise."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages import text_of
from uploads.objectstore.providers import Provider
from uploads.objectstore.types import UploadsPage, UploadsQuery
from uploads.services.browse.browsing import folds_here, narrows_here

FOLDERS = _(
    "Partway groups the folders itself, page by page, because this store's grouping by a delimiter is unreliable. A "
    "page may show fewer rows than its size, or none, although more follow."
)
NARROWED = _(
    "This store finds uploads only by their whole key. Partway filters by the prefix itself, page by page. A page may "
    "show fewer rows than its size, or none, although more follow."
)
UNORDERED = _(
    "This store lists uploads in no particular order. Rows are shown as they arrive, and some may move from one page "
    "to another."
)
FORGETS = _(
    "This store's listing may leave out uploads whose parts still exist. Uploads that Partway started are shown "
    "anyway; you can open others by key and upload id."
)
KEEPS_ENDED = _(
    "This store's listing may still name uploads that have ended. A row is marked as gone as soon as Partway knows."
)


def notes_on(provider: Provider, query: UploadsQuery, page: UploadsPage) -> list[str]:
    """Notes in the order of their importance. What could not be read of the page comes first."""
    has_rows = bool(page.uploads or page.common_prefixes)
    notes = [
        (FOLDERS, folds_here(provider, query)),
        (NARROWED, narrows_here(provider, query)),
        (UNORDERED, provider.order == "none" and (page.is_truncated or bool(query.key_marker))),
        (FORGETS, provider.forgets),
        (KEEPS_ENDED, provider.keeps_ended and has_rows),
    ]
    return [*map(text_of, page.notes), *(str(text) for text, applies in notes if applies)]
