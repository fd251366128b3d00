"""Setting up stores: defaults, connection tests, concurrent edits, disabling, and secrets that are never shown."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from dashboard.shared.messages.providers import sources_of
from dashboard.stores import provider_notes
from tests.dashboard.pages import TOKEN, Page, Site
from tests.dashboard.transfers.test_tus import Tus
from tests.objectstore.fault_server import FaultServer, error, respond
from tests.stores.running import RunningStore
from tests.stores.swift import SwiftStore
from uploads.models import AuditEntry, Store, StoreCheck
from uploads.objectstore import providers
from uploads.objectstore.providers import OVERRIDABLE, PROVIDERS, Provider, with_overrides
from uploads.objectstore.types import Addressing, Signature
from uploads.services.stores.settings import set_enabled
from uploads.staging.tus import CONTENT_TYPE

WITHOUT_TEXT = {"name", "label", "region_default", "endpoint_hint"}
SECRET = "a secret that was entered"
SESSION_TOKEN = "a token that was entered"


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """The form names Swift."""
    return swift_store


def form(any_store: RunningStore, **changes: str) -> dict[str, Any]:
    values = {
        "name": "new-store",
        "provider": "swift",
        "endpoint_url": any_store.endpoint_url,
        "region": "",
        "access_key": any_store.access_key,
        "secret_key": any_store.secret_key,
        "buckets": "",
        "enabled": "on",
    }
    return values | changes


def to_test(any_store: RunningStore, **changes: str) -> dict[str, Any]:
    return form(any_store, action="test", **changes)


def live_test(office: Site, url: str, data: dict[str, Any]) -> Page:
    """The request that htmx sends for the Test button."""
    token = TOKEN.search(office.client.get("/stores/").content.decode())
    assert token
    return Page(office.client.post(url, data | {"csrfmiddlewaretoken": token[1]}, headers={"HX-Request": "true"}))


def seen(page: Page) -> str:
    match = re.search(r'name="seen" value="([^"]*)"', page.text)
    assert match
    return html.unescape(match[1])


# --- Providers' profiles ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_each_field_of_a_profile_has_a_text_and_its_source(provider: Provider) -> None:
    named = {each.name for each in fields(Provider)} - WITHOUT_TEXT
    assert named == set(provider_notes.NOTES) | provider_notes.IN_LIMITS
    assert all(provider_notes.note(provider, name).endswith(".") for name in named)
    shown = provider_notes.notes(provider)
    sources = "; ".join(note.source for note in shown)
    assert all(source in sources for source in sources_of(provider.name).values())
    assert len({note.text for note in shown}) == len(shown)


@pytest.mark.parametrize("name", OVERRIDABLE)
def test_each_value_of_an_overridable_field_has_its_own_text(name: str) -> None:
    generic = PROVIDERS["generic"]
    texts = {provider_notes.note(with_overrides(generic, [(name, value)]), name) for value in OVERRIDABLE[name]}
    assert len(texts) == len(OVERRIDABLE[name])


def test_text_for_ignored_encoding_type_does_not_claim_encoding() -> None:
    # A store that encodes without declaring it has the same value: the text must be true for both.
    assert "is ignored, or obeyed" in str(provider_notes.URL_ENCODING["none"])


def test_every_value_of_a_profile_has_a_text() -> None:
    assert set(provider_notes.ADDRESSING) == set(get_args(Addressing))
    assert set(provider_notes.SIGNATURE) == set(get_args(Signature))
    assert set(provider_notes.LIFECYCLE) == set(get_args(providers.Lifecycle))
    assert set(provider_notes.FORBID_OVERWRITE) == set(get_args(providers.ForbidOverwrite))
    assert set(provider_notes.ORDERS) == set(get_args(providers.Order))
    assert set(provider_notes.URL_ENCODING) == set(get_args(providers.UrlEncoding))


def test_page_contains_the_defaults_of_each_provider_and_shows_the_selected_one(office: Site, store: Store) -> None:
    page = office.get(f"/stores/{store.name}/edit/")
    panels = re.findall(r'<div\s+class="provider-profile"\s+data-provider="([^"]*)"[^>]*?(\shidden)?\s*>', page.text)
    assert [name for name, _ in panels] == list(PROVIDERS)
    assert [name for name, hidden in panels if not hidden] == ["swift"]
    assert "The provider&#x27;s: path" in page.text
    assert 'placeholder="https://swift.example.org"' in page.text
    again = office.post("/stores/new/", {"provider": "oss"})
    assert again.status == 400
    assert "The provider&#x27;s: OSS V4" in again.text
    assert 'data-endpoint="https://oss-REGION.aliyuncs.com"' in again.text


def test_form_without_endpoint_uses_the_providers(office: Site, any_store: RunningStore) -> None:
    added = office.post("/stores/new/", form(any_store, provider="oss", endpoint_url="", region="cn-shanghai"))
    assert added.status == 303
    store = Store.objects.get()
    assert (store.endpoint_url, store.signature) == ("https://oss-cn-shanghai.aliyuncs.com", "oss4")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"provider": "r2", "endpoint_url": ""}, "It looks like https://ACCOUNT.r2.cloudflarestorage.com."),
        ({"provider": "oss", "signature": "sigv4", "endpoint_url": ""}, "Aliyun OSS requires OSS V4"),
        ({"provider": "aws", "region": "a/b", "endpoint_url": ""}, "No endpoint URL can be built from “a/b”"),
        ({"provider": "oss", "endpoint_url": "https://s3.oss-cn-x.aliyuncs.com"}, "which does not support OSS V4"),
    ],
)
def test_invalid_value_is_reported_at_its_field(
    office: Site, any_store: RunningStore, changes: dict[str, str], text: str
) -> None:
    for action in ("", "test"):
        response = office.post("/stores/new/", form(any_store, action=action, **changes))
        assert response.status == 400
        assert text in html.unescape(response.text)
    assert not Store.objects.exists()


# --- Testing before saving --------------------------------------------------------------------------------------------


def test_connection_test_reports_what_works_and_saves_nothing(
    office: Site, any_store: RunningStore, bucket: str
) -> None:
    page = office.post("/stores/new/", to_test(any_store, buckets=bucket))
    assert page.status == 200
    assert "The store works with these values" in page.text
    assert bucket in page.text
    assert "no upload was listed" in page.text
    assert "Enter secrets again before you save" in page.text
    assert any_store.secret_key not in page.text
    # The entered values stay in the form.
    assert f'value="{any_store.endpoint_url}"' in page.text
    assert not Store.objects.exists()
    [entry] = AuditEntry.objects.all()
    assert (entry.action, entry.actor_name) == ("store.tested", "ada")
    assert entry.detail == {"endpoint_url": any_store.endpoint_url}


def test_live_test_returns_only_the_result(office: Site, any_store: RunningStore, bucket: str) -> None:
    part = live_test(office, "/stores/new/", to_test(any_store, buckets=bucket))
    assert part.status == 200
    assert part.text.lstrip().startswith("<section")
    assert 'data-verdict="good"' in part.text
    assert "Enter secrets again" not in part.text
    invalid = live_test(office, "/stores/new/", to_test(any_store, name="", buckets="../x"))
    assert 'href="#id_name"' in invalid.text
    assert "Named buckets" in invalid.text
    assert "Nothing was sent to the store" in invalid.text


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"secret_key": "wrong"}, ["does not accept the credentials", "SignatureDoesNotMatch", "request id"]),
        ({"region": "eu-x"}, ["in another region", "Set Region to us-east-1."]),
        ({"endpoint_url": "http://127.0.0.1:1"}, ["This is not an S3 endpoint"]),
        ({"buckets": "no-such-bucket"}, ["There is no such bucket", "NoSuchBucket"]),
    ],
)
def test_failure_is_explained(office: Site, any_store: RunningStore, changes: dict[str, str], texts: list[str]) -> None:
    part = live_test(office, "/stores/new/", to_test(any_store, **changes))
    assert 'data-verdict="bad"' in part.text
    for text in texts:
        assert text in part.text


NO_UPLOADS = respond(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
NO_BUCKETS = b"<ListAllMyBucketsResult></ListAllMyBucketsResult>"
BUCKETS = respond(200, NO_BUCKETS)


@pytest.mark.parametrize(
    ("script", "verdict", "text"),
    [
        ([error(403, "AccessDenied"), NO_UPLOADS], "partly", "Enter the buckets in Named buckets"),
        ([BUCKETS, error(501, "NotImplemented")], "bad", "can be opened by key and upload id without a list"),
        ([BUCKETS, error(403, "SecondLevelDomainForbidden")], "bad", "Set Addressing to virtual-hosted."),
        ([error(403, "RequestTimeTooSkewed")], "bad", "The clocks differ too much"),
    ],
)
def test_field_that_fixes_the_failure_is_named(
    office: Site, any_store: RunningStore, script: list[Any], verdict: str, text: str
) -> None:
    with FaultServer(*script) as server:
        data = to_test(any_store, provider="generic", endpoint_url=server.url, buckets="mine")
        part = live_test(office, "/stores/new/", data)
    assert f'data-verdict="{verdict}"' in part.text
    assert text in part.text


def test_endpoint_that_follows_from_the_region_is_named_with_it(any_store: RunningStore) -> None:
    """The response of a cloud store is made by hand."""
    from datetime import timedelta

    from dashboard.stores.connection_report import report_of
    from uploads.objectstore.errors import Reason, Refused
    from uploads.services.stores.connection_test import ConnectionTest, Step

    refused = Refused("no", code="PermanentRedirect", status=301, reason=Reason.WRONG_REGION, region="eu-west-1")
    steps = [Step("ListBuckets", count=1), Step("ListMultipartUploads", "mine", error=refused)]
    result = ConnectionTest("aws", "eu-x", "https://s3.eu-x.amazonaws.com", "virtual", tuple(steps), (), timedelta())
    fix = report_of(result).steps[1].fix
    assert fix == "Set Region to eu-west-1 and Endpoint URL to https://s3.eu-west-1.amazonaws.com."


def test_unknown_host_of_a_bucket_suggests_path_addressing(office: Site, any_store: RunningStore) -> None:
    """Swift listens at 127.0.0.1, and no name below that resolves, as with many private stores."""
    data = to_test(any_store, addressing="virtual", buckets="mine")
    part = live_test(office, "/stores/new/", data)
    assert "Set Addressing to path" in part.text


def test_different_clocks_are_reported(office: Site, any_store: RunningStore) -> None:
    with FaultServer(respond(200, NO_BUCKETS, {"Date": "Sat, 01 Jan 2000 00:00:00 GMT"})) as server:
        part = live_test(office, "/stores/new/", to_test(any_store, endpoint_url=server.url))
    assert "clock is" in part.text
    assert "behind this machine" in html.unescape(part.text)
    assert "Enter a bucket to test it there" in part.text


def test_edit_is_tested_with_the_stored_secret_at_its_own_address_only(
    office: Site, store: Store, any_store: RunningStore
) -> None:
    url = f"/stores/{store.name}/edit/"
    here = live_test(office, url, to_test(any_store, secret_key=""))
    assert 'data-verdict="good"' in here.text or 'data-verdict="partly"' in here.text
    with FaultServer() as elsewhere:
        part = live_test(office, url, to_test(any_store, secret_key="", endpoint_url=elsewhere.url))
        saved = office.post(url, form(any_store, secret_key="", endpoint_url=elsewhere.url))
        assert elsewhere.received == []
    assert saved.status == 400
    for page in (part, saved):
        assert "never sent to an address that it was not entered for" in page.text
    store.refresh_from_db()
    assert store.endpoint_url == any_store.endpoint_url


def test_secrets_are_in_no_page_log_message_or_audit_entry(
    office: Site, store: Store, any_store: RunningStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    typed = {"secret_key": SECRET, "session_token": SESSION_TOKEN}
    url = f"/stores/{store.name}/edit/"
    pages = [
        office.post("/stores/new/", to_test(any_store, **typed)),
        live_test(office, "/stores/new/", to_test(any_store, **typed)),
        office.post(url, to_test(any_store, **typed)),
        office.post(url, form(any_store, **typed, endpoint_url="x")),
        office.post(url, form(any_store, **typed)),
        office.get("/stores/"),
        office.get("/audit/"),
        office.get(url),
    ]
    for page in pages:
        assert SECRET not in page.text
        assert SESSION_TOKEN not in page.text
    kept = caplog.text + str(list(AuditEntry.objects.values()))
    assert SECRET not in kept
    assert SESSION_TOKEN not in kept


def test_only_administrators_test_and_switch_stores(site: Site, store: Store, any_store: RunningStore) -> None:
    with FaultServer() as server:
        data = to_test(any_store, endpoint_url=server.url)
        assert site.post("/stores/new/", data).status == 403
        assert site.post(f"/stores/{store.name}/edit/", data).status == 403
        assert server.received == []
    for url in (f"/stores/{store.name}/disable/", f"/stores/{store.name}/enable/"):
        assert site.get(url).status == 403
        assert site.post(url, {}).status == 403
    store.refresh_from_db()
    assert store.enabled


# --- The list ---------------------------------------------------------------------------------------------------------


def test_list_shows_the_result_of_the_last_check(
    office: Site, store: Store, make_store: Callable[..., Store], django_assert_max_num_queries: Any
) -> None:
    failed = {"name": "n", "group": "parts", "observed": {"code": "PartNotReplaced"}, "verdict": "failed"}
    StoreCheck.objects.create(store=store, bucket="b", state="done", results=[failed])
    StoreCheck.objects.create(store=store, bucket="b", state="done", results=[failed, failed | {"name": "m"}])
    StoreCheck.objects.create(store=make_store(name="fine"), bucket="b", state="done")
    make_store(name="fresh")
    with django_assert_max_num_queries(10):
        page = office.get("/stores/")
    shown = re.findall(r"<span\s*>\s*([^<]*\battention)\s*</span>|>(not checked yet)<", page.text)
    assert [a or b for a, b in shown] == ["nothing needs attention", "not checked yet", "2 need attention"]


# --- Concurrent edits, and overrides ----------------------------------------------------------------------------------


def test_second_of_two_edits_is_refused_once_and_can_then_replace_the_first(
    office: Site, store: Store, any_store: RunningStore
) -> None:
    url = f"/stores/{store.name}/edit/"
    mine, theirs = seen(office.get(url)), seen(office.get(url))
    assert office.post(url, form(any_store, region="first", seen=theirs)).status == 303
    late = office.post(url, form(any_store, region="second", seen=mine))
    assert late.status == 409
    assert "Changed in the meantime by ada" in late.text
    assert re.search(r"Changed fields:\s*<span translate=\"no\">region</span>", late.text)
    assert 'value="second"' in late.text
    store.refresh_from_db()
    assert store.region == "first"
    assert office.post(url, form(any_store, region="second", seen=seen(late))).status == 303
    store.refresh_from_db()
    assert store.region == "second"


def test_form_with_an_invalid_version_is_refused(office: Site, store: Store, any_store: RunningStore) -> None:
    response = office.post(f"/stores/{store.name}/edit/", form(any_store, region="x", seen="yesterday"))
    assert response.status == 400
    assert "Open this form again" in response.text


def test_removed_overrides_are_reported(office: Site, store: Store, any_store: RunningStore) -> None:
    Store.objects.update(overrides={"delimiter": "broken"})
    url = f"/stores/{store.name}/edit/"
    office.post(url, form(any_store, region="us-east-1"))
    assert "overrides of its profile were removed" not in office.get(f"/stores/{store.name}/").text
    office.post(url, form(any_store, provider="generic"))
    assert "overrides of its profile were removed" in office.get(f"/stores/{store.name}/").text


# --- Disabled ---------------------------------------------------------------------------------------------------------


def test_store_is_disabled_and_enabled_after_an_explanation(
    office: Site, store: Store, operator: User, make_store: Callable[..., Store]
) -> None:
    make_store(name="other")
    site = Site(Client(enforce_csrf_checks=True), store.name, "any")
    site.client.force_login(operator)
    url = f"/stores/{store.name}/disable/"
    page = office.get(url)
    assert "Active work continues." in page.text
    assert "Active transfers" in page.text
    assert Store.objects.get(pk=store.pk).enabled
    assert office.client.post(url).status_code == 403, "without the CSRF token"

    assert office.post(url, {}).status == 303
    listed = office.get("/stores/")
    assert f"The store {store.name} is now disabled." in listed.text
    assert f'href="/stores/{store.name}/enable/"' in listed.text
    assert office.post(url, {}).status == 303
    assert "is already disabled" in office.get("/stores/").text
    assert AuditEntry.objects.filter(action="store.disabled").count() == 1
    assert site.get(f"/stores/{store.name}/").status == 404
    assert store.name not in re.findall(r'<th scope="row"><a href="/stores/([^/]*)/"', site.get("/stores/").text)
    assert "Operators do not see this store" in office.get(f"/stores/{store.name}/edit/").text

    assert "Operators see the store" in office.get(f"/stores/{store.name}/enable/").text
    office.post(f"/stores/{store.name}/enable/", {})
    assert site.get(f"/stores/{store.name}/").status == 200


def test_saving_a_disabled_store_does_not_enable_it(office: Site, store: Store, any_store: RunningStore) -> None:
    Store.objects.update(enabled=False)
    assert office.post(f"/stores/{store.name}/edit/", form(any_store, region="x")).status == 303
    store.refresh_from_db()
    assert (store.region, store.enabled) == ("x", False)


def test_file_being_received_continues_and_is_resumed_once_the_store_is_enabled(
    store: Store, bucket: str, operator: User, operator_client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.STAGING_DIR = tmp_path / "staging"
    tus = Tus(operator_client)
    names: dict[str, Any] = {
        "store": store.name,
        "bucket": bucket,
        "key": "arriving",
        "filename": "f",
        "fingerprint": "f-1",
    }
    url = tus.create(30, b"0123456789", headers={"Content_Type": CONTENT_TYPE}, **names)["Location"]
    set_enabled(None, store, enabled=False)
    assert tus.patch(url, 10, b"0123456789").status_code == 204
    assert tus.offset(url) == 20
    assert operator_client.get(f"/transfers/{url.rsplit('/', 1)[-1]}/").status_code == 200
    for again in (names, names | {"key": "another", "fingerprint": "f-2"}):
        refused = tus.create(30, **again)
        assert refused.status_code == 400
        assert refused.json()["fields"]["store"] == "There is no such store, or it is disabled."
    set_enabled(None, store, enabled=True)
    resumed = tus.create(30, **names)
    assert (resumed["Location"], resumed["Upload-Offset"]) == (url, "20")
