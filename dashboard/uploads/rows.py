"""The rows of a listing, with their cells rendered here: template filters on 1,000 rows take three times as long."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Protocol

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from dashboard.shared import formatting
from dashboard.shared.formatting import RowKey
from dashboard.shared.links import BucketLinks
from dashboard.shared.parameters import quoted
from dashboard.templatetags.components import dot
from dashboard.uploads.columns import TO_ABORT, Table, render_without_facts, row_renderer, table_of
from uploads import access
from uploads.access import AnyUser
from uploads.models import Store
from uploads.models.endings import Ended, ended_here
from uploads.objectstore.types import MultipartUpload, UploadRef, UploadsPage, UploadsQuery
from uploads.services.browse import ownership
from uploads.services.browse.unlisted import Unlisted


@dataclass(frozen=True, slots=True)
class Boxes:
    """The checkboxes of a table. `ticked`: all of them, which is 'select all' without JavaScript."""

    shown: bool
    ticked: bool = False


NO_BOXES = Boxes(shown=False)


@dataclass(frozen=True, slots=True)
class Folder:
    """A common prefix: what it adds to the prefix, and the URL of the listing inside it."""

    name: SafeString
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    """Folders and rows that belong together: those that the store lists, and those that it leaves out.

    `rows`: how many there are, and `html` has them. `has_boxes`: any of them can be selected.
    """

    folders: Sequence[Folder]
    rows: int
    html: SafeString
    table: Table
    is_listed: bool = True
    has_boxes: bool = False


def listed_group(
    user: AnyUser,
    store: Store,
    links: BucketLinks,
    query: UploadsQuery,
    page: UploadsPage,
    requested_at: datetime,
    boxes: Boxes,
) -> Group:
    """The rows of the store's page. `requested_at` is when the page was requested: an upload may have ended since."""
    ids = [upload.upload_id for upload in page.uploads]
    owners = ownership.owners(store, links.bucket, ids)
    ended = ended_here(store, links.bucket, ids)
    table, badge_text = table_of(page.uploads), _("transfer")
    new_row = _row_factory(links, table, boxes)
    of_transfers = [*(each.pk for each in owners.values()), *(each.transfer_id for each in ended.values())]
    urls = _transfer_urls(user, of_transfers) | _operation_urls(user, (each.operation_id for each in ended.values()))
    rows, of_key = [], Counter([upload.key for upload in page.uploads])
    for upload in page.uploads:
        name = (upload.key, upload.upload_id)
        badge = _transfer_badge(urls.get(owners[name].pk), badge_text) if name in owners else ""
        if of_key[upload.key] > 1:
            badge = _same_key(links.compare(upload.key), of_key[upload.key]) + badge
        rows.append(new_row(upload, badge, _ended(ended[name], urls, requested_at) if name in ended else ""))
    has_boxes = boxes.shown and any((upload.key, upload.upload_id) not in ended for upload in page.uploads)
    return Group(_folders(links, query, page.common_prefixes), len(rows), _joined(rows), table, has_boxes=has_boxes)


def _joined(rows: Iterable[str]) -> SafeString:
    return mark_safe("".join(rows))  # noqa: S308  (each row is escaped)


Urls = dict[uuid.UUID, str]
"""The pages of transfers and operations, by id: of those that the user may see."""


def _transfer_urls(user: AnyUser, ids: Iterable[uuid.UUID | None]) -> Urls:
    wanted = set(filter(None, ids))
    if not wanted:
        return {}
    visible = access.visible_transfers(user).filter(pk__in=wanted).values_list("pk", flat=True)
    return {pk: reverse("transfer", args=[pk]) for pk in visible}


def _operation_urls(user: AnyUser, ids: Iterable[uuid.UUID | None]) -> Urls:
    wanted = set(filter(None, ids))
    if not wanted:
        return {}
    visible = access.visible_operations(user).filter(pk__in=wanted).values_list("pk", flat=True)
    return {pk: reverse("operation", args=[pk]) for pk in visible}


def unlisted_group(
    user: AnyUser, links: BucketLinks, query: UploadsQuery, unlisted: Unlisted, table: Table | None
) -> Group:
    """The rows that the store's page leaves out, in the same table as those that it lists."""
    table = table or table_of([each.upload for each in unlisted.uploads])
    new_row = _row_factory(links, table, NO_BOXES, css="unlisted")
    urls = _transfer_urls(user, (each.transfer_id for each in unlisted.uploads))
    rows = [
        new_row(each.upload, _unlisted_marks(urls.get(each.transfer_id), suspected=each.possible_orphan))
        for each in unlisted.uploads
    ]
    return Group(_folders(links, query, unlisted.prefixes), len(rows), _joined(rows), table, is_listed=False)


