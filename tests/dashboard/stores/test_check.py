"""Store checks on pages: permissions, requesting a check, its card while it runs and afterwards, resetting."""

from __future__ import annotations

import io
import re
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tests.dashboard.pages import Page, Site
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.models import AuditEntry, Store, StoreCheck
from uploads.services.stores.checks.request import request_check
from uploads.services.stores.checks.run import run_store_check

CONSENT = {"consent": "on"}


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """What is expected of a store check is what it finds of Swift."""
    return swift_store


@pytest.fixture
def office(administrator_client: Client, store: Store, bucket: str) -> Site:
    """The site as an administrator sees it."""
    return Site(administrator_client, store.name, bucket)


@pytest.fixture
def url(store: Store) -> str:
    return f"/stores/{store.name}/check/"


def check_here(store: Store, bucket: str) -> StoreCheck:
    check = request_check(None, store, bucket, here=True)
    run_store_check(check.pk)
    check.refresh_from_db()
    return check


def fragment(site: Site, url: str) -> Page:
    """The response to a request by htmx."""
    return site.get(url, **{"HX-Request": "true"})


def test_check_is_requested_with_consent_and_shown_on_its_card(office: Site, bucket: str, url: str) -> None:
    assert "removes all of them again" in office.get(url).text
    requested = office.post(url, {"bucket": bucket, **CONSENT})
    [check] = StoreCheck.objects.all()
    place = f"{url}{check.pk}/"
    assert (requested.status, requested.response["Location"]) == (303, place)
    assert AuditEntry.objects.get(action="check.ordered").actor_name == "ada"

    waiting = office.get(place)
    assert "Waiting for a worker." in waiting.text
    assert f'hx-get="{place}" hx-trigger="poll"' in waiting.text
    assert "<html" not in fragment(office, place).text

    run_store_check(check.pk)
    done = office.get(place)
    assert "hx-trigger" not in fragment(office, place).text
    assert "46 ok" in done.text
    assert "9 differs" in done.text
    assert "Overrides of the profile of OpenStack Swift (s3api)" in done.text
    assert "forbid_overwrite" in done.text
    assert "Uploads are listed in the order of key and upload id, joined with a slash" in done.text
    for title in ("Permissions", "Listing uploads", "Digests", "Odd keys"):
        assert title in done.text
    assert "requested by ada" in done.text
    assert "Reset to the profile" in done.text


def test_running_check_shows_its_progress(site: Site, store: Store, bucket: str, url: str) -> None:
    check = request_check(None, store, bucket)
    results = [{"name": "reach", "title": "The endpoint answers", "group": "reach", "verdict": "ok", "said": "Yes."}]
    StoreCheck.objects.update(state="running", step="delimiter", results=results, total=49)
    page = fragment(site, f"{url}{check.pk}/")
    assert "1 of 49 · Delimiter" in page.text
    assert "1 ok" in page.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bucket": "b-1"}, "Agree to this first"),
        ({"bucket": "../up", **CONSENT}, "start with a letter or a digit"),
        ({"bucket": "", **CONSENT}, "This field is required"),
    ],
)
def test_without_consent_or_bucket_nothing_is_requested(
    office: Site, url: str, store_requests: list[str], fields: dict[str, str], words: str
) -> None:
    page = office.post(url, fields)
    assert page.status == 400
    assert words in page.text
    refused = office.post(url, fields, json=True)
    assert (refused.status, refused.json["error"]["code"]) == (400, "InvalidArgument")
    assert not StoreCheck.objects.exists()
    assert store_requests == []


def test_operators_read_and_only_administrators_check(site: Site, store: Store, bucket: str, url: str) -> None:
    check = check_here(store, bucket)
    for where, fields in ((url, {"bucket": bucket, **CONSENT}), (f"{url}reset/", {})):
        assert site.post(where, fields).status == 403
    assert StoreCheck.objects.count() == 1
    page = site.get(url)
    assert 'name="consent"' not in page.text
    assert "Reset to the profile" not in page.text
    assert f"{url}{check.pk}/" in page.text
    assert site.get(f"{url}{check.pk}/").status == 200


def test_check_is_only_found_under_its_own_store(office: Site, make_store: object, store: Store, bucket: str) -> None:
    check = check_here(store, bucket)
    make_store(name="other")  # type: ignore[operator]
    assert office.get(f"/stores/other/check/{check.pk}/").status == 404


