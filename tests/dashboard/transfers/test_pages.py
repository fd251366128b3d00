"""The list of transfers; one transfer with its polls, steps and JSON."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from dashboard.shared.jsonapi import iso
from tests.dashboard.make_transfer import MIB, make_transfer
from tests.dashboard.pages import TOKEN, Page
from tests.grants import grant, make_operator
from uploads.domain.proofs import Proof
from uploads.domain.states import DesiredState, PartState, Phase, StoreUploadState, TransferState, shown_state
from uploads.models import AuditEntry, Part, StagingNode, Store, StoreUpload, Transfer
from uploads.objectstore.errors import Reason
from uploads.problems import Code, Problem
from uploads.selectors.lists.transfers import in_state
from uploads.services.transfers.replaced_parts import ABOUT_PARTS

JSON = {"Accept": "application/json"}
POLL = {"HX-Request": "true"}
ERROR: dict[str, Any] = {"error_code": "AccessDenied", "error_message": "No <b>entry</b>.", "error_request_id": "tx-42"}


@pytest.fixture
def unreachable(db: None) -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def page_of(client: Client, transfer: Transfer, query: str = "", **headers: str) -> Page:
    return Page(client.get(reverse("transfer", args=[transfer.pk]) + query, headers=headers or None))


def request_step(client: Client, transfer: Transfer, step: str, *, json: bool = True) -> Page:
    token = TOKEN.search(client.get(reverse("new-transfer")).content.decode())
    assert token
    url = reverse(f"transfer-{step}", args=[transfer.pk])
    return Page(client.post(url, {"csrfmiddlewaretoken": token[1]}, headers=JSON if json else None))


# --- The list ---------------------------------------------------------------------------------------------------------


def test_empty_list_offers_a_new_transfer(operator_client: Client) -> None:
    page = Page(operator_client.get("/transfers/"))
    assert "No transfers yet" in page.text
    assert "hx-trigger" not in page.text


def test_list_shows_both_legs_and_polls_while_a_transfer_is_live(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    make_transfer(operator, unreachable, sent=3, staged=4)
    page = Page(operator_client.get("/transfers/"))
    assert "70%" in page.text
    assert "30%" in page.text
    assert 'data-poll="2"' in page.text
    assert "<html" not in Page(operator_client.get("/transfers/", headers=POLL)).text


def test_list_does_not_poll_when_no_transfer_is_live(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    make_transfer(operator, unreachable, phase=Phase.DONE, all_received=True)
    make_transfer(operator, unreachable, phase=Phase.FAILED, all_received=True, **ERROR)
    make_transfer(operator, unreachable, desired_state=DesiredState.PAUSE, all_received=True)
    page = Page(operator_client.get("/transfers/"))
    assert "hx-trigger" not in page.text
    assert "No &lt;b&gt;entry&lt;/b&gt;." in page.text


def browser_times() -> list[tuple[str, bool, bool, dict[str, Any]]]:
    """What a transfer knows of its browser: a name, whether it is silent, whether it has no space, and the columns."""
    now = timezone.now()
    long_ago, just_now = now - timedelta(seconds=40), now - timedelta(seconds=3)
    return [
        ("active", False, False, {"received_at": just_now}),
        ("silent", True, False, {"received_at": long_ago}),
        ("waits for space", False, True, {"received_at": long_ago, "quota_refused_at": just_now}),
        ("had no space", True, False, {"received_at": long_ago, "quota_refused_at": now - timedelta(minutes=5)}),
        ("complete", False, False, {"received_at": long_ago, "quota_refused_at": just_now, "all_received": True}),
        ("just created", False, False, {"received_at": None}),
    ]


@pytest.mark.parametrize("state", list(TransferState))
def test_filter_finds_exactly_the_transfers_shown_in_a_state(
    state: TransferState, operator_client: Client, operator: User, unreachable: Store
) -> None:
    now = timezone.now()
    StagingNode.objects.create(name="silent", sender_heard_at=now - timedelta(hours=1))
    settings = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    failing = Store.objects.create(name="failing", health="unreachable", **settings)
    silent_store = Store.objects.create(name="silent", timeouts=3, silent_since=now, **settings)
    grant(operator, store=failing)
    stores = [("", unreachable, {}), ("own", unreachable, {"failing_since": now}), ("failing", failing, {})]
    stores += [("silent", silent_store, {})]
    grant(operator, store=silent_store)
    expected = set()
    for phase, desired_state, (name, silent, no_space, times), node, (store_name, store, more) in product(
        Phase, DesiredState, browser_times(), ("n", "silent"), stores
    ):
        key = f"{phase} {desired_state} {name} {node} {store_name}"
        values = {"phase": phase, "desired_state": desired_state, "node": node, **times, **more}
        make_transfer(operator, store, key=key, **values)
        waits = {"browser_is_silent": silent, "node_is_silent": node == "silent", "has_no_space": no_space}
        if shown_state(phase, desired_state, **waits, store_is_failing=bool(store_name)) is state:
            expected.add(key)
    assert set(Transfer.objects.filter(in_state(state)).values_list("key", flat=True)) == expected
    rows = Page(operator_client.get(f"/transfers/?state={state}", headers=JSON)).json["transfers"]
    assert {row["state"] for row in rows} == {state.value}
    assert len(rows) == min(len(expected), 50)


def test_unknown_state_is_refused_with_the_allowed_ones(operator_client: Client) -> None:
    page = Page(operator_client.get("/transfers/?state=lost"))
    assert page.status == 400
    assert "cancelling" in page.text


def test_list_is_paged(operator_client: Client, operator: User, unreachable: Store) -> None:
    for number in range(53):
        make_transfer(operator, unreachable, key=f"file-{number:03}", phase=Phase.DONE)
    first = Page(operator_client.get("/transfers/"))
    assert "file-052" in first.text
    assert "file-002" not in first.text
    second = Page(operator_client.get(first.link("next")))
    assert "file-002" in second.text
    assert "file-003" not in second.text
    back = Page(operator_client.get(second.link("prev")))
    assert "file-052" in back.text
    assert "file-002" not in back.text


def test_page_needs_few_queries(
    operator_client: Client, operator: User, unreachable: Store, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        make_transfer(operator, unreachable, key=f"file-{number}", sent=2)
    with django_assert_max_num_queries(11):
        operator_client.get("/transfers/")


def test_only_administrators_see_transfers_of_others(
    operator_client: Client, administrator_client: Client, operator: User, unreachable: Store
) -> None:
    stranger = make_operator("eve")
    transfer = make_transfer(stranger, unreachable, key="secret.txt")
    assert "secret.txt" not in Page(operator_client.get("/transfers/")).text
    assert page_of(operator_client, transfer).status == 404
    assert request_step(operator_client, transfer, "cancel").status == 404
    assert "secret.txt" in Page(administrator_client.get("/transfers/")).text


# --- Requested by id --------------------------------------------------------------------------------------------------


def by_id(client: Client, ids: list[Any], **headers: str) -> Page:
    query = "&".join(f"id={each}" for each in ids)
    return Page(client.get(f"/transfers/?{query}", headers=headers or JSON))


def test_transfers_by_id(operator_client: Client, operator: User, unreachable: Store) -> None:
    requested = [make_transfer(operator, unreachable, key=f"k-{number}", sent=number) for number in range(3)]
    make_transfer(operator, unreachable, key="other")
    response = by_id(operator_client, [each.pk for each in requested] * 2)
    assert {row["key"]: row["bytes_sent"] for row in response.json["transfers"]} == {
        f"k-{number}": number * MIB for number in range(3)
    }
    assert response.json["transfers"][0].keys() == page_of(operator_client, requested[0], **JSON).json.keys()
    assert "no-store" in response.response["Cache-Control"]


def test_transfers_of_others_are_omitted(
    operator_client: Client, administrator_client: Client, operator: User, unreachable: Store
) -> None:
    own = make_transfer(operator, unreachable)
    strangers = make_transfer(make_operator("eve"), unreachable)
    ids = [own.pk, strangers.pk, uuid.uuid4()]
    assert [row["id"] for row in by_id(operator_client, ids).json["transfers"]] == [str(own.pk)]
    assert len(by_id(administrator_client, ids).json["transfers"]) == 2


def test_two_hundred_transfers_need_few_queries(
    operator_client: Client, operator: User, unreachable: Store, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    ids = [make_transfer(operator, unreachable, sent=1).pk for _ in range(50)]
    with django_assert_max_num_queries(8):
        assert len(by_id(operator_client, ids + [uuid.uuid4() for _ in range(150)]).json["transfers"]) == 50


@pytest.mark.parametrize("ids", [["x"], [""], [uuid.uuid4(), "../etc"], [uuid.uuid4()] * 201])
def test_invalid_ids_and_too_many_ids_are_refused(operator_client: Client, ids: list[Any]) -> None:
    response = by_id(operator_client, ids)
    assert (response.status, response.json["error"]["code"]) == (400, "InvalidArgument")


# --- One transfer -----------------------------------------------------------------------------------------------------


def test_page_shows_legs_picture_and_facts(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(
        operator,
        unreachable,
        key="a b/+?#&%41",
        sent=4,
        sending=1,
        staged=2,
        upload_id="id/+&",
        content_type="image/jpeg",
        storage_class="STANDARD_IA",
        metadata={"owner": "ops"},
    )
    page = page_of(operator_client, transfer)
    for text in ("4 sent", "1 sending", "2 staged", "3 absent", "image/jpeg", "STANDARD_IA", "owner: ops"):
        assert text in page.text
    assert page.text.count("<rect x=") == 10
    assert "uploads/detail/?key=a%20b%2F%2B%3F%23%26%2541&amp;upload-id=id%2F%2B%26" in page.text
    assert "<title>40% · a b/+?#&amp;%41 · Partway</title>" in page.text
    assert "style=" not in page.text


def test_picture_shows_the_part_that_is_arriving(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(operator, unreachable, staged=2)
    transfer.parts.create(number=3, size=MIB, received=MIB // 2, reserved_bytes=MIB)
    text = page_of(operator_client, transfer).text
    assert "1 arriving" in text
    assert "7 absent" in text
    assert text.count("<rect x=") == 11  # The part that is arriving is drawn over its place.
    [width] = re.findall(r'x="2" y="0" width="([\d.]+)" height="10" class="part-arriving"', text)
    [place] = re.findall(r'x="2" y="0" width="([\d.]+)" height="10" class="part-absent"', text)
    assert float(width) == pytest.approx(float(place) / 2)


def test_picture_of_ten_thousand_parts_is_drawn_in_runs(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, sent=5000, sending=1, size=10_000 * MIB, part_count=10_000)
    page = page_of(operator_client, transfer)
    assert page.text.count("<rect x=") == 3
    # The part that is being sent is wide enough to be visible, and drawn over its neighbours.
    assert re.search(r'x="5000" y="0" width="25.0" height="10" class="part-sending"', page.text)
    assert page.text.index("part-absent") < page.text.index('"part-sending"')


def test_picture_stays_small_whatever_the_order_of_the_parts(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, staged=3000, size=3000 * MIB, part_count=3000)
    transfer.parts.filter(number__in=range(1, 3001, 3)).update(state=PartState.SENT)
    text = page_of(operator_client, transfer).text
    assert text.count("<rect x=") <= 400
    assert "1,000 sent" in text
    assert "2,000 staged" in text


def test_empty_file_is_shown_as_sent_only_when_it_is(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    facts: dict[str, Any] = {"size": 0, "part_count": 1, "all_received": True}
    assert "<title>0% · " in page_of(operator_client, make_transfer(operator, unreachable, **facts)).text
    done = page_of(operator_client, make_transfer(operator, unreachable, **facts, phase=Phase.DONE, verified=True))
    assert "verified by HEAD" in done.text
    assert done.text.count(">100%</span>") == 2


def test_object_that_could_not_be_verified(operator_client: Client, operator: User, unreachable: Store) -> None:
    page = page_of(
        operator_client, make_transfer(operator, unreachable, phase=Phase.DONE, etag="abc-10", upload_id="u-1")
    )
    assert "It is not verified." in page.text
    assert "The credentials do not allow HEAD." in page.text, "the only reason that earlier versions had"
    assert "abc-10" in page.text
    assert "uploads/detail" not in page.text


REDIRECTED: dict[str, Any] = {
    "error_code": "302",
    "error_reason": Reason.REFUSED,
    "error_params": {"operation": "HeadObject"},
    "error_request_id": "tx-43",
}


@pytest.mark.parametrize(
    ("facts", "state", "verification"),
    [
        ({"phase": Phase.DONE, "verified": True}, "verified by HEAD", {"verified": True, "proofs": []}),
        (
            {"phase": Phase.DONE, "verified": True, "proofs": [Proof.SIZE, Proof.CRC64]},
            "verified by HEAD: size, CRC-64",
            {"verified": True, "proofs": ["size", "crc64"]},
        ),
        ({"phase": Phase.DONE}, "not verified", {"verified": False, "proofs": []}),
        (
            {"phase": Phase.DONE, "proofs": [Proof.CRC64]},
            "not verified by HEAD; as expected: CRC-64",
            {"verified": False, "proofs": ["crc64"]},
        ),
    ],
)
def test_page_claims_what_was_proved(
    operator_client: Client,
    operator: User,
    unreachable: Store,
    facts: dict[str, Any],
    state: str,
    verification: dict[str, Any],
) -> None:
    """The page, the list and JSON name each thing that was compared, and claim nothing else."""
    transfer = make_transfer(operator, unreachable, **facts)
    shown = re.search(
        r'id="transfer-state".*?<span class="text-secondary">(.*?)</span>',
        page_of(operator_client, transfer).text,
        re.DOTALL,
    )
    assert shown
    assert shown[1] == state
    json = page_of(operator_client, transfer, **JSON).json
    assert json["verification"] == verification | {"reason": None}


@pytest.mark.parametrize(
    ("phase", "text"),
    [
        (Phase.COMPLETING, "Completed in the store; not verified yet."),
        (Phase.DONE, "The store confirmed that the object is complete. It is not verified."),
    ],
)
def test_object_that_is_not_verified_has_its_reason_on_page_list_and_json(
    operator_client: Client, operator: User, unreachable: Store, phase: Phase, text: str
) -> None:
    """A completed object without a usable HEAD is a state of its own: no failure, and no error of a done transfer."""
    transfer = make_transfer(operator, unreachable, phase=phase, completed_at=timezone.now(), **REDIRECTED)
    page = page_of(operator_client, transfer)
    assert text in page.text
    assert "tx-43" in page.text
    assert ("not verified" in Page(operator_client.get("/transfers/")).text) is True
    json = page_of(operator_client, transfer, **JSON).json
    assert json["verification"]["reason"]["request_id"] == "tx-43"
    assert (json["error"] is None) is (phase == Phase.DONE)
    assert (json["waiting"] or "").startswith("Completed in the store") is (phase == Phase.COMPLETING)


def test_completed_transfer_that_failed_offers_to_verify_again(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(
        operator, unreachable, phase=Phase.FAILED, all_received=True, sent=10, completed_at=timezone.now(), **ERROR
    )
    completed = StoreUpload.objects.create(transfer=transfer, upload_id="u-1", state=StoreUploadState.COMPLETED)
    transfer.parts.update(store_upload=completed)
    text = page_of(operator_client, transfer).text
    assert "Verify again" in text
    assert "nothing is sent again" in text
    assert "Nothing is lost" not in text


def test_possible_orphans_are_on_page_json_and_overview(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    """Both kinds: uploads with an id that may be ours, and requests whose uploads could not be looked for."""
    now = timezone.now()
    lost: dict[str, Any] = {"lost_creates": 2, "lost_create_at": now, "lost_create_until": now}
    reason = Code.UPLOADS_NOT_LISTABLE
    transfer = make_transfer(operator, unreachable, phase=Phase.DONE, lost_create_reason=reason, key="it's", **lost)
    StoreUpload.objects.create(transfer=transfer, upload_id="suspect-1", state=StoreUploadState.SUSPECT)
    json = page_of(operator_client, transfer, **JSON).json
    assert (json["upload_id"], json["possible_orphans"]["upload_ids"]) == ("", ["suspect-1"])
    assert json["possible_orphans"]["without_id"]["count"] == 2
    assert json["possible_orphans"]["without_id"]["reason"]["code"] == reason
    text = page_of(operator_client, transfer).text
    assert "2 uploads for this key" in text
    assert "upload-id=suspect-1" in text
    assert "--prefix &#x27;it&#x27;&quot;&#x27;&quot;&#x27;s&#x27;" in text
    assert "2 uploads for this key" in Page(operator_client.get("/")).text
    assert request_step(operator_client, transfer, "dismiss-orphan").json["possible_orphans"]["without_id"] is None
    assert "for this key, whose" not in page_of(operator_client, transfer).text
    assert "for this key, whose" not in Page(operator_client.get("/")).text


def test_failed_transfer_says_that_its_create_is_not_settled(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, phase=Phase.FAILED, create_sent_at=timezone.now(), **ERROR)
    assert "The store may have created an upload at" in page_of(operator_client, transfer).text


@pytest.mark.parametrize(
    ("facts", "is_live"),
    [
        ({"phase": Phase.RECEIVING}, True),
        ({"phase": Phase.SENDING}, True),
        ({"phase": Phase.COMPLETING}, True),
        ({"phase": Phase.SENDING, "desired_state": DesiredState.CANCEL}, True),
        ({"phase": Phase.SENDING, "desired_state": DesiredState.PAUSE}, True),
        ({"phase": Phase.SENDING, "desired_state": DesiredState.PAUSE, "all_received": True}, False),
        ({"phase": Phase.DONE}, False),
        ({"phase": Phase.CANCELLED}, False),
        ({"phase": Phase.FAILED}, False),
    ],
)
def test_page_polls_while_the_transfer_is_live(
    facts: dict[str, Any], is_live: bool, operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, **facts)
    for page in (page_of(operator_client, transfer), page_of(operator_client, transfer, **POLL)):
        assert ('data-poll="1"' in page.text) is is_live


def test_poll_fetches_only_what_has_changed(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(operator, unreachable, sent=2, all_received=True)
    seen = re.search(r'hx-get="[^"]*\?([^"]*)"', page_of(operator_client, transfer).text)
    assert seen
    query = "?" + seen[1].replace("&amp;", "&")
    path = reverse("transfer", args=[transfer.pk]) + query
    assert operator_client.get(path, headers=POLL).status_code == 204
    query = query.partition("&shown=")[0]
    quiet = page_of(operator_client, transfer, query, **POLL).text
    assert "hx-swap-oob" not in quiet
    assert "<title>20%" in quiet
    Part.objects.filter(transfer=transfer).update(state=PartState.STAGED)
    Part.objects.create(transfer=transfer, number=3, size=5 * MIB, received=5 * MIB, state=PartState.SENT)
    announced = page_of(operator_client, transfer, query, **POLL).text
    assert '"innerHTML:#transfer-announcement">50% in the store.' in announced
    assert "#transfer-actions" not in announced
    Transfer.objects.update(phase=Phase.DONE, etag="e-1")
    changed = page_of(operator_client, transfer, query, **POLL).text
    assert "Done. The object is in the store." in changed
    assert '"innerHTML:#transfer-actions"' in changed
    assert "e-1" in changed


def test_failure_is_explained_with_code_and_request_id(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    facts: dict[str, Any] = {"phase": Phase.FAILED, **ERROR}
    page = page_of(operator_client, make_transfer(operator, unreachable, staged=10, all_received=True, **facts))
    for text in ("AccessDenied", "tx-42", "No &lt;b&gt;entry&lt;/b&gt;.", "A retry sends only these.", "/retry/"):
        assert text in page.text
    page = page_of(operator_client, make_transfer(operator, unreachable, staged=3, **facts))
    assert "send the file again" in page.text
    assert "/retry/" not in page.text


@pytest.mark.parametrize("code", sorted(ABOUT_PARTS))
def test_refused_parts_are_not_called_kept(
    operator_client: Client, operator: User, unreachable: Store, code: str
) -> None:
    """Every code with which stores refuse the parts of an upload: what the store has kept is then not known."""
    problem = Problem(Code.PARTS_NOT_COMPARED, code="AccessDenied", request_id="tx-44")
    params = {"operation": "CompleteMultipartUpload", "details": [problem.as_json()]}
    facts: dict[str, Any] = {**ERROR, "error_code": code, "error_reason": Reason.REFUSED, "error_params": params}
    transfer = make_transfer(
        operator, unreachable, sent=10, all_received=True, phase=Phase.FAILED, upload_id="u-1", **facts
    )
    transfer.parts.update(store_upload=transfer.store_uploads.get())
    text = page_of(operator_client, transfer).text
    assert "The store refused to complete the upload because of its parts." in text
    assert "tx-44" in text
    assert "Nothing is lost" not in text


def test_failed_parts_show_their_errors(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(operator, unreachable, staged=3)
    transfer.parts.filter(number=2).update(tries=2, error_code="SlowDown", error_message="Less, please.")
    text = page_of(operator_client, transfer).text
    assert "2 failed attempts" in text
    assert "SlowDown" in text


@pytest.mark.parametrize("of_part", [True, False], ids=["part", "transfer"])
@pytest.mark.parametrize(
    ("reason", "waiting"),
    [
        (Reason.CREDENTIALS_EXPIRED, "The temporary credentials have expired."),
        (Reason.STORE_FULL, "The store is full."),
        (Reason.CLOCK_SKEW, "The clocks of this machine and of the store differ too much."),
        (Reason.STORE_FAULT, "The last attempt failed. It is retried automatically."),
    ],
)
def test_error_and_reason_for_waiting_are_shown_everywhere(
    operator_client: Client, operator: User, unreachable: Store, reason: Reason, waiting: str, *, of_part: bool
) -> None:
    """Whatever the page of a transfer shows about why it does not move, its JSON, the list and the list's JSON show."""
    transfer = make_transfer(operator, unreachable, staged=3, sent=1)
    error = {"error_code": "TheCode", "error_reason": reason, "error_request_id": "tx-7", "tries": 2}
    rows = transfer.parts.filter(number=2) if of_part else Transfer.objects.filter(pk=transfer.pk)
    rows.update(**error)
    for path in (reverse("transfer", args=[transfer.pk]), reverse("transfers")):
        text = operator_client.get(path).content.decode()
        for shown in (waiting, "TheCode", "tx-7"):
            assert shown in text, path
    one = page_of(operator_client, transfer, **JSON).json
    listed = Page(operator_client.get(reverse("transfers"), headers=JSON)).json["transfers"]
    for found in (one, *listed):
        assert (found["error"]["code"], found["error"]["request_id"]) == ("TheCode", "tx-7")
        assert found["waiting"].startswith(waiting)


