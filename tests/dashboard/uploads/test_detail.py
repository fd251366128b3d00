"""One upload: its parts, the confirmation pages of an abort and a completion, the requests, the operation's page."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.shared.parameters import write_upload
from tests.dashboard.conftest import Start
from tests.dashboard.pages import Site
from tests.services.sweeps.make import upload_row
from tests.stores.any_store import ON_SWIFT
from uploads.domain.states import ItemState
from uploads.models import (
    AuditEntry,
    InventoryBucket,
    InventoryUpload,
    Operation,
    OperationItem,
    Store,
    StoreUpload,
    Transfer,
)
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import CompletedPart, UploadRef
from uploads.services.operations.run import run_item

PART = 5 * 1024**2

HOSTILE_KEYS = (
    "plain/key.bin",
    "with space/and  two ",
    " leading space",
    "//double//slash",
    "a+b",
    "a%2Fb%25",
    "a?b#c&d=e;f",
    "quote'\"`",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ key }}{% now %}",
    "Zürich/東京/🎞",
    "x" * 1000,
    "\u202egnp.exe\u200b",
    "back\\slash",
    "../dots/./..",
)


def run_items() -> None:
    """Do the work of the workers."""
    for item_id in OperationItem.objects.filter(state=ItemState.ORDERED).values_list("pk", flat=True):
        run_item(item_id)


def listed(object_store: ObjectStoreClient, bucket: str) -> set[UploadRef]:
    page = object_store.list_multipart_uploads(bucket)
    return {UploadRef(upload.key, upload.upload_id) for upload in page.uploads}


# --- Keys ---------------------------------------------------------------------------------------------------------


@ON_SWIFT
@pytest.mark.parametrize("key", HOSTILE_KEYS, ids=range(len(HOSTILE_KEYS)))
def test_key_is_exact_from_row_to_detail_to_abort(
    site: Site, start: Start, object_store: ObjectStoreClient, key: str
) -> None:
    name, decoy = start(key, {1: 10}), start("decoy")
    page = site.listing()
    assert name in page.rows
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text
    index = page.rows.index(name)
    detail = site.get(page.details[index])
    assert detail.status == 200
    assert name.upload_id in detail.words
    confirmation = site.get(detail.href("Abort"))
    assert confirmation.status == 200
    (value,) = confirmation.hidden_uploads
    requested = site.post(site.links.abort_form, {"upload": value})
    assert requested.status == 303
    item = OperationItem.objects.get()
    assert (item.key, item.upload_id) == (name.key, name.upload_id)
    run_items()
    assert listed(object_store, site.bucket) == {decoy}


def test_line_feed_survives_links_and_forms(site: Site) -> None:
    """Swift refuses such a key, but links and forms must keep it."""
    name = UploadRef("line\nfeed\r\ttab", "aWQ")
    gone = site.get(site.links.detail(name))
    assert gone.status == 404
    assert "␊" in gone.text
    assert "line%0Afeed%0D%09tab" in gone.text
    site.post(site.links.abort_form, {"upload": write_upload(name)})
    assert OperationItem.objects.get().key == name.key


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "key is missing"),
        ("key=a", "upload-id is missing"),
        ("upload-id=a", "key is missing"),
        ("key=" + "x" * 1025 + "&upload-id=a", "at most 1,024"),
        ("key=a%00&upload-id=a", "NUL"),
        ("key=%ff&upload-id=a", "UTF-8"),
        ("key=a&key=b&upload-id=a", "allowed once"),
        ("upload=abc", "percent-encoded"),
        ("upload=a/b/c", "percent-encoded"),
        ("upload=%25ff/b", "UTF-8"),
        ("upload=a/", "upload-id is missing"),
    ],
)
@pytest.mark.parametrize("page", ["upload", "abort", "complete", "survey", "facts"])
def test_incomplete_or_invalid_name_is_refused(
    site: Site, store_requests: list[str], page: str, query: str, words: str
) -> None:
    urls = {
        "upload": site.links.detail_form,
        "abort": site.links.abort_form,
        "complete": site.links.complete_form,
        "survey": site.links.detail_form.replace("detail", "survey"),
        "facts": site.links.facts_base,
    }
    response = site.get(f"{urls[page]}?{query}")
    assert response.status == 400
    assert words in response.words
    assert store_requests == []


def test_posted_key_that_is_not_utf8_is_refused(site: Site) -> None:
    response = site.post(site.links.abort_form, {"key": "a\ufffd", "upload-id": "x"})
    assert response.status == 400
    assert "U+FFFD" in response.words
    assert not Operation.objects.exists()


# --- Detail -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("max-parts=0", "1 to 1,000"),
        ("max-parts=1001", "1 to 1,000"),
        ("max-parts=x", "1 to 1,000"),
        ("part-number-marker=-1", "0 to 10,000"),
        ("part-number-marker=10001", "0 to 10,000"),
        ("part-number-marker=two", "0 to 10,000"),
    ],
)
def test_bad_parameter_of_the_parts_is_refused(site: Site, store_requests: list[str], query: str, words: str) -> None:
    response = site.get(f"{site.links.detail_form}?key=a&upload-id=b&{query}")
    assert response.status == 400
    assert words in response.words
    assert store_requests == []


def test_parts_are_paged_by_their_numbers(site: Site, start: Start, store_requests: list[str]) -> None:
    name = start("key", dict.fromkeys([1, 2, 4, 7, 10], 100))
    store_requests.clear()
    url, pages = site.links.detail(name, max_parts=2), []
    while url:
        pages.append(site.get(url))
        url = pages[-1].link("next")
    assert len(store_requests) == len(pages) == 3
    numbers = [cell.text for page in pages for cell in page.find("th", "text-num", scope="row")]
    assert numbers == ["1", "2", "4", "7", "10"]
    assert "Show all parts" in pages[0].words
    assert site.get(pages[2].link("first")).status == 200


def test_picture_shows_gaps_and_small_parts(site: Site, start: Start) -> None:
    name = start("key", {1: PART, 2: 100, 4: 10})
    detail = site.get(site.links.detail(name))
    for words in ("2 present", "1 missing", "1 too small", "Missing part numbers", "5.00 MiB"):
        assert words in detail.words
    fragment = site.get(site.links.part_summary(name))
    assert "Initiated" in fragment.words
    assert fragment.text.startswith('<div id="survey">')
    assert "1 missing" in site.get(site.links.detail(name, max_parts=1, survey=1)).words


def test_detail_as_json(site: Site, start: Start) -> None:
    name = start("a key", {1: 100, 3: 50})
    response = site.json(site.links.detail(name, max_parts=1)).json
    assert (response["Bucket"], response["Key"], response["UploadId"]) == (site.bucket, "a key", name.upload_id)
    assert (response["IsTruncated"], response["NextPartNumberMarker"], response["MaxParts"]) == (True, 1, 1)
    (part,) = response["Parts"]
    assert (part["PartNumber"], part["Size"]) == (1, 100)
    assert len(part["ETag"]) == 32
    assert part["LastModified"].endswith("Z")


def test_upload_that_is_gone(site: Site, start: Start, object_store: ObjectStoreClient) -> None:
    name = start("key")
    object_store.abort_multipart_upload(site.bucket, name.key, name.upload_id)
    for url in (site.links.detail(name), site.links.abort(name), site.links.complete(name)):
        page = site.get(url)
        assert page.status == 404
        assert "No such upload" in page.words
        assert "or the key or the upload id is wrong" in page.words
        assert page.href("To the list of uploads") == site.links.uploads
        error = site.json(url).json["error"]
        assert error["code"] == "NoSuchUpload"


@pytest.mark.parametrize("page", ["detail", "abort", "complete", "facts", "part_summary"])
def test_page_that_finds_an_upload_gone_notes_it_in_the_inventory(
    site: Site, start: Start, store: Store, object_store: ObjectStoreClient, page: str
) -> None:
    name, other = start("key"), start("key")
    for each in (name, other):
        upload_row(store, site.bucket, each).save()
    object_store.abort_multipart_upload(site.bucket, name.key, name.upload_id)
    for each in (name, other):
        site.get(getattr(site.links, page)(each))
    ended = InventoryUpload.objects.get(ended_at__isnull=False)
    assert (ended.upload_id, ended.ended_how) == (name.upload_id, "elsewhere")
    assert InventoryBucket.objects.get().changed_at is not None


def test_open_form_leads_to_the_upload(site: Site, start: Start, store: Store) -> None:
    name = start("a key/with+more")
    query = f"bucket={site.bucket}&key={quote(name.key, safe='')}&upload-id={name.upload_id}"
    found = site.get(f"/stores/{store.name}/open/?{query}")
    assert found.status == 303
    assert site.get(found.response["Location"]).status == 200


# --- Abort --------------------------------------------------------------------------------------------------------


def test_abort_is_confirmed_and_shows_what_is_lost(site: Site, start: Start) -> None:
    name = start("key", {1: 1000, 2: 24})
    page = site.get(site.links.abort(name))
    for words in ("Its 2 parts (1.00 KiB)", "within the last hour", name.upload_id):
        assert words in page.words
    assert not Operation.objects.exists()


def test_abort_of_a_selection(
    site: Site, start: Start, object_store: ObjectStoreClient, store_requests: list[str]
) -> None:
    names = [start(f"key {number}") for number in range(5)]
    values = [write_upload(name) for name in names[:3]]
    store_requests.clear()
    confirmation = site.post(site.links.abort_form, {"ask": "1", "upload": values})
    assert confirmation.status == 200
    assert "Abort 3 uploads?" in confirmation.words
    assert confirmation.hidden_uploads == values
    assert store_requests == []
    assert not Operation.objects.exists()
    requested = site.post(site.links.abort_form, {"upload": confirmation.hidden_uploads})
    assert requested.status == 303
    run_items()
    assert listed(object_store, site.bucket) == set(names[3:])
    page = site.get(requested.response["Location"])
    assert "Abort of 3 uploads" in page.words
    assert "3 of 3 finished" in page.words
    assert "hx-trigger" not in page.text
    assert AuditEntry.objects.filter(action="abort.done", actor_name="olga").count() == 3


def test_page_of_1000_uploads_can_be_selected(site: Site) -> None:
    """Keys of 1,024 bytes of UTF-8 make the longest possible form. The confirmation sends no request to the store."""
    values = [write_upload(UploadRef(f"{number:04}" + "ü" * 510, "i" * 60)) for number in range(1000)]
    confirmation = site.post(site.links.abort_form, {"ask": "1", "upload": values})
    assert confirmation.status == 200
    assert confirmation.hidden_uploads == values
    requested = site.post(site.links.abort_form, {"upload": values})
    assert requested.status == 303
    assert OperationItem.objects.count() == 1000
    page = site.get(requested.response["Location"])
    assert page.text.count("<tr>") < 60
    assert page.find("div", data_poll="1")
    too_many = site.post(site.links.abort_form, {"upload": [*values, "a/b"]})
    assert too_many.status == 400
    assert "At most 1,000" in too_many.words


def test_abort_as_json_without_a_worker_is_accepted(site: Site, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.operations.pages.PATIENCE_SECONDS", 0.2)
    name = start("key")
    requested = site.post(site.links.abort_form, {"key": name.key, "upload-id": name.upload_id}, json=True)
    assert requested.status == 202
    url = f"/operations/{requested.json['id']}/"
    assert requested.response["Location"] == requested.json["url"] == url
    assert requested.json["state"] == "running"
    again = site.post(site.links.abort_form, {"key": name.key, "upload-id": name.upload_id}, json=True)
    assert again.json["id"] == requested.json["id"]
    run_items()
    done = site.json(url)
    assert (done.status, done.json["state"]) == (200, "done")
    outcome = done.json["Uploads"][0]["outcome"]
    assert outcome == {"repeats": 1, "already_gone": False, "request_id": outcome["request_id"]}


def test_abort_as_json_reports_the_outcome_if_it_is_known_soon(
    site: Site, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.operations.pages.time.sleep", lambda _: run_items())
    name = start("key")
    response = site.post(site.links.abort_form, {"key": name.key, "upload-id": name.upload_id}, json=True)
    assert (response.status, response.json["state"]) == (200, "done")


@pytest.fixture
def owned(site: Site, start: Start, store: Store, operator: User) -> UploadRef:
    """An upload that a live transfer of this operator owns."""
    name = start("owned", {1: 10})
    transfer = Transfer.objects.create(
        owner=operator, store=store, bucket=site.bucket, key=name.key, size=20, part_size=10, part_count=2, node="n"
    )
    StoreUpload.objects.create(transfer=transfer, upload_id=name.upload_id)
    return name


def test_upload_that_a_transfer_owns_is_neither_aborted_nor_completed(site: Site, owned: UploadRef) -> None:
    transfer = Transfer.objects.get()
    for url in (site.links.detail(owned), site.links.abort(owned), site.links.complete(owned)):
        page = site.get(url)
        assert page.status == 200
        assert page.href("open the transfer") == f"/transfers/{transfer.pk}/"
    assert f"/transfers/{transfer.pk}/" in site.listing().text
    for url in (site.links.abort_form, site.links.complete_form):
        fields = {"upload": write_upload(owned), "parts-seen": "0" * 64}
        assert site.post(url, fields).status == 409
        response = site.post(url, fields, json=True)
        assert (response.status, response.json["error"]["code"]) == (409, "OwnedByTransfer")
    assert not Operation.objects.exists()


# --- Complete -----------------------------------------------------------------------------------------------------


def test_complete_shows_the_object_and_what_it_replaces(
    site: Site, start: Start, object_store: ObjectStoreClient
) -> None:
    object_store.put_object(site.bucket, "key", None)
    name = start("key", {1: PART, 2: 100})
    page = site.get(site.links.complete(name))
    for words in (
        "Resulting object",
        "Current object at this key",
        "will be replaced",
        "d41d8cd98f00b204e9800998ecf8427e",
    ):
        assert words in page.words
    assert "5,242,980 bytes" in page.text
    assert [each.text for each in page.find("span", "mono") if each.text.endswith("-2")]
    assert not page.find("button", "btn-primary")[0].has("disabled")
    requested = site.post(site.links.complete_form, page.fields)
    run_items()
    done = site.get(requested.response["Location"])
    assert "HEAD confirmed the object" in done.words
    assert object_store.head_object(site.bucket, "key").size == PART + 100


@ON_SWIFT
def test_upload_completed_by_partway_is_gone_although_swift_still_lists_its_parts(
    site: Site, start: Start, object_store: ObjectStoreClient
) -> None:
    name = start("key", {1: 100})
    fields = site.get(site.links.complete(name)).fields
    operation = site.post(site.links.complete_form, fields).response["Location"]
    run_items()
    assert object_store.list_parts(site.bucket, name.key, name.upload_id).parts
    for url in (site.links.detail(name), site.links.abort(name), site.links.complete(name)):
        page = site.get(url)
        assert page.status == 404
        assert page.href("the operation and its outcome") == operation
        assert site.json(url).json["error"]["code"] == "NoSuchUpload"
    assert site.listing().rows == []


@ON_SWIFT
def test_upload_completed_by_another_program_is_shown_as_unlisted(
    site: Site, start: Start, object_store: ObjectStoreClient
) -> None:
    name = start("key", {1: 100})
    assert "does not show this upload" not in site.get(site.links.part_summary(name)).words
    (part,) = object_store.list_parts(site.bucket, name.key, name.upload_id).parts
    object_store.complete_multipart_upload(site.bucket, name.key, name.upload_id, [CompletedPart(1, part.etag)])
    assert "does not show this upload" in site.get(site.links.part_summary(name)).words


def test_complete_is_blocked_if_the_store_would_refuse(site: Site, start: Start) -> None:
    page = site.get(site.links.complete(start("small", {1: 100, 2: 100})))
    assert "The store would refuse this" in page.words
    assert page.find("button", "btn-primary")[0].has("disabled")
    empty = site.get(site.links.complete(start("empty")))
    assert "nothing to complete" in empty.words


def test_gap_needs_explicit_consent(site: Site, start: Start, object_store: ObjectStoreClient) -> None:
    name = start("gap", {1: PART, 3: 100})
    page = site.get(site.links.complete(name))
    (box,) = page.find("input", type="checkbox", name="gaps")
    assert box.get("value") == "2"
    seen = {"upload": write_upload(name), "parts-seen": page.find("input", name="parts-seen")[0].get("value")}
    for gaps in ({}, {"gaps": ""}, {"gaps": "1"}, {"gaps": "1-2"}, {"allow-gaps": "1"}):
        refused = site.post(site.links.complete_form, {**seen, **gaps})
        run_items()
        assert "GapNotAllowed" in site.get(refused.response["Location"]).words
    allowed = site.post(site.links.complete_form, {**seen, "gaps": "2"})
    run_items()
    assert "HEAD confirmed the object" in site.get(allowed.response["Location"]).words
    assert object_store.head_object(site.bucket, "gap").size == PART + 100


def test_complete_takes_only_one_upload(site: Site) -> None:
    response = site.post(site.links.complete_form, {"upload": ["a/b", "c/d"]})
    assert response.status == 400
    assert "one at a time" in response.words


# --- Operations ---------------------------------------------------------------------------------------------------


def test_poll_gets_the_fragment_and_ends(site: Site, start: Start, operator_client: Client) -> None:
    name = start("key")
    url = site.post(site.links.abort_form, {"upload": write_upload(name)}).response["Location"]
    fragment = site.get(url, **{"HX-Request": "true"})
    assert fragment.text.lstrip().startswith("<div")
    assert 'data-poll="1"' in fragment.text
    run_items()
    last = site.get(url, **{"HX-Request": "true"})
    assert "hx-trigger" not in last.text
    assert "The operation has finished: 1 done, 0 failed." in last.words


def test_failure_is_shown_with_code_and_request_id(site: Site, start: Start) -> None:
    name = start("key")
    url = site.post(site.links.abort_form, {"upload": write_upload(name)}).response["Location"]
    OperationItem.objects.update(
        state=ItemState.FAILED, error_code="AccessDenied", error_message="Not you.", error_request_id="tx123"
    )
    page = site.get(url)
    for words in ("AccessDenied", "Not you.", "tx123"):
        assert words in page.words
    assert site.json(url).json["Uploads"][0]["error"] == {
        "code": "AccessDenied",
        "message": "Not you.",
        "request_id": "tx123",
    }


def test_unknown_operation_is_404(site: Site) -> None:
    assert site.get("/operations/6e3aa0a2-6a0a-4f4f-9d3b-3c8a1c9d6f11/").status == 404