def test_second_request_returns_the_same_check(office: Site, bucket: str, url: str) -> None:
    first = office.post(url, {"bucket": bucket, **CONSENT}, json=True)
    second = office.post(url, {"bucket": bucket, **CONSENT}, json=True)
    assert first.status == second.status == 202
    assert first.response["Location"] == second.response["Location"] == first.json["url"]
    assert StoreCheck.objects.count() == 1


def test_check_as_json(office: Site, store: Store, bucket: str, url: str) -> None:
    check = check_here(store, bucket)
    facts = office.json(f"{url}{check.pk}/").json
    assert facts["state"] == "done"
    assert facts["Bucket"] == bucket
    assert facts["found"] == {"forbid_overwrite": "if-none-match"}
    assert facts["checks"] == {"count": 55, "done": 55}
    order = next(result for result in facts["results"] if result["name"] == "order")
    assert order["verdict"] == "differs"
    assert order["flag"] == ["order", "key/upload-id"]
    listed = office.json(url).json
    assert listed["found"] == facts["found"]
    assert [each["id"] for each in listed["checks"]] == [facts["id"]]


def test_store_page_summarizes_the_last_check(office: Site, store: Store, bucket: str, url: str) -> None:
    assert "Not checked yet" in office.get(f"/stores/{store.name}/").text
    check = check_here(store, bucket)
    page = office.get(f"/stores/{store.name}/")
    assert f'href="{url}{check.pk}/"' in page.text
    assert "from the command line" in page.text
    assert "46 ok" in page.text
    assert "1 field of the profile of OpenStack Swift (s3api) is overridden" in page.text


def test_reset_removes_overrides(office: Site, store: Store, bucket: str, url: str) -> None:
    check_here(store, bucket)
    assert "Reset to the profile" in office.get(url).text
    assert office.post(f"{url}reset/", {}).status == 303
    page = office.get(url)
    assert "were removed" in page.text
    assert "Reset to the profile" not in page.text
    store.refresh_from_db()
    assert store.overrides == {}
    assert AuditEntry.objects.get(action="check.reset").actor_name == "ada"
    office.post(f"{url}reset/", {})
    assert "has no overrides" in office.get(url).text
    assert office.get(f"{url}reset/").status == 405


def test_leftovers_are_shown_with_reason_and_permission(office: Site, store: Store, bucket: str, url: str) -> None:
    check = check_here(store, bucket)
    error = {
        "reason": "permission",
        "params": {"operation": "AbortMultipartUpload"},
        "details": [],
        "store_message": "Access denied.",
    }
    left = {"kind": "upload", "key": "<scratch>/upload", "id": "id-1"}
    StoreCheck.objects.update(leftovers=[left | {"error": error}])
    page = office.get(f"{url}{check.pk}/")
    assert "Not everything could be removed" in page.text
    assert "&lt;scratch&gt;/upload" in page.text
    assert "s3:AbortMultipartUpload" in page.text
    [shown] = office.json(f"{url}{check.pk}/").json["leftovers"]
    assert shown == left | {"why": shown["why"]}
    assert "The store says: Access denied." in shown["why"]


OLD_RESULTS: list[dict[str, Any]] = [
    {
        "name": "order",
        "title": "Order of uploads",
        "group": "listing",
        "verdict": "differs",
        "said": "Uploads come in no order.",
        "advice": "Pages are shown as they come.",
        "flag": ["order", "none"],
    },
    {
        "name": "removed-check",
        "title": "A check that no longer exists",
        "group": "keys",
        "verdict": "failed",
        "said": "PutObject was refused with Odd: No.",
        "code": "Odd",
        "request_id": "tx1",
    },
]


def test_check_stored_before_findings_had_codes_is_shown_unchanged(
    office: Site, store: Store, bucket: str, url: str
) -> None:
    check = request_check(None, store, bucket)
    left = {"kind": "upload", "key": "scratch/upload", "id": "id-1", "why": "It may have been begun."}
    StoreCheck.objects.update(state="running", step="Order of uploads", results=OLD_RESULTS, leftovers=[left], total=2)
    page = office.get(f"{url}{check.pk}/")
    assert "2 of 2 · Order of uploads" in page.text
    for result in OLD_RESULTS:
        for text in ("title", "said", "advice", "code", "request_id"):
            assert str(result.get(text, "")) in page.text
    assert "It may have been begun." in page.text
    facts = office.json(f"{url}{check.pk}/").json
    assert facts["results"] == OLD_RESULTS
    assert facts["leftovers"] == [left]
    StoreCheck.objects.update(state="done")
    assert "1 failed" in office.get(f"{url}{check.pk}/").text


