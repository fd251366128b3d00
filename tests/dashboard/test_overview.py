"""The overview: what is in progress, what needs attention, and the state of each store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page
from tests.grants import grant
from uploads.domain.roles import Role
from uploads.domain.states import DesiredState, ItemState, Phase
from uploads.models import Dismissal, Operation, OperationItem, Store
from uploads.selectors import overview
from uploads.selectors.overview import MAX_SHOWN

POLL = {"HX-Request": "true"}


@pytest.fixture
def unreachable(db: None) -> Store:
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def make_operation(actor: User, store: Store, states: list[ItemState]) -> Operation:
    operation = Operation.objects.create(kind="abort", actor=actor, store=store, bucket="photos")
    for number, state in enumerate(states):
        is_over = state in {ItemState.DONE, ItemState.FAILED}
        finished = timezone.now() if is_over else None
        OperationItem.objects.create(
            operation=operation, key="k", upload_id=f"u{number}", state=state, finished_at=finished
        )
    return operation


def test_empty_overview(operator_client: Client, administrator_client: Client) -> None:
    page = Page(operator_client.get("/"))
    assert "An administrator has to add a store" in page.words
    assert 'data-poll="15"' in page.text
    assert Page(administrator_client.get("/")).href("Add a store") == "/stores/new/"


def test_page_sends_no_request_to_a_store(operator_client: Client, store: Store, store_requests: list[str]) -> None:
    page = Page(operator_client.get("/"))
    assert store_requests == []
    assert page.find("div", hx_get="/stores/main/state/")
    (link,) = page.find("a", href="/stores/main/state/")
    assert link.parent
    assert link.parent.tag == "noscript"


def test_state_of_a_store_costs_one_request(
    operator_client: Client, store: Store, bucket: str, store_requests: list[str]
) -> None:
    assert "reachable" in Page(operator_client.get("/stores/main/state/")).words
    assert len(store_requests) == 1


def test_state_of_an_unreachable_store(operator_client: Client, make_store: Callable[..., Store]) -> None:
    make_store(name="nowhere", endpoint_url="http://127.0.0.1:9")
    piece = Page(operator_client.get("/stores/nowhere/state/", headers=POLL)).text
    assert "unreachable" in piece
    assert "firewall" in piece
    assert "<html" not in piece
    # The plain link shows a page.
    page = Page(operator_client.get("/stores/nowhere/state/"))
    assert "The store cannot be reached" in page.words
    assert "<html" in page.text


def test_state_of_a_store_that_refuses_the_credentials(
    operator_client: Client, make_store: Callable[..., Store]
) -> None:
    make_store(name="wrong", secret_key="not the key")
    page = Page(operator_client.get("/stores/wrong/state/", headers=POLL))
    assert page.status == 200
    assert "SignatureDoesNotMatch" in page.words
    assert "refuses the credentials" in page.words


def test_disabled_store_is_visible_to_administrators_and_gets_no_request(
    operator_client: Client,
    administrator_client: Client,
    make_store: Callable[..., Store],
    store_requests: list[str],
) -> None:
    make_store(name="off", enabled=False)
    assert operator_client.get("/stores/off/state/").status_code == 404
    assert "disabled" in Page(administrator_client.get("/stores/off/state/")).words
    assert store_requests == []


def test_work_in_progress_is_shown_and_polled(operator_client: Client, operator: User, unreachable: Store) -> None:
    make_transfer(operator, unreachable, key="moving.bin", sent=3)
    make_transfer(operator, unreachable, key="finished.bin", phase=Phase.DONE)
    operation = make_operation(operator, unreachable, [ItemState.DONE, ItemState.RUNNING, ItemState.ORDERED])
    page = Page(operator_client.get("/"))
    assert "moving.bin" in page.words
    assert "finished.bin" not in page.words
    assert page.href("Abort of 3 uploads") == f"/operations/{operation.pk}/"
    assert "1 / 3" in page.words
    assert 'data-poll="2"' in page.text
    poll = Page(operator_client.get("/", headers=POLL)).text
    assert "moving.bin" in poll
    assert "<html" not in poll
    # A poll does not request the states of the stores again.
    assert "/state/" not in poll


def test_poll_updates_the_stores_only_if_their_health_has_changed(operator_client: Client, unreachable: Store) -> None:
    [live] = Page(operator_client.get("/")).find("div", id="overview-live")
    poll = live.get("hx-get")
    assert "/state/" not in Page(operator_client.get(poll, headers=POLL)).text
    Store.objects.update(health="unreachable", health_since=timezone.now())
    changed = Page(operator_client.get(poll, headers=POLL))
    assert 'hx-swap-oob="innerHTML:#overview-stores"' in changed.text
    assert "/stores/unreachable/state/" in changed.text
    assert "Needs attention" in changed.words


def test_polling_is_slow_when_nothing_is_running(operator_client: Client, operator: User, unreachable: Store) -> None:
    make_transfer(operator, unreachable, desired_state=DesiredState.PAUSE, all_received=True)
    page = Page(operator_client.get("/", headers=POLL))
    assert "paused" in page.words
    assert 'data-poll="15"' in page.text


def test_failures_need_attention_and_show_the_reason(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    make_transfer(
        operator,
        unreachable,
        key="lost.bin",
        phase=Phase.FAILED,
        error_code="NoSuchBucket",
        error_message="It is gone.",
    )
    make_operation(operator, unreachable, [ItemState.FAILED, ItemState.FAILED, ItemState.DONE])
    words = Page(operator_client.get("/")).words
    for part in ("Needs attention", "lost.bin", "NoSuchBucket", "It is gone.", "2 uploads could not be aborted"):
        assert part in words


def test_many_of_one_kind_do_not_hide_another(operator_client: Client, operator: User, unreachable: Store) -> None:
    old = timezone.now() - timedelta(days=1)
    for number in range(MAX_SHOWN + 15):
        make_transfer(operator, unreachable, key=f"failed-{number}.bin", phase=Phase.FAILED)
    for number in range(MAX_SHOWN + 1):
        make_transfer(operator, unreachable, key=f"waiting-{number}.bin", phase=Phase.RECEIVING, received_at=old)
        make_operation(operator, unreachable, [ItemState.FAILED])
    page = Page(operator_client.get("/"))
    assert page.text.count('id="look-') == 3 * MAX_SHOWN + 2
    assert page.href("and 15 more failed transfers") == "/transfers/?state=failed"
    assert page.href("and 1 more transfer that waits for the browser") == "/transfers/?state=waiting-for-browser"
    assert page.words.count("1 upload could not be aborted") == MAX_SHOWN
    assert "and 1 more operation with failures" in page.words
    for state, rows in (("failed", MAX_SHOWN + 15), ("waiting-for-browser", MAX_SHOWN + 1)):
        listed = operator_client.get(f"/transfers/?state={state}", headers={"Accept": "application/json"}).json()[
            "transfers"
        ]
        assert len(listed) == rows


def test_rows_that_fit_have_no_line_for_more(operator_client: Client, operator: User, unreachable: Store) -> None:
    for number in range(MAX_SHOWN):
        make_transfer(operator, unreachable, key=f"failed-{number}.bin", phase=Phase.FAILED)
    words = Page(operator_client.get("/")).words
    assert f"failed-{MAX_SHOWN - 1}.bin" in words
    assert "more failed" not in words


def test_others_are_counted_up_to_a_limit(
    operator_client: Client, operator: User, unreachable: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "MAX_COUNTED", 3)
    statements = []
    for _ in range(2):
        for number in range(MAX_SHOWN + 4):
            make_transfer(operator, unreachable, key=f"failed-{number}.bin", phase=Phase.FAILED)
        with CaptureQueriesContext(connection) as captured:
            assert "and 3+ more failed transfers" in Page(operator_client.get("/")).words
        statements.append(len(captured))
    assert statements[0] == statements[1]
    counted = [each["sql"] for each in captured if each["sql"].startswith("SELECT COUNT(*) FROM (")]
    [counting] = [each for each in counted if "uploads_transfer" in each]
    assert f"LIMIT {MAX_SHOWN + 4}" in counting


def test_pages_need_a_login() -> None:
    for url in ("/", "/stores/any/state/", "/transfers/", "/transfers/new/", "/audit/"):
        assert Client().get(url).headers["Location"] == f"/login/?next={url}"


# --- First steps ------------------------------------------------------------------------------------------------------


def test_first_steps_are_shown_until_the_user_closes_them(
    operator_client: Client, administrator_client: Client, operator: User, unreachable: Store
) -> None:
    page = Page(operator_client.get("/"))
    for text in ("First steps", "Rescue an upload", "Abort an upload", "Send a file", "The guide"):
        assert text in page.words
    assert "/inventory/?verdict=completable" in page.text
    token = operator_client.cookies["partway_csrf"].value
    for _ in range(2):
        response = operator_client.post("/first-steps/dismiss/", {"csrfmiddlewaretoken": token})
        assert (response.status_code, response.headers["Location"]) == (303, "/")
    assert Dismissal.objects.get().user == operator
    assert "First steps" not in Page(operator_client.get("/")).words
    assert "First steps" in Page(administrator_client.get("/")).words


def test_first_steps_name_only_what_the_role_allows(client: Client, unreachable: Store) -> None:
    viewer = User.objects.create(username="vera")
    grant(viewer, Role.VIEWER)
    client.force_login(viewer)
    words = Page(client.get("/")).words
    assert "Look at the uploads in progress" in words
    for text in ("Rescue an upload", "Abort an upload", "Send a file,"):
        assert text not in words


def test_first_steps_need_a_store(operator_client: Client) -> None:
    assert "First steps" not in Page(operator_client.get("/")).words