def rows_to_abort(links: BucketLinks, names: Sequence[UploadRef], owned: Container[tuple[str, str]]) -> SafeString:
    """The rows of a selection to abort. The uploads in `owned` belong to transfers in progress."""
    new_row = _row_factory(links, TO_ABORT, NO_BOXES)
    skipped = format_html(' <span class="text-secondary" data-owned>{}</span>', _("(owned by a transfer: not aborted)"))
    return _joined(
        new_row(MultipartUpload(name.key, name.upload_id, None), skipped if (name.key, name.upload_id) in owned else "")
        for name in names
    )


class _NewRow(Protocol):
    def __call__(self, upload: MultipartUpload, marks: SafeString | str, ended: SafeString | str = "") -> str: ...


def _row_factory(links: BucketLinks, table: Table, boxes: Boxes, css: str = "") -> _NewRow:
    """A function that makes the HTML of the next row. What is the same in every row is made once.

    A row has few elements and no facts: of 1,000 rows, a browser shows 30. `ended`: how Partway ended the upload, which
    cannot be selected then.
    """
    detail, render = links.detail_form, row_renderer(table)
    select, id_title = escape(_("Select %(key)s")), escape(_("Upload id: %(id)s"))
    opening, gone = f'<tr class="{css}">' if css else "<tr>", '<tr class="is-gone">'
    ticked = " checked" if boxes.ticked else ""

    def new_row(upload: MultipartUpload, marks: SafeString | str, ended: SafeString | str = "") -> str:
        key, upload_id, shown = quoted(upload.key), quoted(upload.upload_id), formatting.row_key(upload.key)
        title = id_title % {"id": escape(upload.upload_id)}
        url = f"{detail}?key={key}&amp;upload-id={upload_id}"
        cells = render_without_facts(ended) if ended else ""
        checkbox = ""
        if boxes.shown and not ended:
            label = f'aria-label="{select % {"key": shown.mark}}"{ticked}'
            value = f"{key}/{upload_id}"
            checkbox = f'<input class="form-check-input" type="checkbox" name="upload" value="{value}" {label}>'
        first = f'<th scope="row">{checkbox}{_key_link(url, shown, title)}{marks}</th>'
        return f"{gone if ended else opening}{first}{render(upload)}{cells}</tr>"

    return new_row


def _key_link(url: str, key: RowKey, title: str) -> str:
    """A key in one line that is cut in its middle where it does not fit. `url` and `title` are escaped.

    Its title and its name for screen readers have the whole key; selecting the text copies the whole key.
    """
    if not key.end:
        return f'<a href="{url}" translate="no" title="{title}">{key.start}</a>'
    titles = f'title="{key.mark}\n{title}" aria-label="{key.mark}"'
    return f'<a href="{url}" translate="no" {titles}><span>{key.start}</span>{key.end}</a>'


def _same_key(url: str, count: int) -> SafeString:
    """A link to the uploads of a key, side by side: `count` are on this page."""
    return format_html(
        '<a class="same-key" href="{}">{}</a>',
        url,
        _("same key: %(count)s uploads") % {"count": formatting.Count(count)},
    )


def _transfer_badge(url: str | None, text: str) -> SafeString:
    if url is None:
        return format_html(' <span class="badge">{}</span>', text)
    return format_html(' <a class="badge" href="{}">{}</a>', url, text)


def _unlisted_marks(url: str | None, *, suspected: bool) -> SafeString:
    text = _("possibly from a transfer") if suspected else _("transfer")
    return format_html("{} {}", _transfer_badge(url, text), dot("warn", _("not listed")))


def _ended(ended: Ended, urls: Urls, requested_at: datetime) -> SafeString:
    """How an upload ended that the store's listing still names, with a link to the operation or transfer."""
    text = _("not found by the abort") if ended.found_none else _("aborted here")
    state = dot("idle", _("completed here") if ended.completed else text)
    age = formatting.age_html(ended.at) if ended.at else ""
    since = _("just now") if ended.at and ended.at >= requested_at else _("the store still lists it")
    by = ended.operation_id or ended.transfer_id
    url = urls.get(by) if by else None
    named = format_html('<a href="{}">{}</a>', url, state) if url else state
    return format_html('{} {} <span class="text-secondary">{}</span>', named, age, since)


def _folders(links: BucketLinks, query: UploadsQuery, prefixes: Sequence[str]) -> list[Folder]:
    """Folders named without the prefix that they share. A prefix that equals the query's is shown whole."""
    return [
        Folder(
            formatting.key_html(common.removeprefix(query.prefix) or common),
            links.listing(UploadsQuery(common, query.delimiter, query.max_uploads)),
        )
        for common in prefixes
    ]
