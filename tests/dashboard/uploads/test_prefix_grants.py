"""What a user sees of a bucket who was granted a role below some prefixes of it, on the embedded Swift."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.dashboard.conftest import Start
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import JSON, Page
from tests.grants import grant
from uploads.domain.roles import Role
from uploads.domain.states import ItemState, Phase
from uploads.models import Operation, OperationItem, Store, StoreUpload, Transfer
from uploads.objectstore.types import UploadRef

Sign = Callable[..., Client]
KEYS = ["a", "a/x/1", "a/y/2", "ab/3", "b/4", "c/d/5"]


@pytest.fixture
def uploads(start: Start) -> dict[str, UploadRef]:
    return {key: start(key) for key in KEYS}


@pytest.fixture
def below(db: None, store: Store, bucket: str) -> Sign:
    """Signs in a user with a role below the given prefixes of the bucket."""

    def sign_in(*prefixes: str, role: Role = Role.OPERATOR) -> Client:
        user = User.objects.create(username=f"user {prefixes} {role}")
        for prefix in prefixes:
            grant(user, role, store=store, bucket=bucket, prefix=prefix)
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def url(store: Store, bucket: str) -> str:
    return reverse("uploads", args=[store.name, bucket])


def listed(client: Client, url: str) -> tuple[list[str], list[str]]:
    """The keys and the folders of a listing."""
    body = client.get(url, headers=JSON).json()
    return [each["Key"] for each in body["Uploads"]], [each["Prefix"] for each in body["CommonPrefixes"]]


def prefixes_asked_for(store_requests: list[str]) -> set[str]:
    queries = [parse_qs(urlsplit(each.partition(" ")[2]).query, keep_blank_values=True) for each in store_requests]
    return {query.get("prefix", [""])[0] for query in queries if "uploads" in query}


@pytest.mark.usefixtures("uploads")
def test_one_prefix(below: Sign, url: str, store_requests: list[str]) -> None:
    client = below("a/")
    assert listed(client, url) == (["a/x/1", "a/y/2"], [])
    assert listed(client, f"{url}?delimiter=/") == ([], ["a/x/", "a/y/"])
    assert listed(client, f"{url}?prefix=a/x/") == (["a/x/1"], [])
    for outside in ("key-marker=b/4", "key-marker=0", "key-marker=b/4&upload-id-marker=u"):
        assert listed(client, f"{url}?{outside}") == (["a/x/1", "a/y/2"], []), "the first page"
    assert listed(client, f"{url}?max-uploads=1&key-marker=a/x/1") == (["a/y/2"], [])
    assert all(prefix.startswith("a/") for prefix in prefixes_asked_for(store_requests))
    for outside in ("b/", "ab/", "a.", "A/", "/a/"):
        del store_requests[:]
        assert client.get(f"{url}?prefix={quote(outside)}").status_code == 404
        assert client.get(f"{url}?prefix={quote(outside)}&whole-key=1", headers=JSON).status_code == 404
        assert store_requests == []


def test_listing_links_only_to_transfers_and_operations_that_the_user_may_see(
    below: Sign, url: str, store: Store, bucket: str, uploads: dict[str, UploadRef]
) -> None:
    other = User.objects.create(username="other")
    where: dict[str, Any] = {"bucket": bucket, "phase": Phase.FAILED}
    owning = make_transfer(other, store, key="a/x/1", upload_id=uploads["a/x/1"].upload_id, **where)
    Transfer.objects.filter(pk=owning.pk).update(phase=Phase.SENDING)
    lost = make_transfer(other, store, key="a/lost", upload_id="lost", **where)
    StoreUpload.objects.update(created_at=timezone.now() - timedelta(hours=1))
    operation = Operation.objects.create(kind="abort", actor=other, store=store, bucket=bucket)
    for key in ("a/y/2", "b/4"):
        OperationItem.objects.create(
            operation=operation, key=key, upload_id=uploads[key].upload_id, state=ItemState.DONE, outcome={}
        )
    limited, page = below("a/"), Page(below("").get(url))
    for thing in (f"/transfers/{owning.pk}/", f"/transfers/{lost.pk}/"):
        assert f'href="{thing}"' not in page.text
    assert f'href="/operations/{operation.pk}/"' in page.text
    page = Page(limited.get(url))
    assert page.text.count('class="badge"') == 2
    assert "aborted here" in page.words
    for each in (owning, lost, operation):
        assert str(each.pk) not in page.text
    grant(User.objects.get(username__contains="a/"), store=store, bucket=bucket, prefix="a/", all_transfers=True)
    page = Page(limited.get(url))
    for each in (owning, lost):
        assert f'href="/transfers/{each.pk}/"' in page.text


@pytest.mark.usefixtures("uploads")
def test_the_page_names_the_prefix_that_it_shows(below: Sign, url: str) -> None:
    page = Page(below("a/x/").get(f"{url}?delimiter=/"))
    assert page.status == 200
    assert 'name="prefix" value="a/x/"' in " ".join(page.text.split())
    for above in ("", "a/"):
        assert f"prefix={quote(above, safe='')}" in page.text or not above
    assert "b/4" not in page.text


@pytest.mark.usefixtures("uploads")
def test_several_prefixes_are_reached_through_folders(below: Sign, url: str, store_requests: list[str]) -> None:
    client = below("a/x/", "a/y/", "c/d/")
    assert listed(client, f"{url}?delimiter=/") == ([], ["a/", "c/"])
    assert listed(client, url) == ([], ["a/x/", "a/y/", "c/d/"])
    assert listed(client, f"{url}?delimiter=/&prefix=a/") == ([], ["a/x/", "a/y/"])
    assert prefixes_asked_for(store_requests) == set()
    page = Page(client.get(f"{url}?delimiter=/"))
    assert page.status == 200
    assert "c/" in page.words
    assert prefixes_asked_for(store_requests) == set()
    assert listed(client, f"{url}?delimiter=/&prefix=c/") == (["c/d/5"], [])
    assert prefixes_asked_for(store_requests) == {"c/d/"}


@pytest.mark.usefixtures("uploads")
def test_a_prefix_without_a_slash_matches_more(below: Sign, url: str) -> None:
    assert listed(below("a"), url)[0] == ["a", "a/x/1", "a/y/2", "ab/3"]


def test_pages_of_an_upload(
    below: Sign, store: Store, bucket: str, uploads: dict[str, UploadRef], store_requests: list[str]
) -> None:
    operator, viewer = below("a/"), below("a/", role=Role.VIEWER)
    inside, outside = uploads["a/x/1"], uploads["b/4"]

    def query(name: UploadRef) -> str:
        return f"?key={quote(name.key, safe='')}&upload-id={quote(name.upload_id, safe='')}"

    for name in ("upload", "facts", "survey", "abort", "complete"):
        page = reverse(name, args=[store.name, bucket])
        assert operator.get(page + query(inside)).status_code == 200, name
        del store_requests[:]
        assert operator.get(page + query(outside)).status_code == 404, name
        assert viewer.get(page + query(outside)).status_code == 404, name
        assert store_requests == [], name
    for name in ("abort", "complete"):
        page = reverse(name, args=[store.name, bucket])
        assert viewer.get(page + query(inside)).status_code == 403, name
        refused = viewer.post(page, {"key": inside.key, "upload-id": inside.upload_id}, headers=JSON)
        assert refused.status_code == 403, name
        assert "Operator" in refused.json()["error"]["message"]
        hidden = operator.post(page, {"key": outside.key, "upload-id": outside.upload_id})
        assert hidden.status_code == 404, name
    assert not Operation.objects.exists()
    opened = reverse("open-bucket", args=[store.name])
    for upload, status in ((inside, 303), (outside, 404)):
        values = {"bucket": bucket, "key": upload.key, "upload-id": upload.upload_id}
        assert operator.get(opened, values).status_code == status


def test_pages_offer_what_is_allowed(below: Sign, store: Store, bucket: str, uploads: dict[str, UploadRef]) -> None:
    page = reverse("upload", args=[store.name, bucket])
    name = uploads["a/x/1"]
    values = {"key": name.key, "upload-id": name.upload_id}
    offered = "Abort…"
    assert offered in Page(below("a/").get(page, values)).words
    assert offered not in Page(below("a/", role=Role.VIEWER).get(page, values)).words
    listing = reverse("uploads", args=[store.name, bucket])
    assert "Abort selected" in Page(below("a/x/").get(listing)).words
    viewer = Page(below("a/x/", role=Role.VIEWER).get(listing))
    assert "Abort selected" not in viewer.words
    assert not viewer.find("input", "form-check-input")


def test_one_key_outside_refuses_a_whole_selection(
    below: Sign, store: Store, bucket: str, uploads: dict[str, UploadRef]
) -> None:
    from dashboard.shared.parameters import write_upload

    chosen = {"upload": [write_upload(uploads[key]) for key in ("a/x/1", "b/4")]}
    refused = below("a/").post(reverse("abort", args=[store.name, bucket]), chosen)
    assert refused.status_code == 404
    assert not Operation.objects.exists()


def test_buckets(below: Sign, store: Store, bucket: str) -> None:
    page = Page(below("a/").get(reverse("store", args=[store.name])))
    assert [link.text for link in page.find("a") if "/uploads/" in link.get("href")] == [bucket]
    options = below("b/").get(reverse("new-transfer-buckets"), {"store": store.name}).content.decode()
    assert options.count("<option") == options.count(bucket) == 1
    assert below("c/").get(reverse("uploads", args=[store.name, "other-bucket"])).status_code == 404


def test_buckets_where_the_store_refuses_to_list_them(below: Sign, store: Store, bucket: str) -> None:
    client = below("a/")
    Store.objects.filter(pk=store.pk).update(endpoint_url="http://127.0.0.1:9")
    assert bucket in Page(client.get(reverse("store", args=[store.name]))).words


def test_transfers_to_keys_outside_are_refused(below: Sign, store: Store, bucket: str) -> None:
    client = below("a/")
    fields = {"store": store.name, "bucket": bucket, "size": "1"}
    check = reverse("new-transfer-check")
    assert client.post(check, fields | {"key": "a/new"}).status_code == 204
    for key in ("b/new", "a", "ab"):
        refused = client.post(check, fields | {"key": key})
        assert refused.status_code == 403, key
        assert "key" in refused.json()["fields"]
        existing = client.get(reverse("new-transfer-existing"), {"store": store.name, "bucket": bucket, "key": key})
        assert existing.status_code == 404
    assert client.post(check, fields | {"key": "a/new", "bucket": "other"}).status_code == 403
