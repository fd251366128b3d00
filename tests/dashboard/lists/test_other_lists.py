"""The lists of operations and of store checks."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from tests.dashboard.pages import JSON, Page
from uploads.domain.states import ItemState, OperationKind
from uploads.models import Operation, OperationItem, Store, StoreCheck

ERROR = {"error_code": "AccessDenied", "error_message": "No entry."}


@pytest.fixture
def unreachable(db: None) -> Store:
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def make_operation(actor: User, store: Store, *states: ItemState, **values: Any) -> Operation:
    given = {"kind": OperationKind.ABORT, "bucket": "photos"} | values
    operation = Operation.objects.create(actor=actor, store=store, **given)
    for number, state in enumerate(states):
        error = ERROR if state == ItemState.FAILED else {}
        OperationItem.objects.create(
            operation=operation, key=f"{given['bucket']}/{number}.jpg", upload_id=f"u{number}", state=state, **error
        )
    return operation


def ids(client: Client, path: str, name: str) -> list[str]:
    return [each["id"] for each in Page(client.get(path, headers=JSON)).json[name]]


def test_operations_are_listed_filtered_and_say_what_became_of_them(
    administrator_client: Client, administrator: User, operator: User, unreachable: Store
) -> None:
    done = make_operation(administrator, unreachable, ItemState.DONE, ItemState.DONE)
    failed = make_operation(
        operator, unreachable, ItemState.FAILED, kind=OperationKind.COMPLETE, bucket="documents", allow_gaps=False
    )
    page = Page(administrator_client.get("/operations/"))
    for text in (
        "Abort of 2 uploads",
        "Completion of an upload",
        "AccessDenied No entry.",
        "photos/0.jpg",
        "and 1 more",
    ):
        assert text in page.words, text
    assert page.href("Abort of 2 uploads") == f"/operations/{done.pk}/"
    for query, expected in {
        "": [failed, done],
        "sort=requested": [done, failed],
        "state=failed": [failed],
        "state=running": [],
        "kind=abort": [done],
        "bucket=documents": [failed],
        "store=unreachable": [failed, done],
        f"owner={operator.username}": [failed],
        "q=documents/": [failed],
        "q=u1": [done],
        "to=2020-01-01": [],
    }.items():
        assert ids(administrator_client, f"/operations/?{query}", "operations") == [str(each.pk) for each in expected]
    assert Page(administrator_client.get("/operations/?kind=delete")).status == 400
    assert "No operation matches" in Page(administrator_client.get("/operations/?state=running")).words


def test_operations_are_listed_as_their_own_json_has_them(
    administrator_client: Client, administrator: User, unreachable: Store
) -> None:
    states = (ItemState.DONE, ItemState.SPARED, ItemState.SPARED, ItemState.LEFT)
    operation = make_operation(administrator, unreachable, *states, desired_state="cancel")
    (listed,) = Page(administrator_client.get("/operations/", headers=JSON)).json["operations"]
    alone = Page(administrator_client.get(f"/operations/{operation.pk}/", headers=JSON)).json
    assert (listed["items"]["spared"], listed["items"]["left"]) == (2, 1)
    assert len(alone.pop("Uploads")) == 4
    assert listed == alone


def test_store_checks_are_listed_and_filtered(
    administrator_client: Client, administrator: User, unreachable: Store
) -> None:
    done = StoreCheck.objects.create(store=unreachable, bucket="a", actor=administrator, state=ItemState.DONE)
    failed = StoreCheck.objects.create(store=unreachable, bucket="b", state=ItemState.FAILED, **ERROR)
    page = Page(administrator_client.get("/checks/"))
    assert page.href("unreachable / a") == f"/stores/unreachable/check/{done.pk}/"
    assert "AccessDenied No entry." in page.words
    for query, expected in {
        "": [failed, done],
        "state=failed": [failed],
        "store=unreachable&bucket=a": [done],
        "owner=nobody": [],
    }.items():
        assert ids(administrator_client, f"/checks/?{query}", "checks") == [str(each.pk) for each in expected]


@pytest.mark.parametrize("path", ["/operations/", "/checks/"])
def test_lists_need_few_statements(
    path: str,
    administrator_client: Client,
    administrator: User,
    unreachable: Store,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(10):
        make_operation(administrator, unreachable, ItemState.DONE, ItemState.FAILED)
        StoreCheck.objects.create(store=unreachable, bucket=f"b{number}", actor=administrator)
    with django_assert_max_num_queries(10):
        administrator_client.get(path)