def test_page_says_that_the_etags_of_its_store_are_no_md5s(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, staged=3)
    text = "The ETags of this store are no MD5s"
    assert text not in page_of(operator_client, transfer).text
    Store.objects.filter(pk=unreachable.pk).update(overrides={"etag_is_md5": False})
    assert text in page_of(operator_client, transfer).text


def test_errors_of_parts_take_one_query_for_a_page(
    operator_client: Client, operator: User, unreachable: Store, django_assert_max_num_queries: Any
) -> None:
    for number in range(4):
        transfer = make_transfer(operator, unreachable, key=f"k{number}", staged=3)
        transfer.parts.update(error_code="SlowDown", error_reason=Reason.THROTTLED)
    with django_assert_max_num_queries(12):
        assert Page(operator_client.get(reverse("transfers"))).words.count("SlowDown") == 4


def test_json_has_the_fixed_shape(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(operator, unreachable, sent=2, staged=3, upload_id="u-1")
    assert page_of(operator_client, transfer, **JSON).json == {
        "id": str(transfer.pk),
        "state": "sending",
        "size": 10 * MIB,
        "bytes_received": 5 * MIB,
        "bytes_sent": 2 * MIB,
        "parts": {"count": 10, "received": 5, "sent": 2},
        "upload_id": "u-1",
        "error": None,
        "verification": None,
        "possible_orphans": None,
        "store": "unreachable",
        "bucket": "photos",
        "key": "cat.jpg",
        "url": f"/transfers/{transfer.pk}/",
        "waiting": None,
        "waiting_code": None,
        "receive_rate": None,
        "send_rate": None,
        "seconds_left": None,
        "last_received": iso(transfer.received_at),
        "expires": iso(transfer.expires_at),
        "node": {"name": "n", "silent_since": None},
        "steps": ["cancel", "pause"],
        "checksum": "md5",
        "crc64": None,
        "sha256": None,
    }
    failed = make_transfer(operator, unreachable, phase=Phase.FAILED, **ERROR)
    expected = {"code": "AccessDenied", "message": "No <b>entry</b>.", "request_id": "tx-42"}
    assert page_of(operator_client, failed, **JSON).json["error"] == expected


STAGING_FULL = "Staging is full. The upload resumes automatically when space is free."
FORM_STOPPED = "The browser has stopped sending. A file that is sent with the plain form cannot be resumed"
BROWSER_STOPPED = "The browser has stopped sending. Select the same file again to resume."


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ""),
        ({"quota_refused_at": 5}, STAGING_FULL),
        ({"quota_refused_at": 5, "received_at": 60}, STAGING_FULL),
        ({"quota_refused_at": 90}, ""),
        ({"received_at": 10}, ""),
        ({"received_at": 60}, BROWSER_STOPPED),
        ({"received_at": 60, "phase": Phase.RECEIVING}, BROWSER_STOPPED),
        ({"received_at": 60, "resumable": False}, FORM_STOPPED),
        ({"received_at": 60, "all_received": True}, ""),
        ({"received_at": 60, "desired_state": DesiredState.PAUSE}, ""),
        ({"received_at": 60, "desired_state": DesiredState.CANCEL, "quota_refused_at": 5}, ""),
        ({"received_at": 60, "phase": Phase.FAILED, "quota_refused_at": 5}, ""),
        ({"received_at": 60, "phase": Phase.CANCELLED, "quota_refused_at": 5}, ""),
    ],
)
def test_why_a_transfer_waits(
    facts: dict[str, Any], expected: str, operator_client: Client, operator: User, unreachable: Store
) -> None:
    ages = {name: facts[name] for name in ("received_at", "quota_refused_at") if name in facts}
    times: dict[str, Any] = {name: timezone.now() - timedelta(seconds=age) for name, age in ages.items()}
    known: dict[str, Any] = {"resumable": True, "key": "a b.bin"}
    transfer = make_transfer(operator, unreachable, **known | facts | times)
    waiting = page_of(operator_client, transfer, **JSON).json["waiting"]
    assert (waiting or "").startswith(expected)
    assert bool(waiting) is bool(expected)
    text = page_of(operator_client, transfer).text
    assert (STAGING_FULL in text, BROWSER_STOPPED in text) == (waiting == STAGING_FULL, waiting == BROWSER_STOPPED)
    assert ("key=a%20b.bin" in text and "Select the file" in text) is (expected in (STAGING_FULL, BROWSER_STOPPED))


