"""What an entry of the audit log says: where it came from, what became of it, and which request it ends."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User

from uploads import audit
from uploads.domain.states import OperationKind
from uploads.models import AuditEntry, Operation, OperationItem, Store, Transfer
from uploads.problems import Code, Problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga() -> User:
    return User.objects.create_user("olga")


@pytest.fixture
def store() -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")


def entry() -> AuditEntry:
    return AuditEntry.objects.latest("pk")


def test_entry_says_from_where_and_by_which_means(olga: User) -> None:
    audit.record(olga, "store.added")
    assert (entry().address, entry().means, entry().token) == ("", "schedule", "")
    with audit.origin(address="192.0.2.1", means="page"):
        with audit.origin(means="token", token="nightly"):
            audit.record(olga, "store.added")
            assert (entry().address, entry().means, entry().token) == ("192.0.2.1", "token", "nightly")
        audit.record(olga, "store.added")
        assert (entry().address, entry().means, entry().token) == ("192.0.2.1", "page", "")


@pytest.mark.parametrize(
    ("action", "outcome"),
    [
        ("abort.ordered", "ordered"),
        ("transfer.cancel-ordered", "ordered"),
        ("abort.failed", "failed"),
        ("abort.unknown", "unknown"),
        ("transfer.refused", "refused"),
        ("store.added", "done"),
        ("transfer.begun", "done"),
    ],
)
def test_outcome_follows_from_the_action(action: str, outcome: str) -> None:
    audit.record(None, action)
    assert (entry().thing, entry().outcome) == (action.partition(".")[0], outcome)


def test_request_id_of_the_store_becomes_a_column(olga: User) -> None:
    audit.record(olga, "abort.failed", detail={"error_code": "E", "error_request_id": "r-1"})
    assert entry().request_id == "r-1"
    audit.record(olga, "complete.done", detail={"outcome": {"request_id": "r-2"}})
    assert entry().request_id == "r-2"
    audit.record(olga, "complete.done", request_id="r-3", detail={"reason": Problem(Code.NO_PARTS)})
    assert (entry().request_id, entry().detail["reason"]["code"]) == ("r-3", Code.NO_PARTS)


def test_name_of_somebody_who_is_no_user_is_kept() -> None:
    audit.record(None, "session.failed", actor_name="o" * 300)
    assert entry().actor_name == "o" * 150


def test_outcome_belongs_to_its_request_and_comes_from_where_that_came_from(olga: User, store: Store) -> None:
    operation = Operation.objects.create(kind=OperationKind.ABORT, actor=olga, store=store, bucket="b")
    items = [OperationItem.objects.create(operation=operation, key="k", upload_id=f"u-{number}") for number in (1, 2)]
    with audit.origin(address="192.0.2.1", means="token", token="nightly"):
        for item in items:
            audit.record_item(olga, "ordered", operation, item)
    audit.record_item(olga, "done", operation, items[0])
    assert AuditEntry.objects.get(pk=entry().ordered_id or 0).upload_id == "u-1"
    assert (entry().address, entry().means, entry().token) == ("192.0.2.1", "token", "nightly")


def test_end_of_a_transfer_belongs_to_the_step_that_requested_it(olga: User, store: Store) -> None:
    values = {"bucket": "b", "key": "k", "size": 1, "part_size": 1, "part_count": 1, "node": "n"}
    transfer = Transfer.objects.create(id=uuid.uuid4(), owner=olga, store=store, **values)
    audit.record_transfer(olga, "begun", transfer)
    audit.record_transfer(None, "failed", transfer)
    audit.record_transfer(olga, "retried", transfer)
    audit.record_transfer(None, "parts-replaced", transfer)
    audit.record_transfer(olga, "cancel-ordered", transfer)
    audit.record_transfer(None, "cancelled", transfer)
    actions = {row.pk: row.action for row in AuditEntry.objects.all()}
    ordered = {row.action: actions.get(row.ordered_id or 0) for row in AuditEntry.objects.all()}
    assert ordered == {
        "transfer.begun": None,
        "transfer.failed": "transfer.begun",
        "transfer.retried": None,
        "transfer.parts-replaced": None,
        "transfer.cancel-ordered": None,
        "transfer.cancelled": "transfer.cancel-ordered",
    }
    assert entry().means == "schedule", "Partway has done it, not the one who requested it"
