"""Outcomes of operations that nobody knows, and completions that are not verified, on pages, JSON and the overview."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.dashboard.pages import Page
from uploads.domain.states import ItemState, OperationKind
from uploads.models import Operation, OperationItem, Store

JSON = {"Accept": "application/json"}
ERROR = {
    "error_code": "NoSuchUpload",
    "error_reason": "no-such-upload",
    "error_params": {"operation": "CompleteMultipartUpload", "details": []},
    "error_message": "",
    "error_request_id": "tx-7",
}
EXPECTED = {"ordered_at": "2026-05-01T12:00:00+00:00", "expected_size": 1000, "parts": 2}
FOUND = {"size": 7, "etag": "abc", "last_modified": "2026-05-01T11:00:00+00:00"}


@pytest.fixture
def quiet(db: None) -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="quiet", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def make_item(actor: User, store: Store, kind: OperationKind, state: ItemState, **values: Any) -> OperationItem:
    operation = Operation.objects.create(kind=kind, actor=actor, store=store, bucket="photos")
    now = timezone.now()
    return OperationItem.objects.create(
        operation=operation, key="a/key", upload_id="u-1", state=state, finished_at=now, **values
    )


def page_of(client: Client, item: OperationItem, **headers: str) -> Page:
    return Page(client.get(reverse("operation", args=[item.operation_id]), headers=headers or None))


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (EXPECTED, "no usable response arrived"),
        ({**EXPECTED, "head_showed": {}}, "HEAD showed no object with this key."),
        ({**EXPECTED, "head_showed": FOUND}, "HEAD showed an object of 7 bytes, ETag abc"),
    ],
)
def test_completion_with_an_unknown_outcome_says_where_to_look(
    operator_client: Client, operator: User, quiet: Store, outcome: dict[str, Any], text: str
) -> None:
    """A request that may have had an effect is shown as unknown in every place, with what is known and what to do."""
    item = make_item(operator, quiet, OperationKind.COMPLETE, ItemState.UNKNOWN, outcome=outcome, **ERROR)
    page = page_of(operator_client, item)
    assert "outcome unknown" in page.text
    assert text in page.text
    assert "tx-7" in page.text
    assert "prefix=a/key&amp;whole-key=1" in page.text.replace("%2F", "/").replace("max-uploads=100&amp;", "")
    assert "Reason for the failure" not in page.text
    json = page_of(operator_client, item, **JSON).json
    assert (json["state"], json["items"]["unknown"], json["items"]["failed"]) == ("unknown", 1, 0)
    assert json["Uploads"][0]["state"] == "unknown"
    assert "The outcome of 1 upload is not known" in Page(operator_client.get("/")).text


def test_abort_with_an_unknown_outcome(operator_client: Client, operator: User, quiet: Store) -> None:
    item = make_item(operator, quiet, OperationKind.ABORT, ItemState.UNKNOWN, **ERROR)
    OperationItem.objects.create(operation=item.operation, key="b", upload_id="u-2", state=ItemState.DONE)
    text = page_of(operator_client, item).text
    assert "Look whether the upload still exists" in text
    assert "the outcome of 1 is unknown" in text


def test_completion_that_is_not_verified_has_its_reason(operator_client: Client, operator: User, quiet: Store) -> None:
    outcome = {**EXPECTED, "completed_at": "2026-05-01T12:00:01+00:00", "verified": False, "not_verified": ERROR}
    item = make_item(operator, quiet, OperationKind.COMPLETE, ItemState.DONE, outcome=outcome)
    text = page_of(operator_client, item).text
    assert "Done, unverified." in text
    assert "tx-7" in text
    json = page_of(operator_client, item, **JSON).json
    assert json["Uploads"][0]["error"] is None
    assert json["Uploads"][0]["outcome"]["not_verified"]["request_id"] == "tx-7"


def test_completion_that_is_not_verified_yet_says_so(operator_client: Client, operator: User, quiet: Store) -> None:
    outcome = {**EXPECTED, "completed_at": "2026-05-01T12:00:01+00:00"}
    item = make_item(operator, quiet, OperationKind.COMPLETE, ItemState.ORDERED, outcome=outcome, **ERROR)
    assert "Completed in the store; not verified yet." in page_of(operator_client, item).text


def test_completion_names_what_was_proved(operator_client: Client, operator: User, quiet: Store) -> None:
    outcome = {**EXPECTED, "verified": True, "proofs": ["size", "date"], "size": 1000}
    item = make_item(operator, quiet, OperationKind.COMPLETE, ItemState.DONE, outcome=outcome)
    assert "verified by HEAD: size, date" in page_of(operator_client, item).text


def test_operation_page_shows_an_item_that_ends_while_the_page_is_made(
    operator_client: Client, operator: User, quiet: Store
) -> None:
    """A worker may record the end of the only item between any two statements of the page."""
    for statements in range(1, 40):
        item = make_item(operator, quiet, OperationKind.ABORT, ItemState.RUNNING)
        left = statements

        def end_item(execute: Any, sql: str, *arguments: Any, row: OperationItem = item) -> Any:
            nonlocal left
            left -= 1
            found = execute(sql, *arguments)
            if left == 0:
                OperationItem.objects.filter(pk=row.pk).update(state=ItemState.FAILED, **ERROR)
            return found

        with connection.execute_wrapper(end_item):
            page = page_of(operator_client, item)
        assert "u-1" in page.text
        if left > 0:
            break
    assert statements > 2
