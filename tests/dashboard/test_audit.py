"""The audit log: newest first, paged by id, filtered."""

from __future__ import annotations

import uuid
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.shared.messages import text_of
from tests.dashboard.pages import Page
from uploads import audit
from uploads.problems import Code, Problem
from uploads.services.work.failures import problem_fields


@pytest.fixture
def log(operator: User) -> None:
    other = User.objects.create_user("bert")
    audit.record(operator, "abort.ordered", store="aws", bucket="photos", key="a/cat.jpg", upload_id="u-1")
    audit.record(None, "abort.done", store="aws", bucket="photos", key="a/cat.jpg", upload_id="u-1")
    audit.record(
        other, "store.changed", store="ceph", detail={"fields": ["region", "enabled"], "ok": True, "size": 12345}
    )


def test_empty_log(operator_client: Client) -> None:
    assert "Nothing has been done yet" in Page(operator_client.get("/audit/")).text


@pytest.mark.usefixtures("log")
def test_newest_first_with_who_what_and_detail(operator_client: Client) -> None:
    text = Page(operator_client.get("/audit/")).text
    assert text.index("<code>store.changed") < text.index("<code>abort.done") < text.index("<code>abort.ordered")
    for part in ("bert", "partway", "region, enabled", "12,345", "yes", "a/cat.jpg"):
        assert part in text


def test_codes_in_details_are_shown_as_text(operator_client: Client, operator: User) -> None:
    fields = problem_fields(Problem(Code.PREFLIGHT_FAILED), [Problem(Code.NO_PARTS)])
    audit.record(operator, "test.failed", detail=fields)
    audit.record(operator, "test.cancelled", detail={"reason": Problem(Code.BROWSER_STOPPED)})
    text = Page(operator_client.get("/audit/")).text
    failed = text_of(Problem(Code.PREFLIGHT_FAILED)), text_of(Problem(Code.NO_PARTS))
    assert f"PreflightFailed: {failed[0]} {failed[1]}" in unescape(text)
    assert text_of(Problem(Code.BROWSER_STOPPED)) in text


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
        ("key=a/", {"abort.ordered", "abort.done"}),
        ("key=cat", set()),
        ("actor=olga&store=ceph", set()),
    ],
)
def test_filters(query: str, actions: set[str], operator_client: Client) -> None:
    text = Page(operator_client.get(f"/audit/?{query}")).text
    assert {
        action for action in ("abort.ordered", "abort.done", "store.changed") if f"<code>{action}" in text
    } == actions
    assert ("No entry matches" in text) is not bool(actions)


def test_entries_link_to_what_they_are_about(operator_client: Client, operator: User) -> None:
    transfer, operation = uuid.uuid4(), uuid.uuid4()
    audit.record(operator, "transfer.begun", transfer_id=transfer)
    audit.record(operator, "abort.ordered", operation_id=operation)
    text = Page(operator_client.get("/audit/")).text
    assert f'href="/transfers/{transfer}/"' in text
    assert f'href="/operations/{operation}/"' in text


def test_pages_by_id_keep_the_filter_and_miss_nothing(operator_client: Client, operator: User) -> None:
    for number in range(230):
        audit.record(operator, "test.odd" if number % 2 else "test.even", key=f"key-{number:03}/é&x")
    url, seen = "/audit/?key=key-&action=test.odd", []
    while url:
        page = Page(operator_client.get(url))
        seen += [number for number in range(230) if f"key-{number:03}/" in page.text]
        following = page.link("next")
        url = f"/audit/{following}" if following else ""
        # What is added meanwhile does not shift the pages.
        audit.record(operator, "test.odd", key="key-later")
    assert sorted(seen) == list(range(1, 230, 2))


def test_names_are_escaped(operator_client: Client, operator: User) -> None:
    audit.record(operator, "test.done", key="<script>alert(1)</script>", detail={"<b>": "<i>"})
    text = Page(operator_client.get("/audit/")).text
    assert "<script>alert" not in text
    assert "<i>" not in text


@pytest.mark.parametrize("before", ["x", "-1", "1.5", "9" * 30, "²"])
def test_a_place_that_is_none_is_refused(before: str, operator_client: Client) -> None:
    assert operator_client.get("/audit/", {"before": before}).status_code == 400
