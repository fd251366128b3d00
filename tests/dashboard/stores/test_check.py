"""Checking a store from its page: who may, what is asked, the card while it runs and afterwards, resetting."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from tests.dashboard.pages import Page, Site
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.models import AuditEntry, Store, StoreCheck
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores.checks import request_check, run_store_check

CONSENT = {"consent": "on"}


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
    """What htmx asks for."""
    return site.get(url, **{"HX-Request": "true"})


def test_it_is_ordered_with_consent_and_read_on_its_card(office: Site, bucket: str, url: str) -> None:
    assert "all removed again" in office.get(url).text
    ordered = office.post(url, {"bucket": bucket, **CONSENT})
    [check] = StoreCheck.objects.all()
    place = f"{url}{check.pk}/"
    assert (ordered.status, ordered.response["Location"]) == (303, place)
    assert AuditEntry.objects.get(action="check.ordered").actor_name == "ada"

    waiting = office.get(place)
    assert "It waits for a worker." in waiting.text
    assert f'hx-get="{place}" hx-trigger="every 1s"' in waiting.text
    assert "<html" not in fragment(office, place).text

    run_store_check(check.pk)
    done = office.get(place)
    assert "hx-trigger" not in fragment(office, place).text
    assert "43 ok" in done.text
    assert "7 differs" in done.text
    assert "Overrules the profile of OpenStack Swift (s3api)" in done.text
    assert "forbid_overwrite" in done.text
    assert "Uploads come in the order of key and upload id joined with a slash" in done.text
    for title in ("Permissions", "Listing uploads", "Digests", "Odd keys"):
        assert title in done.text
    assert "ordered by ada" in done.text
    assert "Reset to the profile" in done.text


def test_a_check_under_way_shows_how_far_it_is(site: Site, store: Store, bucket: str, url: str) -> None:
    check = request_check(None, store, bucket)
    results = [{"name": "reach", "title": "The endpoint answers", "group": "reach", "verdict": "ok", "said": "Yes."}]
    StoreCheck.objects.update(state="running", step="Delimiter", results=results, total=49)
    page = fragment(site, f"{url}{check.pk}/")
    assert "1 of 49 · Delimiter" in page.text
    assert "1 ok" in page.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"bucket": "b-1"}, "Agree to this first"),
        ({"bucket": "../up", **CONSENT}, "beginning with a letter or digit"),
        ({"bucket": "", **CONSENT}, "This field is required"),
    ],
)
def test_without_consent_or_bucket_nothing_is_written(
    office: Site, url: str, store_requests: list[str], fields: dict[str, str], words: str
) -> None:
    page = office.post(url, fields)
    assert page.status == 400
    assert words in page.text
    refused = office.post(url, fields, json=True)
    assert (refused.status, refused.json["error"]["code"]) == (400, "InvalidArgument")
    assert not StoreCheck.objects.exists()
    assert store_requests == []


def test_operators_read_and_administrators_check(site: Site, store: Store, bucket: str, url: str) -> None:
    check = check_here(store, bucket)
    for where, fields in ((url, {"bucket": bucket, **CONSENT}), (f"{url}reset/", {})):
        assert site.post(where, fields).status == 403
    assert StoreCheck.objects.count() == 1
    page = site.get(url)
    assert 'name="consent"' not in page.text
    assert "Reset to the profile" not in page.text
    assert f"{url}{check.pk}/" in page.text
    assert site.get(f"{url}{check.pk}/").status == 200


def test_a_check_is_found_under_its_own_store_only(office: Site, make_store: object, store: Store, bucket: str) -> None:
    check = check_here(store, bucket)
    make_store(name="other")  # type: ignore[operator]
    assert office.get(f"/stores/other/check/{check.pk}/").status == 404


def test_ordered_twice_is_the_same_check(office: Site, bucket: str, url: str) -> None:
    first = office.post(url, {"bucket": bucket, **CONSENT}, json=True)
    second = office.post(url, {"bucket": bucket, **CONSENT}, json=True)
    assert first.status == second.status == 202
    assert first.response["Location"] == second.response["Location"] == first.json["url"]
    assert StoreCheck.objects.count() == 1


def test_the_same_facts_as_json(office: Site, store: Store, bucket: str, url: str) -> None:
    check = check_here(store, bucket)
    facts = office.json(f"{url}{check.pk}/").json
    assert facts["state"] == "done"
    assert facts["Bucket"] == bucket
    assert facts["found"] == {"forbid_overwrite": "if-none-match"}
    assert facts["checks"] == {"count": 50, "done": 50}
    order = next(result for result in facts["results"] if result["name"] == "order")
    assert order["verdict"] == "differs"
    assert order["flag"] == ["order", "key/upload-id"]
    listed = office.json(url).json
    assert listed["found"] == facts["found"]
    assert [each["id"] for each in listed["checks"]] == [facts["id"]]


def test_the_store_page_shows_the_last_check_in_short(office: Site, store: Store, bucket: str, url: str) -> None:
    assert "It was not checked yet" in office.get(f"/stores/{store.name}/").text
    check = check_here(store, bucket)
    page = office.get(f"/stores/{store.name}/")
    assert f'href="{url}{check.pk}/"' in page.text
    assert "from the command line" in page.text
    assert "43 ok" in page.text
    assert "1 way of this store overrules the profile" in page.text


def test_resetting(office: Site, store: Store, bucket: str, url: str) -> None:
    check_here(store, bucket)
    assert "Reset to the profile" in office.get(url).text
    assert office.post(f"{url}reset/", {}).status == 303
    page = office.get(url)
    assert "is forgotten" in page.text
    assert "Reset to the profile" not in page.text
    store.refresh_from_db()
    assert store.overrides == {}
    assert AuditEntry.objects.get(action="check.reset").actor_name == "ada"
    office.post(f"{url}reset/", {})
    assert "Nothing overruled" in office.get(url).text
    assert office.get(f"{url}reset/").status == 405


def test_what_was_left_is_named(office: Site, store: Store, bucket: str, url: str) -> None:
    check = check_here(store, bucket)
    left = {"kind": "upload", "key": "<scratch>/upload", "id": "id-1", "why": "Access denied."}
    StoreCheck.objects.update(leftovers=[left])
    page = office.get(f"{url}{check.pk}/")
    assert "Not everything could be removed" in page.text
    assert "&lt;scratch&gt;/upload" in page.text


def test_a_check_that_did_not_end_says_why(office: Site, store: Store, bucket: str, url: str) -> None:
    check = request_check(None, store, bucket, here=True)
    StoreCheck.objects.update(tries=3)
    run_store_check(check.pk)
    page = office.get(f"{url}{check.pk}/")
    assert "The check did not end" in page.text
    assert "its process died each time" in page.text


def test_of_a_provider_without_sources_nothing_is_claimed(
    office: Site, store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = replace(PROVIDERS["generic"], sources={})
    monkeypatch.setattr("dashboard.stores.check.PROVIDERS", {**PROVIDERS, store.provider: unknown})
    page = office.get(url)
    assert '<p class="mb-0">S3\'s ways are assumed; a check finds out.</p>' in page.text
    assert "as S3 has it" not in page.text


def test_failures_come_first(office: Site, store: Store, bucket: str, url: str) -> None:
    Store.objects.filter(pk=store.pk).update(endpoint_url="http://127.0.0.1:1")
    store.refresh_from_db()
    check = check_here(store, bucket)
    page = office.get(f"{url}{check.pk}/")
    assert "1 failed" in page.text
    assert "49 not tried" in page.text
    assert page.text.count("Check the endpoint URL") == 2
    assert page.text.index("Check the endpoint URL") < page.text.index("All checks")


# --- manage.py check_store --------------------------------------------------------------------------------------------


def command(*arguments: str) -> tuple[int, str]:
    """Its exit code, and what it wrote."""
    written = io.StringIO()
    try:
        call_command("check_store", *arguments, stdout=written)
    except SystemExit as end:
        return int(str(end.code)), written.getvalue()
    return 0, written.getvalue()


def test_the_command_checks_and_reports(store: Store, bucket: str) -> None:
    code, text = command(store.name, "--bucket", bucket, "--yes")
    assert code == 0
    assert "DIFFERS   Order of uploads: Uploads come in the order of key and upload id" in text
    assert "43 ok, 7 differs." in text
    assert "Overrules the profile of swift: forbid_overwrite = if-none-match." in text
    store.refresh_from_db()
    assert store.overrides == {"forbid_overwrite": "if-none-match"}
    assert command(store.name, "--reset") == (0, "Forgotten: forbid_overwrite = if-none-match.\n")
    assert command(store.name, "--reset") == (0, "Nothing overruled the profile.\n")


def test_the_command_ends_with_1_where_something_failed(store: Store) -> None:
    code, text = command(store.name, "--bucket", "no-such-bucket", "--yes")
    assert code == 1
    assert "FAILED    The bucket is there: ListMultipartUploads was refused with NoSuchBucket" in text
    assert "NoSuchBucket, request id tx" in text


def test_the_command_names_a_code_without_a_request_id(store: Store, bucket: str) -> None:
    # HEAD is refused without a body that could tell one.
    with FaultProxy(store.endpoint_url) as proxy:
        proxy.always("HeadObject", Fault.ACCESS_DENIED)
        Store.objects.filter(pk=store.pk).update(endpoint_url=proxy.url)
        code, text = command(store.name, "--bucket", bucket, "--yes")
    assert code == 1
    assert re.search("DENIED +HeadObject: .*\n.*\n +403\n", text)


def test_the_command_asks_for_consent(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch, store_requests: list[str]
) -> None:
    with pytest.raises(CommandError, match="--yes"):
        command(store.name, "--bucket", bucket)
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "no"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer)
    with pytest.raises(CommandError, match="Nothing was written"):
        command(store.name, "--bucket", bucket)
    assert bucket in asked[0]
    assert "all removed again" in asked[0]
    assert store_requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody", "--bucket", "b-1", "--yes"], "no store"),
        (["swift", "--yes"], "--bucket is needed"),
        (["swift", "--bucket", "a/b", "--yes"], "not a bucket name"),
    ],
)
def test_the_command_says_what_is_wrong(store: Store, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        command(*arguments)
    assert not StoreCheck.objects.exists()
