"""What a page of the listing asks the database: as little for 1,000 uploads as for one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page, Site
from uploads.domain.states import ItemState, OperationKind
from uploads.models import Operation, OperationItem, Store
from uploads.objectstore.types import MultipartUpload, UploadsPage
from uploads.services.browse import browsing

INITIATED = datetime(2026, 1, 2, tzinfo=UTC)
MOST_PARAMETERS = 20


@pytest.fixture
def site(db: None, operator_client: Client) -> Site:
    Store.objects.create(name="a", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    return Site(operator_client, "a", "photos")


def page_of(site: Site, monkeypatch: pytest.MonkeyPatch, count: int) -> tuple[Page, list[tuple[str, int]]]:
    """A page of so many uploads, and its statements with the number of their parameters."""
    uploads = tuple(MultipartUpload(f"key {number}", f"id-{number}", INITIATED) for number in range(count))
    listed = UploadsPage(uploads, (), is_truncated=False, next_key_marker="", next_upload_id_marker="")
    monkeypatch.setattr(browsing, "list_uploads", lambda *_: listed)
    with statements() as found:
        page = site.listing("max-uploads=1000")
    return page, found


@contextmanager
def statements() -> Iterator[list[tuple[str, int]]]:
    found: list[tuple[str, int]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        found.append((sql, len(params or ())))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found


def test_statements_do_not_grow_with_the_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    page_of(site, monkeypatch, 1)
    _, of_one = page_of(site, monkeypatch, 1)
    page, of_many = page_of(site, monkeypatch, 1000)
    assert len(page.rows) == 1000
    assert len(of_many) == len(of_one)
    assert not [sql for sql, parameters in of_many if parameters > MOST_PARAMETERS]


def test_uploads_that_are_known_here_are_marked(site: Site, operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a transfer in progress, and of an operation that has ended it; not those of the same id in other buckets."""
    store = Store.objects.get()
    make_transfer(operator, store, key="key 7", upload_id="id-7")
    make_transfer(operator, store, bucket="films", key="key 8", upload_id="id-8")
    operation = Operation.objects.create(kind=OperationKind.ABORT, store=store, bucket="photos", actor=operator)
    for number in (9, 10):
        state = ItemState.DONE if number == 9 else ItemState.FAILED
        OperationItem.objects.create(operation=operation, key=f"key {number}", upload_id=f"id-{number}", state=state)
    page, found = page_of(site, monkeypatch, 1000)
    assert page.text.count('class="badge"') == 1
    assert page.text.count('class="is-gone"') == 1
    assert page.text.count('name="upload"') == 999
    assert max(parameters for _, parameters in found) <= MOST_PARAMETERS
