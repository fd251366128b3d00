"""The audit log: newest first, paged by id, filtered."""

from __future__ import annotations

import ast
import re
import uuid
from collections.abc import Container, Iterator
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.shared.messages import text_of
from dashboard.shared.messages.audit import ACTIONS, detail_name
from dashboard.site.audit_trail import THINGS, thing_of
from local.installation import PROJECT
from tests.dashboard.pages import JSON, Page
from tests.grants import make_operator
from uploads import audit
from uploads.domain.states import ItemState, OperationKind, Phase
from uploads.problems import Code, Problem
from uploads.services.transfers.steps import CANCEL, PAUSE, RESUME
from uploads.services.work.failures import problem_fields


@pytest.fixture
def log(operator: User) -> None:
    other = make_operator("bert")
    audit.record(operator, "abort.ordered", store="aws", bucket="photos", key="a/cat.jpg", upload_id="u-1")
    audit.record(None, "abort.done", store="aws", bucket="photos", key="a/cat.jpg", upload_id="u-1")
    audit.record(
        other, "store.changed", store="ceph", detail={"fields": ["region", "enabled"], "ok": True, "size": 12345}
    )


ABORTED = {"repeats": 1, "already_gone": False}
COMPLETED = {
    "expected_size": 11,
    "expected_etag": "e-1",
    "expected_crc64": "nvme:0",
    "parts": 1,
    "ordered_at": "2026-01-31T12:00:00+00:00",
    "verified": True,
    "etag": "e-1",
    "size": 11,
    "last_modified": "2026-01-31T12:00:00+00:00",
}
"""Outcomes as the items of operations keep them."""


def actions_of(page: Page) -> list[str]:
    return [code.text for code in page.find("code", "text-secondary")]


def test_empty_log(operator_client: Client) -> None:
    assert "Nothing has been done yet" in Page(operator_client.get("/audit/")).text


@pytest.mark.usefixtures("log")
def test_entries_are_shown_newest_first_with_details(administrator_client: Client) -> None:
    page = Page(administrator_client.get("/audit/"))
    assert actions_of(page) == ["store.changed", "abort.done", "abort.ordered"]
    for part in (
        "bert",
        "partway",
        "region, enabled",
        "12,345",
        "yes",
        "a/cat.jpg",
        "Store changed",
        "Abort requested",
    ):
        assert part in page.words


def test_codes_in_details_are_shown_as_text(operator_client: Client, operator: User) -> None:
    fields = problem_fields(Problem(Code.PREFLIGHT_FAILED), [Problem(Code.NO_PARTS)])
    audit.record(operator, "test.failed", detail=fields)
    audit.record(operator, "test.cancelled", detail={"reason": Problem(Code.BROWSER_STOPPED)})
    text = Page(operator_client.get("/audit/")).text
    failed = text_of(Problem(Code.PREFLIGHT_FAILED)), text_of(Problem(Code.NO_PARTS))
    assert f"PreflightFailed: {failed[0]} {failed[1]}" in unescape(text)
    assert text_of(Problem(Code.BROWSER_STOPPED)) in text


def test_proofs_in_details_are_shown_as_text(operator_client: Client, operator: User) -> None:
    """Stored names instead of texts: of a transfer, and in the outcome of an operation."""
    audit.record(operator, "transfer.done", detail={"proofs": ["size", "transfer-id"]})
    audit.record(operator, "complete.done", detail={"outcome": {**COMPLETED, "proofs": ["etag", "crc64", "date"]}})
    text = Page(operator_client.get("/audit/")).text
    assert "size, transfer id" in text
    assert "proved ETag, CRC-64, date" in text


def test_error_of_an_old_entry_is_shown_unchanged(operator_client: Client, operator: User) -> None:
    audit.record(operator, "test.failed", detail={"error_code": "Old", "error_message": "As it was said."})
    assert "Old: As it was said." in Page(operator_client.get("/audit/")).text


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("query", "actions"),
    [
        ("actor=olga", {"abort.ordered"}),
        ("actor=partway", {"abort.done"}),
        ("action=abort", {"abort.ordered", "abort.done"}),
        ("action=store.changed", {"store.changed"}),
        ("store=ceph", {"store.changed"}),
        ("bucket=photos&store=aws", {"abort.ordered", "abort.done"}),
        ("prefix=a/", {"abort.ordered", "abort.done"}),
        ("prefix=cat", set()),
        ("key=a/cat.jpg", {"abort.ordered", "abort.done"}),
        ("key=a/", set()),
        ("upload-id=u-1", {"abort.ordered", "abort.done"}),
        ("bucket=photos", {"abort.ordered", "abort.done"}),
        ("outcome=ordered", {"abort.ordered"}),
        ("action=abort.done", {"abort.done"}),
        ("means=schedule", {"abort.ordered", "abort.done", "store.changed"}),
        ("means=page", set()),
        ("actor=olga&store=ceph", set()),
    ],
)
def test_filters(query: str, actions: set[str], administrator_client: Client) -> None:
    page = Page(administrator_client.get(f"/audit/?{query}"))
    assert set(actions_of(page)) == actions
    assert ("No entry matches" in page.words) is not bool(actions)


