"""Setting up stores: defaults on the page, testing before saving, two at once, disabling; secrets shown nowhere."""

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
from tests.stores.swift import SwiftStore
from uploads.models import AuditEntry, Store, StoreCheck
from uploads.objectstore import providers
from uploads.objectstore.providers import OVERRIDABLE, PROVIDERS, Provider, with_overrides
from uploads.objectstore.types import Addressing, Signature
from uploads.services.stores.settings import set_enabled
from uploads.staging.tus import CONTENT_TYPE

WITHOUT_TEXT = {"name", "label", "region_default", "endpoint_hint"}
SECRET = "a secret that was typed"
TOKEN_TYPED = "a token that was typed"


@pytest.fixture
def office(administrator_client: Client) -> Site:
    """The site as an administrator sees it."""
    return Site(administrator_client, "any", "any")


def form(swift_store: SwiftStore, **changes: str) -> dict[str, Any]:
    values = {
        "name": "new-store",
        "provider": "swift",
        "endpoint_url": swift_store.endpoint_url,
        "region": "",
        "access_key": swift_store.access_key,
        "secret_key": swift_store.secret_key,
        "buckets": "",
        "enabled": "on",
    }
    return values | changes


def trying(swift_store: SwiftStore, **changes: str) -> dict[str, Any]:
    return form(swift_store, action="test", **changes)


def live_test(office: Site, url: str, data: dict[str, Any]) -> Page:
    """The Test button as htmx presses it."""
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


def test_the_page_tells_each_providers_defaults_and_shows_the_chosen_one(office: Site, store: Store) -> None:
    page = office.get(f"/stores/{store.name}/edit/")
    panels = re.findall(r'<div class="provider-ways" data-provider="([^"]*)"[^>]*?( hidden)?>', page.text)
    assert [name for name, _ in panels] == list(PROVIDERS)
    assert [name for name, hidden in panels if not hidden] == ["swift"]
    assert "The provider&#x27;s: path" in page.text
    assert 'placeholder="https://swift.example.org"' in page.text
    again = office.post("/stores/new/", {"provider": "oss"})
    assert again.status == 400
    assert "The provider&#x27;s: OSS V4" in again.text
    assert 'data-endpoint="https://oss-REGION.aliyuncs.com"' in again.text


def test_a_form_without_endpoint_takes_the_providers(office: Site, swift_store: SwiftStore) -> None:
    added = office.post("/stores/new/", form(swift_store, provider="oss", endpoint_url="", region="cn-shanghai"))
    assert added.status == 303
    store = Store.objects.get()
    assert (store.endpoint_url, store.signature) == ("https://oss-cn-shanghai.aliyuncs.com", "oss4")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provider": "r2", "endpoint_url": ""}, "It is like https://ACCOUNT.r2.cloudflarestorage.com."),
        ({"provider": "oss", "signature": "sigv4", "endpoint_url": ""}, "Aliyun OSS takes OSS V4"),
        ({"provider": "aws", "region": "a/b", "endpoint_url": ""}, "no endpoint can be made from it"),
        ({"provider": "oss", "endpoint_url": "https://s3.oss-cn-x.aliyuncs.com"}, "which does not know OSS V4"),
    ],
)
def test_what_makes_no_sense_is_said_at_its_field(
    office: Site, swift_store: SwiftStore, changes: dict[str, str], words: str
) -> None:
    for action in ("", "test"):
        answer_ = office.post("/stores/new/", form(swift_store, action=action, **changes))
        assert answer_.status == 400
        assert words in html.unescape(answer_.text)
    assert not Store.objects.exists()


# --- Testing before saving --------------------------------------------------------------------------------------------