def test_poll_fetches_why_a_transfer_waits(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(operator, unreachable, resumable=True)
    seen = re.search(r'hx-get="[^"]*\?([^"]*)"', page_of(operator_client, transfer).text)
    assert seen
    query = "?" + seen[1].replace("&amp;", "&")
    assert STAGING_FULL not in page_of(operator_client, transfer, query, **POLL).text
    Transfer.objects.update(quota_refused_at=timezone.now())
    assert STAGING_FULL in page_of(operator_client, transfer, query, **POLL).text


@pytest.mark.parametrize(
    ("crc64", "shown"),
    [
        (
            "nvme:ae8b14860a799888",
            {"algorithm": "CRC-64/NVME", "value": "ae8b14860a799888", "base64": "rosUhgp5mIg="},
        ),
        (
            "ecma:995dc9bbdf1939fa",
            {"algorithm": "CRC-64/ECMA", "value": "995dc9bbdf1939fa", "decimal": "11051210869376104954"},
        ),
        (
            "ecma:0000000000000000",
            {"algorithm": "CRC-64/ECMA", "value": "0000000000000000", "decimal": "0"},
        ),
    ],
)
def test_crc64_is_shown_in_the_notation_of_the_store(
    crc64: str, shown: dict[str, str], operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(
        operator, unreachable, sent=10, phase=Phase.DONE, all_received=True, verified=True, crc64=crc64
    )
    assert page_of(operator_client, transfer, **JSON).json["crc64"] == shown
    text = page_of(operator_client, transfer).text
    for value in shown.values():
        assert value in text


@pytest.mark.parametrize(
    ("facts", "shown", "hidden"),
    [
        ({}, "", "SHA-256"),
        ({"verify_sha256": True}, "It is verified before the object is completed.", "as expected"),
        (
            {"verify_sha256": True, "sha256": "a" * 64, "expected_sha256": "a" * 64},
            "as expected",
            "not the expected one",
        ),
        (
            {"verify_sha256": True, "sha256": "a" * 64, "expected_sha256": "b" * 64},
            "not the expected one",
            "as expected",
        ),
    ],
)
def test_sha256_is_compared_with_the_expected_one(
    facts: dict[str, Any], shown: str, hidden: str, operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, **facts)
    text = page_of(operator_client, transfer).text
    assert shown in text
    assert hidden not in text
    assert page_of(operator_client, transfer, **JSON).json["sha256"] == facts.get("sha256")
    assert (("a" * 64) in text) is ("sha256" in facts)


def test_transfer_with_a_sha256_mismatch_cannot_be_retried(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    facts: dict[str, Any] = {"verify_sha256": True, "sha256": "a" * 64, "expected_sha256": "b" * 64}
    transfer = make_transfer(operator, unreachable, staged=10, all_received=True, phase=Phase.FAILED, **facts, **ERROR)
    text = page_of(operator_client, transfer).text
    assert "It cannot be retried" in text
    assert request_step(operator_client, transfer, "retry").status == 409
    assert request_step(operator_client, transfer, "cancel").json["state"] == "cancelling"


def test_resumable_transfer_that_failed_halfway_can_be_retried(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, staged=3, phase=Phase.FAILED, resumable=True, **ERROR)
    assert "can be sent by the browser again" in page_of(operator_client, transfer).text
    assert request_step(operator_client, transfer, "retry").json["state"] == "sending"


def test_expiry_is_shown_until_the_file_is_complete(
    operator_client: Client, operator: User, unreachable: Store
) -> None:
    assert (
        "if nothing more arrives" in page_of(operator_client, make_transfer(operator, unreachable, resumable=True)).text
    )
    form = make_transfer(operator, unreachable, resumable=False)
    assert "if nothing more arrives" in page_of(operator_client, form).text
    complete = make_transfer(operator, unreachable, resumable=True, all_received=True)
    assert "if nothing more arrives" not in page_of(operator_client, complete).text


def test_unknown_transfer_is_404_as_page_and_json(operator_client: Client) -> None:
    url = reverse("transfer", args=[uuid.uuid4()])
    assert operator_client.get(url).status_code == 404
    assert set(operator_client.get(url, headers=JSON).json()["error"]) == {"code", "message", "request_id"}


# --- Steps ------------------------------------------------------------------------------------------------------------


def test_pause_resume_and_cancel(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(operator, unreachable, staged=10, all_received=True)
    assert request_step(operator_client, transfer, "pause").json["state"] == "paused"
    assert request_step(operator_client, transfer, "resume").json["state"] == "sending"
    assert request_step(operator_client, transfer, "cancel").json["state"] == "cancelling"
    actions = AuditEntry.objects.filter(transfer_id=transfer.pk).values_list("action", "actor_name")
    assert sorted(actions) == [
        ("transfer.cancel-ordered", "olga"),
        ("transfer.paused", "olga"),
        ("transfer.resumed", "olga"),
    ]


def test_retry_of_a_failed_transfer(operator_client: Client, operator: User, unreachable: Store) -> None:
    transfer = make_transfer(operator, unreachable, staged=10, all_received=True, phase=Phase.FAILED, **ERROR)
    response = request_step(operator_client, transfer, "retry")
    assert response.json["state"] == "sending"
    assert response.json["error"] is None


@pytest.mark.parametrize("step", ["pause", "resume", "cancel", "retry"])
def test_step_that_is_not_allowed_is_409_and_changes_nothing(
    step: str, operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable, sent=10, all_received=True, phase=Phase.DONE)
    refused = request_step(operator_client, transfer, step)
    assert refused.status == 409
    assert refused.json["error"]["message"]
    page = request_step(operator_client, transfer, step, json=False)
    assert page.status == 303
    assert 'class="alert alert-danger"' in page_of(operator_client, transfer).text
    transfer.refresh_from_db()
    assert transfer.state is TransferState.DONE
    outcomes = AuditEntry.objects.filter(transfer_id=transfer.pk).values_list("outcome", flat=True)
    assert set(outcomes) == {"refused"}


def test_page_offers_exactly_the_allowed_steps(operator_client: Client, operator: User, unreachable: Store) -> None:
    offered = {
        Phase.SENDING: {"pause", "cancel"},
        Phase.COMPLETING: set(),
        Phase.DONE: {"verify"},
        Phase.CANCELLED: set(),
        Phase.FAILED: {"retry", "cancel"},
    }
    for phase, steps in offered.items():
        text = page_of(operator_client, make_transfer(operator, unreachable, phase=phase, all_received=True)).text
        assert set(re.findall(r'method="post"\s+action="/transfers/[0-9a-f-]+/(\w+)/"', text)) == steps


@pytest.mark.parametrize("step", ["pause", "resume", "cancel", "retry", "verify", "dismiss-orphan"])
def test_steps_require_a_post_with_a_csrf_token(
    step: str, operator_client: Client, operator: User, unreachable: Store
) -> None:
    transfer = make_transfer(operator, unreachable)
    url = reverse(f"transfer-{step}", args=[transfer.pk])
    assert operator_client.get(url).status_code == 405
    assert operator_client.post(url).status_code == 403
    assert Client().post(url).status_code in {302, 403}
    transfer.refresh_from_db()
    assert transfer.desired_state == DesiredState.RUN