def test_entries_link_to_their_transfer_and_operation(operator_client: Client, operator: User) -> None:
    transfer, operation = uuid.uuid4(), uuid.uuid4()
    audit.record(operator, "transfer.begun", transfer_id=transfer)
    audit.record(operator, "abort.ordered", operation_id=operation)
    text = Page(operator_client.get("/audit/")).text
    assert f'href="/transfers/{transfer}/"' in text
    assert f'href="/operations/{operation}/"' in text


def test_pages_by_id_keep_the_filter_and_miss_nothing(operator_client: Client, operator: User) -> None:
    for number in range(230):
        audit.record(operator, "test.odd" if number % 2 else "test.even", key=f"key-{number:03}/é&x")
    url, seen = "/audit/?prefix=key-&action=test.odd", []
    while url:
        page = Page(operator_client.get(url))
        seen += [number for number in range(230) if f"key-{number:03}/" in page.text]
        following = page.link("next")
        url = following or ""
        # Entries that are added in the meantime do not shift the pages.
        audit.record(operator, "test.odd", key="key-later")
    assert sorted(seen) == list(range(1, 230, 2))


def test_names_are_escaped(operator_client: Client, operator: User) -> None:
    audit.record(operator, "test.done", key="<script>alert(1)</script>", detail={"<b>": "<i>"})
    text = Page(operator_client.get("/audit/")).text
    assert "<script>alert" not in text
    assert "<i>" not in text


def test_heading_of_the_time_turns_the_order_round(operator_client: Client, operator: User) -> None:
    for number in range(230):
        audit.record(operator, "test.done", key=f"key-{number:03}/é&x")
    heading = Page(operator_client.get("/audit/?prefix=key-")).href("When")
    assert heading == "/audit/?prefix=key-&sort=at"
    url, seen = heading, list[int]()
    while url:
        page = Page(operator_client.get(url))
        seen += [int(number) for number in re.findall(r"key-(\d{3})/", page.words)]
        url = page.link("next")
    assert seen == list(range(230))
    assert page.href("First page") == heading
    back = Page(operator_client.get(page.link("prev")))
    assert [int(number) for number in re.findall(r"key-(\d{3})/", back.words)] == list(range(100, 200))
    assert page.href("When") == "/audit/?prefix=key-"
    assert operator_client.get("/audit/?sort=actor").status_code == 400
    found = Page(operator_client.get(heading, headers=JSON)).json
    assert (found["older"], len(found["entries"])) == (None, 100)
    assert found["entries"][0]["key"].startswith("key-000")


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 30, "²"])
def test_invalid_place_in_the_log_is_refused(before: str, operator_client: Client) -> None:
    assert operator_client.get("/audit/", {"before": before}).status_code == 400


# --- Texts ------------------------------------------------------------------------------------------------------------


REFUSED_THINGS = {thing_of(view) for view in (*THINGS, "new-token", "users", "tokens", "logout", "scans", "lifecycle")}
ENDS = (ItemState.DONE, ItemState.FAILED)
ITEM_ENDS = (*ENDS, ItemState.UNKNOWN)
COMPUTED: dict[str, set[str]] = {
    "dashboard/site/audit_trail.py": {f"{thing}.refused" for thing in REFUSED_THINGS},
    "inventory/saved_views.py": {f"inventory-view.{what}" for what in ("saved", "renamed", "deleted")},
    "lifecycle/reading.py": {f"lifecycle.{state}" for state in ITEM_ENDS},
    "operations/order.py": {f"{kind}.{state}" for kind in OperationKind for state in ITEM_ENDS} | {"abort.spared"},
    "operations/steps.py": {f"operation.{word}" for word in ("paused", "resumed", "stopped")}
    | {f"{kind}.left" for kind in OperationKind},
    "people/grants.py": {"grant.added", "grant.removed"},
    "people/invitations.py": {"invitation.created", "invitation.used", "invitation.revoked"},
    "people/tokens.py": {"token.created", "token.revoked", "token.refused"},
    "stores/checks/run.py": {f"check.{state}" for state in ENDS},
    "sweeps/recording.py": set(),
    "sweeps/repeat.py": {f"sweep.repeating-{what}" for what in ("added", "changed", "approved", "enabled", "disabled")},
    "transfers/ending.py": {f"transfer.{phase}" for phase in (Phase.DONE, Phase.CANCELLED)},
    "transfers/orphans.py": {"transfer.twin-aborted", "transfer.possible-orphan"},
    "transfers/steps.py": {f"transfer.{step.action}" for step in (PAUSE, RESUME, CANCEL)},
}
"""The actions that a module computes, by the module. A new module that computes an action needs a row."""

