"""Pages of stores: the list, adding and changing stores, secrets that are never shown, and buckets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.dashboard.pages import Site
from tests.stores.running import RunningStore
from uploads.models import AuditEntry, Store
from uploads.objectstore.errors import Reason, Refused
from uploads.services.browse import browsing


def form(any_store: RunningStore, **changes: str) -> dict[str, Any]:
    values = {
        "name": "new-store",
        "provider": "swift",
        "endpoint_url": any_store.endpoint_url,
        "region": "",
        "addressing": "",
        "payload_signing": "unsigned",
        "access_key": any_store.access_key,
        "secret_key": any_store.secret_key,
        "session_token": "",
        "ca_bundle": "",
        "buckets": "",
        "enabled": "on",
    }
    return values | changes


def test_new_store_gets_the_defaults_of_its_provider(office: Site, any_store: RunningStore) -> None:
    added = office.post("/stores/new/", form(any_store, buckets="one\n\n two \none"))
    assert (added.status, added.response["Location"]) == (303, "/stores/new-store/")
    store = Store.objects.get()
    assert (store.region, store.addressing, store.secret_key) == ("us-east-1", "path", any_store.secret_key)
    assert [bucket.name for bucket in store.named_buckets.all()] == ["one", "two"]
    assert AuditEntry.objects.get(action="store.added").actor_name == "ada"
    assert "was added" in office.get("/stores/new-store/").text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "Upper"}, "Use lower-case letters"),
        ({"name": "new"}, "the name of a page"),
        ({"name": ""}, "required"),
        ({"endpoint_url": "ftp://host"}, "http or https"),
        ({"endpoint_url": "https://"}, "http or https"),
        ({"endpoint_url": "https://user:pw@host"}, "without credentials"),
        ({"endpoint_url": "https://host/?x=1"}, "without credentials"),
        ({"endpoint_url": "https://host:99999"}, "http or https"),
        ({"secret_key": ""}, "required"),
        ({"access_key": ""}, "required"),
        ({"buckets": "../up"}, "not a bucket name"),
        ({"provider": "nobody"}, "Select a valid choice"),
    ],
)
def test_invalid_form_is_shown_again_and_nothing_is_stored(
    office: Site, any_store: RunningStore, changes: dict[str, str], text: str
) -> None:
    response = office.post("/stores/new/", form(any_store, **changes))
    assert response.status == 400
    assert text in response.text
    assert not Store.objects.exists()


def test_existing_name_is_refused(office: Site, store: Store, any_store: RunningStore) -> None:
    response = office.post("/stores/new/", form(any_store, name=store.name))
    assert "A store with this name already exists." in response.text


def test_secrets_are_kept_and_never_shown(office: Site, store: Store, any_store: RunningStore) -> None:
    store.session_token = "a session token"
    store.save()
    url = f"/stores/{store.name}/edit/"
    page = office.get(url)
    assert any_store.secret_key not in page.text
    assert "a session token" not in page.text
    saved = office.post(url, form(any_store, name="other", secret_key="", region="eu-x"))
    assert saved.status == 303
    store.refresh_from_db()
    assert (store.name, store.region) == ("main", "eu-x")
    assert (store.secret_key, store.session_token) == (any_store.secret_key, "a session token")
    office.post(url, form(any_store, secret_key="another", clear_session_token="on"))
    store.refresh_from_db()
    assert (store.secret_key, store.session_token) == ("another", "")
    wrong = office.post(url, form(any_store, secret_key="typed secret", endpoint_url="x"))
    assert "typed secret" not in wrong.text


def test_only_administrators_change_stores(site: Site, store: Store, any_store: RunningStore) -> None:
    for url in ("/stores/new/", f"/stores/{store.name}/edit/"):
        assert site.get(url).status == 403
        assert site.post(url, form(any_store)).status == 403
    assert "Add a store" not in site.get("/stores/").text
    assert Store.objects.count() == 1


def test_empty_list_of_stores(office: Site) -> None:
    assert "No stores yet" in office.get("/stores/").text


def test_buckets_of_a_store(site: Site, store: Store, store_requests: list[str]) -> None:
    page = site.get(f"/stores/{store.name}/")
    assert site.links.uploads in page.text
    assert len(store_requests) == 1


def test_named_buckets_are_shown_although_listing_is_refused(
    site: Site, make_store: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Swift has no such permission, so a refusal replaces its response."""

    def refuse(_: object) -> None:
        raise Refused("No.", code="AccessDenied", status=403, reason=Reason.PERMISSION, request_id="tx1")

    monkeypatch.setattr(browsing, "client_for", lambda _: type("Client", (), {"list_buckets": refuse})())
    make_store(name="narrow", buckets=("mine",))
    page = site.get("/stores/narrow/")
    assert page.status == 200
    assert "cannot list buckets" in page.text
    assert "/stores/narrow/mine/uploads/" in page.text
    assert "AccessDenied" in page.text


def test_unreachable_store_still_has_its_forms(site: Site, make_store: Callable[..., Store]) -> None:
    make_store(name="unreachable", endpoint_url="http://127.0.0.1:1")
    page = site.get("/stores/unreachable/")
    assert page.status == 502
    assert "cannot be reached" in page.text
    assert "Open a bucket by name" in page.text


@pytest.mark.parametrize("bucket", ["", "a", "../x", "a/b", "a b", ".x", "a%00"])
def test_invalid_bucket_name_is_refused(site: Site, store: Store, bucket: str) -> None:
    response = site.get(f"/stores/{store.name}/open/?bucket={bucket}")
    assert response.status == 400


def test_bucket_is_opened_by_name(site: Site, store: Store) -> None:
    response = site.get(f"/stores/{store.name}/open/?bucket=my.Bucket_1")
    assert response.response["Location"] == f"/stores/{store.name}/my.Bucket_1/uploads/"
