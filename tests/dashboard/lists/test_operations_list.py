"""The list of operations: a selection, or all that match, is paused, resumed and stopped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.dashboard.pages import JSON, TOKEN, Page
from tests.grants import grant
from uploads import access
from uploads.domain.roles import Role
from uploads.domain.states import DesiredState, ItemState, OperationKind
from uploads.models import AuditEntry, Operation, OperationItem, Store, Sweep

POLL = {"HX-Request": "true"}


@pytest.fixture
def unreachable(db: None) -> Store:
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def make(actor: User, store: Store, *states: ItemState, **values: Any) -> Operation:
    """An operation of which no worker takes an item."""
    prefix = values.pop("prefix", "dir/")
    given = {"kind": OperationKind.ABORT, "bucket": "photos"} | values
    operation = Operation.objects.create(actor=actor, store=store, **given)
    later = timezone.now() + timedelta(days=1)
    for number, state in enumerate(states):
        active = (
            {"active_key": f"{operation.pk.hex}{number}"} if state in (ItemState.ORDERED, ItemState.RUNNING) else {}
        )
        OperationItem.objects.create(
            operation=operation,
            key=f"{prefix}{number}",
            upload_id=f"u{number}",
            state=state,
            not_before=later,
            **active,
        )
    return operation


def request_steps(client: Client, query: str = "", *, json: bool = True, **values: object) -> Page:
    token = TOKEN.search(client.get("/account/").content.decode())
    assert token
    given = {**values, "csrfmiddlewaretoken": token[1]}
    return Page(client.post(f"/operations/steps/{query}", given, headers=JSON if json else None))


def desired(*operations: Operation) -> list[str]:
    for each in operations:
        each.refresh_from_db()
    return [each.desired_state for each in operations]


def test_selected_operations_are_paused_and_resumed(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    first, second = (make(operator, unreachable, ItemState.ORDERED) for _ in range(2))
    ended = make(operator, unreachable, ItemState.DONE)
    page = Page(operator_client.get("/operations/"))
    boxes = [each.get("value") for each in page.find("input", type="checkbox", name="id")]
    assert set(boxes) == {str(first.pk), str(second.pk)}, "only what can be steered"
    assert 'aria-label="Select the operation on dir/0"' in page.text
    found = request_steps(operator_client, step="pause", id=[first.pk, ended.pk]).json
    assert found["done"] == [str(first.pk)]
    assert [(each["id"], each["code"]) for each in found["refused"]] == [(str(ended.pk), "OperationNotPossibleNow")]
    assert desired(first, second) == [DesiredState.PAUSE, DesiredState.RUN]
    assert AuditEntry.objects.filter(action="operation.paused").count() == 1
    assert request_steps(operator_client, step="resume", id=[first.pk]).json["done"] == [str(first.pk)]
    assert desired(first) == [DesiredState.RUN]


def test_stop_is_confirmed_first(operator_client: Client, operator: User, unreachable: Store) -> None:
    made = [make(operator, unreachable, ItemState.ORDERED, ItemState.ORDERED, ItemState.DONE) for _ in range(2)]
    asked = request_steps(operator_client, "?kind=abort", json=False, step="stop", id=[each.pk for each in made])
    assert "Stop 2 operations?" in asked.words
    assert [each.text for each in asked.find("dd")] == ["2", "6", "4"]
    assert desired(*made) == [DesiredState.RUN] * 2
    given = [each.get("value") for each in asked.find("input", type="hidden", name="id")]
    done = request_steps(operator_client, "?kind=abort", json=False, step="stop", id=given, confirmed="1")
    assert (done.status, done.response["Location"]) == (303, "/operations/?kind=abort")
    assert desired(*made) == [DesiredState.CANCEL] * 2
    assert OperationItem.objects.filter(state=ItemState.LEFT).count() == 4
    page = Page(operator_client.get("/operations/"))
    assert "2 operations are stopped." in page.words
    assert not page.find("input", type="checkbox", name="id")


def test_all_that_match_the_filter_are_stepped(
    operator_client: Client, administrator: User, operator: User, unreachable: Store
) -> None:
    inside = [make(operator, unreachable, ItemState.ORDERED, prefix="in/") for _ in range(2)]
    paused = make(operator, unreachable, ItemState.ORDERED, prefix="in/", desired_state=DesiredState.PAUSE)
    outside = make(operator, unreachable, ItemState.ORDERED, prefix="out/")
    sweep = Sweep.objects.create(author=administrator, rule={})
    of_sweep = make(administrator, unreachable, ItemState.ORDERED, prefix="in/", sweep=sweep)
    found = request_steps(operator_client, "?q=in/", all="pause").json
    assert set(found["done"]) == {str(each.pk) for each in inside}, (
        "what is paused already, or of a sweep, is not tried"
    )
    assert (found["refused"], found["more"]) == ([], False)
    assert desired(*inside, paused, outside, of_sweep) == ["pause", "pause", "pause", "run", "run"]
    assert len(request_steps(operator_client, "?q=in/", all="resume").json["done"]) == 3
    assert len(request_steps(operator_client, "?q=in/", all="stop").json["done"]) == 3
    assert request_steps(operator_client, "?q=in/", all="stop").json == {"done": [], "refused": [], "more": False}


def test_each_row_needs_the_permission(operator: User, unreachable: Store) -> None:
    """`operations_to_steer` is `may_steer_operation` for many."""
    made = [
        make(operator, unreachable, ItemState.ORDERED, kind=kind, bucket=bucket, prefix=prefix)
        for kind in OperationKind
        for bucket in ("photos", "films")
        for prefix in ("dir/", "other/")
    ]
    grants: dict[str, dict[str, Any]] = {
        "all": {},
        "bucket": {"store": unreachable, "bucket": "photos"},
        "prefix": {"store": unreachable, "bucket": "photos", "prefix": "dir/"},
        "elsewhere": {"store": unreachable, "bucket": "archive"},
    }
    for name, values in grants.items():
        user = User.objects.create(username=name)
        grant(user, Role.OPERATOR, **values)
        visible = set(access.operations_to_see(user))
        expected = {each.pk for each in made if each in visible and access.may_steer_operation(user, each)}
        assert set(access.operations_to_steer(user).values_list("pk", flat=True)) == expected, name
        assert len(expected) == {"all": 8, "bucket": 4, "prefix": 2, "elsewhere": 0}[name]


def test_who_may_only_look_selects_nothing(client: Client, operator: User, unreachable: Store) -> None:
    operation = make(operator, unreachable, ItemState.ORDERED)
    viewer = User.objects.create(username="vera")
    grant(viewer, Role.VIEWER)
    client.force_login(viewer)
    page = Page(client.get("/operations/"))
    assert "Abort of 1 upload" in page.words
    assert "Pause selected" not in page.words
    assert not page.find("input", type="checkbox", name="id")
    assert request_steps(client, step="pause", id=[operation.pk]).status == 403
    assert desired(operation) == [DesiredState.RUN]


def test_list_polls_while_an_operation_runs(operator_client: Client, operator: User, unreachable: Store) -> None:
    operation = make(operator, unreachable, ItemState.ORDERED)
    polled = Page(operator_client.get("/operations/?kind=abort"))
    assert 'hx-get="/operations/?kind=abort"' in polled.text
    fragment = Page(operator_client.get("/operations/?kind=abort", headers=POLL))
    assert "<html" not in fragment.text
    assert "Abort of 1 upload" in fragment.words
    OperationItem.objects.filter(operation=operation).update(state=ItemState.DONE, active_key=None)
    assert "hx-get" not in Page(operator_client.get("/operations/?kind=abort", headers=POLL)).text


@pytest.mark.parametrize("values", [{"step": "delete"}, {}, {"step": "pause", "id": ["x"]}, {"all": "retry"}])
def test_other_steps_and_ids_are_refused(values: dict[str, Any], operator_client: Client) -> None:
    assert request_steps(operator_client, **values).status == 400


def test_nothing_selected_leads_back(operator_client: Client) -> None:
    back = request_steps(operator_client, "?state=done", json=False, step="resume")
    assert (back.status, back.response["Location"]) == (303, "/operations/?state=done")
    assert "No operation was changed" in Page(operator_client.get("/operations/")).words