def test_a_test_says_what_works_and_saves_nothing(office: Site, swift_store: SwiftStore, bucket: str) -> None:
    page = office.post("/stores/new/", trying(swift_store, buckets=bucket))
    assert page.status == 200
    assert "The store works with these values" in page.text
    assert bucket in page.text
    assert "no upload in progress" in page.text
    assert "has to be typed again before saving" in page.text
    assert swift_store.secret_key not in page.text
    # What was typed stays in the form.
    assert f'value="{swift_store.endpoint_url}"' in page.text
    assert not Store.objects.exists()
    assert not AuditEntry.objects.exists()


def test_the_live_test_is_only_the_result(office: Site, swift_store: SwiftStore, bucket: str) -> None:
    part = live_test(office, "/stores/new/", trying(swift_store, buckets=bucket))
    assert part.status == 200
    assert part.text.lstrip().startswith("<section")
    assert 'data-verdict="good"' in part.text
    assert "typed again" not in part.text
    invalid = live_test(office, "/stores/new/", trying(swift_store, name="", buckets="../x"))
    assert 'href="#id_name"' in invalid.text
    assert "Named buckets" in invalid.text
    assert "Nothing was asked yet" in invalid.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret_key": "wrong"}, ["does not accept the credentials", "SignatureDoesNotMatch", "request id"]),
        ({"region": "eu-x"}, ["in another region", "Set Region to us-east-1."]),
        ({"endpoint_url": "http://127.0.0.1:1"}, ["cannot be reached"]),
        ({"buckets": "no-such-bucket"}, ["There is no such bucket", "NoSuchBucket"]),
    ],
)
def test_what_fails_is_explained(
    office: Site, swift_store: SwiftStore, changes: dict[str, str], said: list[str]
) -> None:
    part = live_test(office, "/stores/new/", trying(swift_store, **changes))
    assert 'data-verdict="bad"' in part.text
    for words in said:
        assert words in part.text


