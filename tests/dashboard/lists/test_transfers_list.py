"""The list of transfers: filters, orders, columns, steps for a selection, and polls that get nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from dashboard.shared.lists import steps
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import JSON, TOKEN, Page
from tests.grants import make_operator
from uploads.domain.states import DesiredState, Phase
from uploads.models import AuditEntry, ListChoice, Store, Transfer
from uploads.objectstore.errors import Reason

ERROR: dict[str, Any] = {"error_code": "AccessDenied", "error_reason": Reason.PERMISSION, "error_request_id": "tx-9"}
POLL = {"HX-Request": "true"}


@pytest.fixture
def unreachable(db: None) -> Store:
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def post(client: Client, path: str, values: dict[str, Any], headers: dict[str, str] | None = None) -> Any:
    token = TOKEN.search(client.get("/account/").content.decode())
    assert token
    return client.post(path, {**values, "csrfmiddlewaretoken": token[1]}, headers=headers)


def keys_of(client: Client, query: str) -> list[str]:
    return [row["key"] for row in Page(client.get(f"/transfers/?{query}", headers=JSON)).json["transfers"]]


def created(transfer: Transfer, **ago: int) -> Transfer:
    Transfer.objects.filter(pk=transfer.pk).update(created_at=timezone.now() - timedelta(**ago))
    return transfer


def test_filters_find_by_store_bucket_owner_text_and_day(
    administrator_client: Client, operator: User, unreachable: Store
) -> None:
    values = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    other = Store.objects.create(name="other", **values)
    make_transfer(operator, unreachable, key="a/Report.pdf", bucket="docs")
    make_transfer(make_operator("eve"), other, key="b.bin", filename="holiday.mov", all_received=True)
    created(make_transfer(operator, unreachable, key="old.bin", phase=Phase.FAILED, **ERROR), days=1)
    yesterday = (timezone.now() - timedelta(days=1)).date()
    for query, expected in {
        "store=other": ["b.bin"],
        "bucket=docs": ["a/Report.pdf"],
        "owner=eve": ["b.bin"],
        "owner=nobody": [],
        "q=report": ["a/Report.pdf"],
        "q=HOLIDAY": ["b.bin"],
        f"from={yesterday}&to={yesterday}": ["old.bin"],
        f"state=failed&from={yesterday}": ["old.bin"],
        f"to={yesterday - timedelta(days=1)}": [],
        "sort=key": ["a/Report.pdf", "b.bin", "old.bin"],
        "sort=-key": ["old.bin", "b.bin", "a/Report.pdf"],
    }.items():
        assert keys_of(administrator_client, query) == expected, query


@pytest.mark.parametrize(
    "query",
    ["state=lost", "sort=color", "from=tomorrow", "to=2026-02-30", "from=0001-01-01", "cursor=x", "q=a&q=b", "q=%00"],
)
def test_bad_parameters_are_refused(query: str, operator_client: Client) -> None:
    page = Page(operator_client.get(f"/transfers/?{query}"))
    assert (page.status, page.text.count("<h1")) == (400, 1)
    assert Page(operator_client.get(f"/transfers/?{query}", headers=JSON)).json["error"]["code"] == "InvalidArgument"


def test_page_shows_chips_headings_and_the_way_back(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    make_transfer(operator, unreachable, key="x", phase=Phase.FAILED, **ERROR)
    page = Page(operator_client.get("/transfers/?state=failed&bucket=photos&sort=size"))
    chips = {link.get("href") for link in page.find("a") if "Remove this filter" in link.text}
    assert chips == {
        "/transfers/?bucket=photos&sort=size",
        "/transfers/?state=failed&sort=size",
    }
    [sorted_by] = [head for head in page.find("th") if head.get("aria-sort")]
    assert (sorted_by.text, sorted_by.get("aria-sort")) == ("Size", "ascending")
    assert "No transfer matches" in Page(operator_client.get("/transfers/?state=done")).words


def test_failed_and_waiting_rows_say_why_in_one_line(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    since = timezone.now() - timedelta(minutes=30)
    make_transfer(operator, unreachable, key="one.bin", phase=Phase.FAILED, all_received=True, **ERROR)
    own: dict[str, Any] = {"failing_since": since, "tries": 2, "error_code": "SlowDown", "error_reason": "throttled"}
    make_transfer(operator, unreachable, key="two.bin", all_received=True, **own)
    long_ago = timezone.now() - timedelta(minutes=5)
    make_transfer(operator, unreachable, key="three.bin", received_at=long_ago, quota_refused_at=timezone.now())
    page = Page(operator_client.get("/transfers/"))
    texts = [row.text for row in page.find("tr")]
    found = {key: next(text for text in texts if key in text) for key in ("one.bin", "two.bin", "three.bin")}
    assert "AccessDenied" in found["one.bin"]
    assert any("tx-9" in line.get("title") for line in page.find("div", "list-line"))
    assert "waiting for the store since 30 minutes ago" in found["two.bin"]
    assert "SlowDown" in found["two.bin"]
    assert "waiting for space" in found["three.bin"]


def test_poll_gets_nothing_while_nothing_changes(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(operator, unreachable, sent=1)
    [polled] = [each for each in Page(operator_client.get("/transfers/")).find("div") if each.get("data-poll")]
    poll = polled.get("hx-get")
    assert operator_client.get(poll, headers=POLL).status_code == 204
    transfer.parts.filter(number=1).delete()
    changed = operator_client.get(poll, headers=POLL)
    assert changed.status_code == 200
    assert b"0%" in changed.content


# --- Columns ----------------------------------------------------------------------------------------------------------


def headings(client: Client) -> list[str]:
    return [head.text for head in Page(client.get("/transfers/")).find("th", scope="col") if head.text]


def test_columns_and_density_are_remembered_for_the_user(
    operator_client: Client, administrator_client: Client, operator: User, unreachable: Store
) -> None:
    make_transfer(operator, unreachable)
    before = headings(operator_client)
    values = {"column": ["size", "owner"], "density": "compact", "back": "/transfers/?state=sending"}
    response = post(operator_client, "/lists/transfers/", values)
    assert (response.status_code, response["Location"]) == (303, "/transfers/?state=sending")
    assert headings(operator_client) == ["Key", "Size", "Owner"]
    assert "is-compact" in Page(operator_client.get("/transfers/")).text
    assert headings(administrator_client) == before
    post(operator_client, "/lists/transfers/", {"reset": "1"})
    assert headings(operator_client) == before
    assert not ListChoice.objects.exists()


@pytest.mark.parametrize("back", ["//evil.example/transfers/", "https://evil.example/", "/stores/", ""])
def test_choice_leads_back_to_its_list_only(back: str, operator_client: Client) -> None:
    response = post(operator_client, "/lists/transfers/", {"back": back})
    assert (response.status_code, response["Location"]) == (303, "/transfers/")


def test_other_lists_have_no_choice(operator_client: Client) -> None:
    assert post(operator_client, "/lists/users/", {}).status_code == 404
    post(operator_client, "/lists/transfers/", {"column": ["<b>", "x" * 100, "size"], "density": "huge"})
    assert ListChoice.objects.get().columns == ["size"]


# --- Steps for many ---------------------------------------------------------------------------------------------------


def request_steps(client: Client, query: str = "", *, json: bool = True, **values: object) -> Page:
    return Page(post(client, f"/transfers/steps/{query}", values, JSON if json else None))


def states(transfers: Sequence[Transfer]) -> list[str]:
    for each in transfers:
        each.refresh_from_db()
    return [each.desired_state for each in transfers]


def test_selected_transfers_are_paused_and_others_stay(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    made = [make_transfer(operator, unreachable, key=f"k{number}") for number in range(3)]
    done = make_transfer(operator, unreachable, phase=Phase.DONE)
    strangers = make_transfer(make_operator("eve"), unreachable)
    ids = [made[0].pk, made[1].pk, done.pk, strangers.pk]
    found = request_steps(operator_client, step="pause", id=ids).json
    assert set(found["done"]) == {str(made[0].pk), str(made[1].pk)}
    assert [each["id"] for each in found["refused"]] == [str(done.pk)]
    assert states([*made, strangers]) == [DesiredState.PAUSE, DesiredState.PAUSE, DesiredState.RUN, DesiredState.RUN]
    assert AuditEntry.objects.filter(action="transfer.paused").count() == 2


def test_cancellation_is_confirmed_first(operator_client: Client, operator: User, unreachable: Store) -> None:
    made = [make_transfer(operator, unreachable, key=f"k{number}", sent=1) for number in range(2)]
    asked = request_steps(operator_client, "?state=sending", json=False, step="cancel", id=[each.pk for each in made])
    assert "Cancel 2 transfers?" in asked.words
    assert "20.0 MiB" in asked.words or "20 MiB" in asked.words
    assert states(made) == [DesiredState.RUN] * 2
    given = [each.get("value") for each in asked.find("input", type="hidden", name="id")]
    done = request_steps(operator_client, "?state=sending", json=False, step="cancel", id=given, confirmed="1")
    assert (done.status, done.response["Location"]) == (303, "/transfers/?state=sending")
    assert states(made) == [DesiredState.CANCEL] * 2
    assert "2 transfers are cancelled." in Page(operator_client.get("/transfers/")).words


def test_all_that_match_the_filter_are_retried(operator_client: Client, operator: User, unreachable: Store) -> None:
    failed: dict[str, Any] = {"phase": Phase.FAILED, "all_received": True, "staged": 10}
    matching = [make_transfer(operator, unreachable, key=f"in/{number}", **failed) for number in range(2)]
    lost = make_transfer(operator, unreachable, key="in/lost", phase=Phase.FAILED, resumable=False, **ERROR)
    other = make_transfer(operator, unreachable, key="out", **failed)
    found = request_steps(operator_client, "?state=failed&q=in/", all="retry").json
    assert set(found["done"]) == {str(each.pk) for each in matching}, found
    assert [each["id"] for each in found["refused"]] == [str(lost.pk)]
    assert found["more"] is False
    for each in matching:
        each.refresh_from_db()
        assert each.phase == Phase.SENDING
    other.refresh_from_db()
    assert other.phase == Phase.FAILED


def test_a_request_is_bounded_and_says_that_there_are_more(
    operator_client: Client, operator: User, unreachable: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "MAX_STEPS", 2)
    made = [make_transfer(operator, unreachable, key=f"k{number}") for number in range(3)]
    assert request_steps(operator_client, all="pause").json["more"] is True
    assert sorted(states(made)).count(DesiredState.PAUSE) == 2
    assert request_steps(operator_client, all="pause").json["more"] is False
    assert states(made) == [DesiredState.PAUSE] * 3
    too_many = request_steps(operator_client, step="pause", id=[each.pk for each in made])
    assert (too_many.status, too_many.json["error"]["code"]) == (400, "InvalidArgument")
    assert "More transfers match" in request_steps(operator_client, json=False, all="cancel").words
    request_steps(operator_client, json=False, all="cancel", confirmed="1")
    assert "More transfers match" in Page(operator_client.get("/transfers/")).words


@pytest.mark.parametrize("values", [{"step": "delete"}, {}, {"step": "pause", "id": ["x"]}, {"all": "x"}])
def test_other_steps_and_ids_are_refused(values: dict[str, Any], operator_client: Client) -> None:
    assert request_steps(operator_client, **values).status == 400


def test_nothing_selected_leads_back(operator_client: Client) -> None:
    back = request_steps(operator_client, "?state=done", json=False, step="retry")
    assert (back.status, back.response["Location"]) == (303, "/transfers/?state=done")
    assert "No transfer was changed" in Page(operator_client.get("/transfers/")).words