PREFIXES = {"record": [""], "record_transfer": ["transfer."], "record_store": ["store."]}
PREFIXES["record_item"] = PREFIXES["record_items"] = [f"{kind}." for kind in OperationKind]
OF_SWEEPS = {"record": ["sweep."], "audit.record": [""]}
"""The functions of `services/sweeps`, whose `record` is one of its own."""


def test_every_action_that_is_written_has_a_text() -> None:
    written, computing = set[str](), set[str]()
    paths = [path for folder in ("uploads/services", "dashboard") for path in (PROJECT / folder).rglob("*.py")]
    for path in paths:
        prefixes = OF_SWEEPS if path.parent.name == "sweeps" and "services" in path.parts else PREFIXES
        for function, action in audit_calls(ast.parse(path.read_text()), prefixes):
            constants = [node.value for node in ast.walk(action) if isinstance(node, ast.Constant)]
            if isinstance(action, ast.Constant | ast.IfExp):
                written |= {prefix + str(name) for prefix in prefixes[function] for name in constants if name}
            else:
                computing.add(path.relative_to(PROJECT).as_posix().removeprefix("uploads/services/"))
    assert computing == set(COMPUTED)
    assert written.union(*COMPUTED.values()) == set(ACTIONS)


def audit_calls(tree: ast.AST, functions: Container[str]) -> Iterator[tuple[str, ast.expr]]:
    """The function and the action of every call that writes an entry."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if found := next((each for each in (name, name.removeprefix("audit.")) if each in functions), None):
                yield found, node.args[1]


@pytest.mark.parametrize("outcome", [ABORTED, COMPLETED])
def test_every_name_in_the_outcome_of_an_operation_has_a_text(outcome: dict[str, object]) -> None:
    assert {name for name in outcome if detail_name(name) == name} <= {"parts", "size", "verified"}


def test_settings_and_roles_are_shown_in_words(client: Client, administrator: User) -> None:
    after = {"provider": "swift", "addressing": "virtual", "payload_signing": "unsigned"}
    audit.record(administrator, "store.added", store="demo", after=after)
    audit.record(administrator, "user.added", after={"role": "store-administrator"})
    client.force_login(administrator)
    page = client.get("/audit/").content.decode()
    for words in ("OpenStack Swift", "virtual-hosted", "Store administrator"):
        assert words in page


def test_one_line_says_what_was_requested_and_what_was_done(operator_client: Client, operator: User) -> None:
    ordered = audit.record(operator, "abort.ordered", upload_id="u-7")
    audit.record(operator, "abort.done", upload_id="u-7", ordered=ordered)
    page = Page(operator_client.get("/audit/"))
    assert "Abort requested → Upload aborted" in page.words
    assert actions_of(page) == ["abort.ordered", "abort.done"]


def test_days_and_the_upload_id_are_not_folded(operator_client: Client) -> None:
    page = Page(operator_client.get("/audit/?since=2020-01-01T00:00&upload-id=u-7"))
    assert [each.has("open") for each in page.find("details", "list-folded")] == [False]
    assert {each.get("value") for each in page.find("input", name="upload-id")} == {"u-7"}


def test_filter_that_is_folded_is_unfolded_if_it_is_given(operator_client: Client) -> None:
    page = Page(operator_client.get("/audit/?request-id=r-1"))
    assert [each.has("open") for each in page.find("details", "list-folded")] == [True]


@pytest.mark.usefixtures("log")
def test_each_filter_in_use_has_a_link_that_removes_it(operator_client: Client) -> None:
    page = Page(operator_client.get("/audit/?action=abort&store=aws"))
    removing = {" ".join(each.text.split()): each.get("href") for each in page.find("a") if "Remove" in each.text}
    assert removing == {
        "What All about aborts Remove this filter": "/audit/?store=aws",
        "Store aws Remove this filter": "/audit/?action=abort",
    }


@pytest.mark.usefixtures("log")
def test_columns_and_density_of_the_log_are_remembered(client: Client, administrator: User) -> None:
    client.force_login(administrator)
    here = "/audit/?store=aws&before=1000"
    heads = [each.text for each in Page(client.get(here)).find("th", scope="col")]
    assert heads == ["When", "Who", "What", "Object", "Details"]
    saved = client.post("/lists/audit/", {"column": ["at", "object"], "density": "compact", "back": here})
    assert (saved.status_code, saved["Location"]) == (303, here)
    page = Page(client.get(here))
    assert [each.text for each in page.find("th", scope="col")] == ["When", "What", "Object"]
    assert "is-compact" in page.text
    assert "a/cat.jpg" in page.words
    assert f'name="back" value="{here.replace("&", "&amp;")}"' in page.text


def test_links_to_days_set_times_that_the_log_accepts(operator_client: Client) -> None:
    page = Page(operator_client.get("/audit/"))
    for name in ("Today", "Yesterday", "7 days"):
        found = Page(operator_client.get(page.href(name)))
        assert found.status == 200
        assert all(each.get("value") for each in found.find("input", name="since"))