NO_UPLOADS = respond(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
NO_BUCKETS = b"<ListAllMyBucketsResult></ListAllMyBucketsResult>"
BUCKETS = respond(200, NO_BUCKETS)


@pytest.mark.parametrize(
    ("script", "verdict", "said"),
    [
        ([error(403, "AccessDenied"), NO_UPLOADS], "partly", "Name the buckets here"),
        ([BUCKETS, error(501, "NotImplemented")], "bad", "can be opened by key and upload id without a list"),
        ([BUCKETS, error(403, "SecondLevelDomainForbidden")], "bad", "Set Addressing to virtual-hosted."),
        ([error(403, "RequestTimeTooSkewed")], "bad", "The clocks differ too much"),
    ],
)
def test_the_field_that_mends_it_is_named(
    office: Site, swift_store: SwiftStore, script: list[Any], verdict: str, said: str
) -> None:
    with FaultServer(*script) as server:
        data = trying(swift_store, provider="generic", endpoint_url=server.url, buckets="mine")
        part = live_test(office, "/stores/new/", data)
    assert f'data-verdict="{verdict}"' in part.text
    assert said in part.text


def test_a_made_endpoint_is_named_with_the_region(swift_store: SwiftStore) -> None:
    """No real store of a cloud is asked: what one says of a region is told by hand."""
    from datetime import timedelta

    from dashboard.stores.connection_report import report_of
    from uploads.objectstore.errors import Reason, Refused
    from uploads.services.stores.connection_test import Step, Trial

    refused = Refused("no", code="PermanentRedirect", status=301, reason=Reason.WRONG_REGION, region="eu-west-1")
    asked = [Step("ListBuckets", count=1), Step("ListMultipartUploads", "mine", error=refused)]
    made = Trial("aws", "eu-x", "https://s3.eu-x.amazonaws.com", "virtual", tuple(asked), (), timedelta())
    fix = report_of(made).steps[1].fix
    assert fix == "Set Region to eu-west-1, and Endpoint URL to https://s3.eu-west-1.amazonaws.com."


def test_a_bucket_whose_host_is_not_found_asks_for_path_addressing(office: Site, swift_store: SwiftStore) -> None:
    """Swift answers at 127.0.0.1; no name below that resolves, as below many a store of one's own."""
    data = trying(swift_store, addressing="virtual", buckets="mine")
    part = live_test(office, "/stores/new/", data)
    assert "set Addressing to path" in part.text


def test_clocks_that_differ_are_said(office: Site, swift_store: SwiftStore) -> None:
    with FaultServer(respond(200, NO_BUCKETS, {"Date": "Sat, 01 Jan 2000 00:00:00 GMT"})) as server:
        part = live_test(office, "/stores/new/", trying(swift_store, endpoint_url=server.url))
    assert "clock is" in part.text
    assert "behind this machine" in html.unescape(part.text)
    assert "Name a bucket to try it there" in part.text


def test_an_edit_is_tested_with_the_stored_secret_and_nowhere_else(
    office: Site, store: Store, swift_store: SwiftStore
) -> None:
    url = f"/stores/{store.name}/edit/"
    here = live_test(office, url, trying(swift_store, secret_key=""))
    assert 'data-verdict="good"' in here.text or 'data-verdict="partly"' in here.text
    with FaultServer() as elsewhere:
        part = live_test(office, url, trying(swift_store, secret_key="", endpoint_url=elsewhere.url))
        saved = office.post(url, form(swift_store, secret_key="", endpoint_url=elsewhere.url))
        assert elsewhere.received == []
    assert saved.status == 400
    for page in (part, saved):
        assert "never used at an address that it was not entered for" in page.text
    store.refresh_from_db()
    assert store.endpoint_url == swift_store.endpoint_url


def test_secrets_are_in_no_page_log_message_or_audit_entry(
    office: Site, store: Store, swift_store: SwiftStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    typed = {"secret_key": SECRET, "session_token": TOKEN_TYPED}
    url = f"/stores/{store.name}/edit/"
    pages = [
        office.post("/stores/new/", trying(swift_store, **typed)),
        live_test(office, "/stores/new/", trying(swift_store, **typed)),
        office.post(url, trying(swift_store, **typed)),
        office.post(url, form(swift_store, **typed, endpoint_url="x")),
        office.post(url, form(swift_store, **typed)),
        office.get("/stores/"),
        office.get("/audit/"),
        office.get(url),
    ]
    for page in pages:
        assert SECRET not in page.text
        assert TOKEN_TYPED not in page.text
    kept = caplog.text + str(list(AuditEntry.objects.values()))
    assert SECRET not in kept
    assert TOKEN_TYPED not in kept


def test_only_administrators_test_and_switch(site: Site, store: Store, swift_store: SwiftStore) -> None:
    with FaultServer() as server:
        data = trying(swift_store, endpoint_url=server.url)
        assert site.post("/stores/new/", data).status == 403
        assert site.post(f"/stores/{store.name}/edit/", data).status == 403
        assert server.received == []
    for url in (f"/stores/{store.name}/disable/", f"/stores/{store.name}/enable/"):
        assert site.get(url).status == 403
        assert site.post(url, {}).status == 403
    store.refresh_from_db()
    assert store.enabled


# --- The list ---------------------------------------------------------------------------------------------------------


def test_the_list_says_how_the_last_check_ended(
    office: Site, store: Store, make_store: Callable[..., Store], django_assert_max_num_queries: Any
) -> None:
    failed = {"name": "n", "group": "parts", "title": "t", "said": "", "advice": "", "verdict": "failed"}
    StoreCheck.objects.create(store=store, bucket="b", state="done", results=[failed])
    StoreCheck.objects.create(store=store, bucket="b", state="done", results=[failed, failed | {"name": "m"}])
    StoreCheck.objects.create(store=make_store(name="fine"), bucket="b", state="done")
    make_store(name="fresh")
    with django_assert_max_num_queries(10):
        page = office.get("/stores/")
    said = re.findall(r"<span>([^<]*to look at)</span>|>(not checked yet)<", page.text)
    assert [a or b for a, b in said] == ["nothing to look at", "not checked yet", "2 to look at"]


# --- Two at once, and what a check found ------------------------------------------------------------------------------


def test_the_second_of_two_edits_is_told_and_may_then_replace(
    office: Site, store: Store, swift_store: SwiftStore
) -> None:
    url = f"/stores/{store.name}/edit/"
    mine, theirs = seen(office.get(url)), seen(office.get(url))
    assert office.post(url, form(swift_store, region="first", seen=theirs)).status == 303
    late = office.post(url, form(swift_store, region="second", seen=mine))
    assert late.status == 409
    assert "Changed meanwhile by ada" in late.text
    assert "(region)" in late.text
    assert 'value="second"' in late.text
    store.refresh_from_db()
    assert store.region == "first"
    assert office.post(url, form(swift_store, region="second", seen=seen(late))).status == 303
    store.refresh_from_db()
    assert store.region == "second"


def test_a_form_that_says_no_state_it_was_read_in_is_refused(
    office: Site, store: Store, swift_store: SwiftStore
) -> None:
    answer_ = office.post(f"/stores/{store.name}/edit/", form(swift_store, region="x", seen="yesterday"))
    assert answer_.status == 400
    assert "Open this form anew" in answer_.text


def test_forgetting_what_a_check_found_is_said(office: Site, store: Store, swift_store: SwiftStore) -> None:
    Store.objects.update(overrides={"delimiter": "broken"})
    url = f"/stores/{store.name}/edit/"
    office.post(url, form(swift_store, region="us-east-1"))
    assert "was forgotten" not in office.get(f"/stores/{store.name}/").text
    office.post(url, form(swift_store, provider="generic"))
    assert "was forgotten" in office.get(f"/stores/{store.name}/").text


# --- Disabled ---------------------------------------------------------------------------------------------------------


def test_a_store_is_disabled_and_enabled_with_what_it_means(
    office: Site, store: Store, operator: User, make_store: Callable[..., Store]
) -> None:
    make_store(name="other")
    site = Site(Client(enforce_csrf_checks=True), store.name, "any")
    site.client.force_login(operator)
    url = f"/stores/{store.name}/disable/"
    asked = office.get(url)
    assert "goes on to its end" in asked.text
    assert "Transfers under way" in asked.text
    assert Store.objects.get(pk=store.pk).enabled
    assert office.client.post(url).status_code == 403, "without the token of a form of ours"

    assert office.post(url, {}).status == 303
    listed = office.get("/stores/")
    assert f"The store {store.name} is disabled now." in listed.text
    assert f'href="/stores/{store.name}/enable/"' in listed.text
    assert office.post(url, {}).status == 303
    assert "was disabled already" in office.get("/stores/").text
    assert AuditEntry.objects.filter(action="store.disabled").count() == 1
    assert site.get(f"/stores/{store.name}/").status == 404
    assert store.name not in re.findall(r'<th scope="row"><a href="/stores/([^/]*)/"', site.get("/stores/").text)
    assert "operators do not see this store" in office.get(f"/stores/{store.name}/edit/").text

    assert "Operators see the store" in office.get(f"/stores/{store.name}/enable/").text
    office.post(f"/stores/{store.name}/enable/", {})
    assert site.get(f"/stores/{store.name}/").status == 200


def test_saving_a_disabled_store_does_not_enable_it(office: Site, store: Store, swift_store: SwiftStore) -> None:
    Store.objects.update(enabled=False)
    assert office.post(f"/stores/{store.name}/edit/", form(swift_store, region="x")).status == 303
    store.refresh_from_db()
    assert (store.region, store.enabled) == ("x", False)


def test_a_file_that_arrives_goes_on_and_is_taken_up_again_once_the_store_is_enabled(
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
        assert "not enabled" in refused.json()["fields"]["store"]
    set_enabled(None, store, enabled=True)
    taken_up = tus.create(30, **names)
    assert (taken_up["Location"], taken_up["Upload-Offset"]) == (url, "20")