def test_check_that_did_not_finish_shows_the_reason(office: Site, store: Store, bucket: str, url: str) -> None:
    check = request_check(None, store, bucket, here=True)
    StoreCheck.objects.update(tries=3)
    run_store_check(check.pk)
    page = office.get(f"{url}{check.pk}/")
    assert "The check did not finish" in page.text
    assert "its process died each time" in page.text


def test_provider_without_sources_is_assumed_to_behave_like_s3(
    office: Site, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.shared.messages.providers.SOURCES", {})
    page = office.get(url)
    assert '<p class="mb-0">The store is assumed to behave like S3. A check finds out.</p>' in page.text
    assert '<dl class="sourced">' not in page.text


def test_failures_are_shown_first(office: Site, store: Store, bucket: str, url: str) -> None:
    Store.objects.filter(pk=store.pk).update(endpoint_url="http://127.0.0.1:1")
    store.refresh_from_db()
    check = check_here(store, bucket)
    page = office.get(f"{url}{check.pk}/")
    assert "1 failed" in page.text
    assert "54 not tried" in page.text
    assert page.text.count("Check the endpoint URL") == 2
    assert page.text.index("Check the endpoint URL") < page.text.index("All checks")


# --- manage.py check_store --------------------------------------------------------------------------------------------


def command(*arguments: str) -> tuple[int, str]:
    """The exit code of the command, and what it wrote."""
    written = io.StringIO()
    try:
        call_command("check_store", *arguments, stdout=written)
    except SystemExit as end:
        return int(str(end.code)), written.getvalue()
    return 0, written.getvalue()


def test_command_checks_and_reports(store: Store, bucket: str) -> None:
    code, text = command(store.name, "--bucket", bucket, "--yes")
    assert code == 0
    assert "DIFFERS   Order of uploads: Uploads are listed in the order of key and upload id" in text
    assert "46 ok, 9 differs." in text
    assert "Overrides of the profile of swift: forbid_overwrite = if-none-match." in text
    store.refresh_from_db()
    assert store.overrides == {"forbid_overwrite": "if-none-match"}
    assert command(store.name, "--reset") == (0, "Removed overrides: forbid_overwrite = if-none-match.\n")
    assert command(store.name, "--reset") == (0, "The profile has no overrides.\n")


def test_command_exits_with_1_if_something_failed(store: Store) -> None:
    code, text = command(store.name, "--bucket", "no-such-bucket", "--yes")
    assert code == 1
    assert "FAILED    The bucket exists: ListMultipartUploads was refused with NoSuchBucket" in text
    assert "NoSuchBucket, request id tx" in text


def test_command_shows_status_and_request_id_of_a_refusal_without_body(store: Store, bucket: str) -> None:
    # The refusal of HEAD has no body with a code. Its request id is in a header.
    with FaultProxy(store.endpoint_url) as proxy:
        proxy.always("HeadObject", Fault.ACCESS_DENIED)
        Store.objects.filter(pk=store.pk).update(endpoint_url=proxy.url)
        code, text = command(store.name, "--bucket", bucket, "--yes")
    assert code == 1
    assert re.search("DENIED +HeadObject: .*\n.*\n +403, request id proxy-1\n", text)


def test_command_asks_for_consent(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch, store_requests: list[str]
) -> None:
    with pytest.raises(CommandError, match="--yes"):
        command(store.name, "--bucket", bucket)
    questions: list[str] = []

    def answer(question: str) -> str:
        questions.append(question)
        return "no"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(CommandError, match="Nothing was written"):
        command(store.name, "--bucket", bucket)
    assert bucket in questions[0]
    assert "removes all of them again" in questions[0]
    assert store_requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody", "--bucket", "b-1", "--yes"], "no store"),
        (["main", "--yes"], "--bucket is required"),
        (["main", "--bucket", "a/b", "--yes"], "not a bucket name"),
    ],
)
def test_command_reports_wrong_arguments(store: Store, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        command(*arguments)
    assert not StoreCheck.objects.exists()
