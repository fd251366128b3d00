"""The form of a new transfer: its values, its errors, the plan, the current object at the key, and the page."""

from __future__ import annotations

import mimetypes
import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from dashboard.transfers.form import NewTransferForm, UploadMetadataForm
from dashboard.transfers.new import render_form
from dashboard.transfers.parsing import (
    MAX_METADATA_BYTES,
    base_name,
    guess_content_type,
    object_key,
    parse_metadata,
    parse_part_count,
    parse_part_size,
)
from tests.dashboard.pages import Page, Site
from tests.objectstore.fault_server import FaultServer, respond
from uploads.models import NamedBucket, Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice
from uploads.services.transfers.identity import object_metadata

NEW = "/transfers/new/"
NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True).filter(lambda name: not name.startswith("partway-"))
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=40).map(str.strip)


@pytest.fixture
def unreachable(db: None) -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def filled(user: User, **fields: str) -> NewTransferForm:
    data = {"store": "unreachable", "bucket": "photos", "filename": "cat.jpg"} | fields
    return NewTransferForm(user=user, data={name.replace("_", "-"): value for name, value in data.items()})


# --- Fields -----------------------------------------------------------------------------------------------------------


def test_only_the_required_fields(operator: User, unreachable: Store) -> None:
    form = filled(operator)
    assert form.is_valid(), form.errors
    values = form.values()
    assert (values.store, values.bucket, values.key, values.content_type) == (
        unreachable,
        "photos",
        "cat.jpg",
        "image/jpeg",
    )
    assert (values.part_size, values.part_count, values.metadata, values.replace) == (None, None, {}, False)


def test_all_fields(operator: User, unreachable: Store) -> None:
    form = filled(
        operator,
        key=" a//../b ",
        prefix="unused/",
        content_type='text/plain; charset="utf-8"',
        storage_class="STANDARD_IA",
        metadata="Owner: ops\r\n\r\nticket:  A: 1 ",
        part_size="16 MiB",
        replace="on",
    )
    assert form.is_valid(), form.errors
    values = form.values()
    assert values.key == " a//../b "
    assert values.content_type == 'text/plain; charset="utf-8"'
    assert values.metadata == {"owner": "ops", "ticket": "A: 1"}
    assert (values.storage_class, values.part_size, values.replace) == ("STANDARD_IA", 16 * 1024**2, True)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("store", "", "Select a store"),
        ("store", "unknown", "no such store"),
        ("bucket", "", "Enter a bucket"),
        ("bucket", "../other", "not a bucket name"),
        ("key", "x" * 1025, "1,025 bytes"),
        ("key", "a\0b", "ull"),
        ("prefix", "ü" * 510, "1,027 bytes"),
        ("content_type", "text", "type/subtype"),
        ("content_type", "text/plain\r\nx-amz-acl: public-read", "type/subtype"),
        ("content_type", "text/plän", "type/subtype"),
        ("storage_class", "COLD STORAGE", "letters, digits"),
        ("metadata", "no colon", "Line 1"),
        ("metadata", "a: 1\nb:", "Line 2"),
        ("metadata", "a b: 1", "Line 1"),
        ("metadata", "a: ü", "printable ASCII"),
        ("metadata", "a: 1\nA: 2", "twice"),
        ("metadata", "partway-transfer: 1", "reserved"),
        ("metadata", f"a: {'x' * 2000}", f"{MAX_METADATA_BYTES:,}"),
        ("part_size", "0", "at least 1 byte"),
        ("part_size", "-5", "at least 1 byte"),
        ("part_size", "5 apples", "at least 1 byte"),
        ("part_count", "1.5", "whole number"),
        ("part_count", "٣", "whole number"),
        ("verify", "md5", "md5"),
        ("sha256", "abc", "64 hexadecimal"),
        ("sha256", "g" * 64, "64 hexadecimal"),
        ("fingerprint", "x" * 129, "128"),
    ],
)
def test_errors_state_what_is_allowed(field: str, value: str, text: str, operator: User, unreachable: Store) -> None:
    form = filled(operator, **{field: value})
    assert not form.is_valid()
    errors = form.field_errors()
    name = "key" if field == "prefix" else field.replace("_", "-")
    assert text in errors[name]


SHA256 = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"


def test_pasted_digest_is_expected_for_any_upload(operator: User, unreachable: Store) -> None:
    form = filled(operator, sha256=f" {SHA256}\n")
    assert form.is_valid(), form.errors
    for resumable in (False, True):
        new = form.values().new_transfer(operator, 5, resumable=resumable)
        assert (new.verify_sha256, new.expected_sha256, new.resumable) == (True, SHA256.lower(), resumable)


def test_later_digest_is_expected_for_resumable_uploads_only(operator: User, unreachable: Store) -> None:
    form = filled(operator, verify="sha256", fingerprint="f-1")
    assert form.is_valid(), form.errors
    later = form.values().new_transfer(operator, 5, resumable=True)
    assert (later.verify_sha256, later.expected_sha256, later.fingerprint) == (True, "", "f-1")
    plain = form.values().new_transfer(operator, 5)
    assert (plain.verify_sha256, plain.expected_sha256, plain.fingerprint) == (False, "", "")


def test_no_digest_is_expected_by_default(operator: User, unreachable: Store) -> None:
    form = filled(operator)
    assert form.is_valid()
    new = form.values().new_transfer(operator, 5, resumable=True)
    assert (new.verify_sha256, new.expected_sha256, new.fingerprint) == (False, "", "")


def test_all_metadata_fits_the_limit_of_the_store(operator: User, unreachable: Store) -> None:
    """The metadata of the operator, and what Partway adds: the transfer's id and the digest."""
    form = filled(operator, metadata=f"a: {'x' * (MAX_METADATA_BYTES - 1)}", sha256=SHA256)
    assert form.is_valid(), form.errors
    new = form.values().new_transfer(operator, 5)
    transfer = Transfer(metadata=new.metadata, expected_sha256=new.expected_sha256)
    assert sum(len(name) + len(value) for name, value in object_metadata(transfer).items()) <= 2048


def test_part_size_and_count_exclude_each_other(operator: User, unreachable: Store) -> None:
    form = filled(operator, part_size="5242880", part_count="3")
    assert "not both" in form.field_errors()["part-count"]


def test_disabled_store_is_refused(administrator: User, unreachable: Store) -> None:
    Store.objects.update(enabled=False)
    assert "store" in filled(administrator).field_errors()


def test_anonymous_user_has_no_form() -> None:
    with pytest.raises(PermissionDenied):
        NewTransferForm(user=AnonymousUser())


def test_key_is_empty_until_the_filename_is_known(operator: User, unreachable: Store) -> None:
    form = filled(operator, filename="", prefix="in/")
    assert form.is_valid()
    assert (form.values().key, form.values().prefix) == ("", "in/")


def test_key_ends_with_the_last_segment_of_the_filename() -> None:
    assert base_name("C:\\Users\\olga\\cat.jpg") == base_name("/home/olga/cat.jpg") == "cat.jpg"
    assert object_key("", "a/", "dir/cat.jpg") == "a/cat.jpg"
    assert object_key("whole", "a/", "cat.jpg") == "whole"
    assert object_key("", "a/", "") == ""


def test_content_type_is_guessed_from_the_name() -> None:
    assert guess_content_type("a.csv") == "text/csv"
    assert guess_content_type("a.tar.gz") == "application/gzip"
    assert guess_content_type("unknown") == "application/octet-stream"
    assert guess_content_type("folder.zip/.csv") == "application/octet-stream"


def test_content_type_does_not_depend_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose /etc/mime.types differs sends the same file with the same content type."""
    types = tmp_path / "mime.types"
    types.write_text("application/x-of-this-machine csv webp\n")
    monkeypatch.setattr(mimetypes, "knownfiles", [str(types)])
    mimetypes.init()
    try:
        assert mimetypes.guess_type("a.csv")[0] == "application/x-of-this-machine"
        assert guess_content_type("A.CSV") == "text/csv"
        assert guess_content_type("a.webp") == "image/webp"
    finally:
        monkeypatch.undo()
        mimetypes.init()


@given(st.dictionaries(NAMES, VALUES.filter(bool), max_size=10))
def test_metadata_round_trip(metadata: dict[str, str]) -> None:
    assert parse_metadata("\n".join(f"{name}: {value}" for name, value in metadata.items())) == metadata


@given(st.text(max_size=200))
def test_metadata_is_refused_or_valid_in_a_header(text: str) -> None:
    try:
        metadata = parse_metadata(text)
    except ValidationError:
        return
    for name, value in metadata.items():
        assert value
        assert name.isascii()
        assert (value.isascii() and value.isprintable()) or value == ""


@given(st.text(max_size=20))
def test_numbers_are_positive_or_refused(text: str) -> None:
    for parse in (parse_part_size, parse_part_count):
        try:
            number = parse(text)
        except ValidationError:
            continue
        assert number is None or number > 0


# --- The page ---------------------------------------------------------------------------------------------------------


def test_page_without_stores(operator_client: Client, administrator_client: Client) -> None:
    assert "An administrator has to add the store" in Page(operator_client.get(NEW)).text
    assert "/stores/new/" in Page(administrator_client.get(NEW)).text


def test_page_is_filled_from_the_query(operator_client: Client, unreachable: Store) -> None:
    NamedBucket.objects.create(store=unreachable, name="named")
    Store.objects.create(name="aaa", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    text = Page(operator_client.get(NEW, {"store": "unreachable", "bucket": "b%&", "prefix": "p/ ü"})).text
    assert '<option value="unreachable" selected>' in text
    assert 'value="b%&amp;"' in text
    assert 'value="p/ ü"' in text
    assert '<option value="named">' in text
    assert "style=" not in text


def test_new_transfer_goes_where_the_operator_comes_from(site: Site, store: Store, bucket: str) -> None:
    def link(url: str) -> str:
        return site.get(url).href("New transfer") or ""

    assert link("/") == NEW
    assert link(f"/stores/{store.name}/") == f"{NEW}?store={store.name}"
    listing = f"/stores/{store.name}/{bucket}/uploads/"
    place = f"{NEW}?store={store.name}&bucket={bucket}"
    assert link(listing) == place
    assert link(f"{listing}?prefix=a%20b%2F%26") == f"{place}&prefix=a%20b%2F%26"
    assert link("/stores/none/") == f"{NEW}?store=none"


def test_file_is_the_last_field(operator_client: Client, unreachable: Store) -> None:
    text = Page(operator_client.get(NEW)).text
    form = text[text.index('id="transfer-form"') :]
    names = (
        "csrfmiddlewaretoken",
        "filename",
        "store",
        "key",
        "metadata",
        "part-size",
        "part-count",
        "replace",
        "sha256",
    )
    for name in names:
        assert 0 < form.index(f'name="{name}"') < form.index('name="file"')


def test_refused_form_keeps_its_values_and_shows_its_errors(
    rf: RequestFactory, operator: User, unreachable: Store
) -> None:
    request = rf.post(NEW)
    request.user = operator
    values = {"store": "unreachable", "bucket": "photos", "key": "cat.jpg", "metadata": "bad", "replace": "on"}
    errors = {"metadata": "Line 1 is wrong.", "key": "There is one.", "file": "Too large.", "": "Staging is full."}
    page = Page(render_form(request, values=values, errors=errors, status=409))
    assert page.status == 409
    assert 'value="cat.jpg"' in page.text
    for text in ("There is one.", "Too large.", "Staging is full.", "Select the file again."):
        assert text in page.text
    assert re.search(r'name="replace"\s+id="id_replace"\s+checked', page.text)


def test_options_are_folded_with_a_summary_of_what_is_set(
    rf: RequestFactory, operator: User, operator_client: Client, unreachable: Store
) -> None:
    page = Page(operator_client.get(NEW))
    assert '<details class="card options" id="options" >' in page.text
    assert "all automatic" in page.text
    request = rf.post(NEW)
    request.user = operator
    values = {"store": "unreachable", "bucket": "photos", "part-size": "8 MiB", "metadata": "a: 1\r\nb: 2"}
    page = Page(render_form(request, values=values, errors={"bucket": "No."}, status=400))
    assert "Part size: 8 MiB · Metadata: a: 1, b: 2" in page.text
    assert 'id="options" >' in page.text
    page = Page(render_form(request, values=values, errors={"part-size": "Too small."}, status=400))
    assert 'id="options" open>' in page.text


# --- Requests while the page is filled in -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "5.00 MiB"),
        ({"size": "0"}, "PutObject"),
        ({"size": str(100 * 1024**2), "part-size": "16 MiB"}, "in 7 parts of"),
        ({"size": str(100 * 1024**2), "part-count": "4"}, "in 4 parts of"),
        ({"size": str(100 * 1024**2), "part-size": "1000"}, "at most 10,000"),
        ({"size": str(100 * 1024**2), "part-size": "1 MiB"}, "too small"),
        ({"size": "9" * 18}, "at most"),
        ({"size": "many"}, "number of bytes"),
        ({"part-size": "x"}, "at least 1 byte"),
        ({"part-size": "5", "part-count": "5"}, "not both"),
    ],
)
def test_plan(query: dict[str, str], text: str, operator_client: Client, unreachable: Store) -> None:
    page = Page(operator_client.get(f"{NEW}plan/", {"store": "unreachable", **query}))
    assert page.status == 200
    assert text in page.text


def test_plan_of_an_unknown_store_is_404(operator_client: Client) -> None:
    assert operator_client.get(f"{NEW}plan/", {"store": "x"}).status_code == 404


def test_buckets_are_those_of_the_store(operator_client: Client, store: Store, bucket: str) -> None:
    assert f'value="{bucket}"' in Page(operator_client.get(f"{NEW}buckets/", {"store": "main"})).text


@pytest.mark.parametrize(("rows", "is_cut"), [(10_000, False), (10_001, True)])
def test_bucket_suggestions_say_that_the_list_was_cut(operator_client: Client, rows: int, is_cut: bool) -> None:
    """A list that was cut looks complete: a bucket that is not suggested seems not to exist."""
    listed = "".join(f"<Bucket><Name>b-{number:05}</Name></Bucket>" for number in range(rows))
    body = f"<ListAllMyBucketsResult><Buckets>{listed}</Buckets></ListAllMyBucketsResult>".encode()
    with FaultServer(respond(200, body)) as server:
        Store.objects.create(name="large", endpoint_url=server.url, access_key="a", secret_key="s")
        page = Page(operator_client.get(f"{NEW}buckets/", {"store": "large"}))
    assert 'value="b-09999"' in page.text
    assert ("The store lists more than 10,000 buckets; the rest is not shown." in page.text) is is_cut


def put(object_store: ObjectStoreClient, bucket: str, key: str, folder: Path) -> None:
    (folder / "body").write_bytes(b"hello")
    object_store.put_object(bucket, key, FileSlice(folder / "body", 0, 5))


def test_existing_object_is_shown(
    operator_client: Client, store: Store, bucket: str, object_store: ObjectStoreClient, tmp_path: Path
) -> None:
    key = "a b/+%?.txt"
    put(object_store, bucket, key, tmp_path)
    query = {"store": "main", "bucket": bucket}
    shown = Page(operator_client.get(f"{NEW}existing/", {**query, "key": key})).text
    seen = 'name="replace-etag" value="5d41402abc4b2a76b9719d911017c592"', 'name="replace-size" value="5"'
    for text in ("5 bytes", 'name="replace"', *seen):
        assert text in shown
    assert "No object has this key" in Page(operator_client.get(f"{NEW}existing/", {**query, "key": "other"})).text
    assert 'name="replace"' in Page(operator_client.get(f"{NEW}existing/", query)).text
    assert "1,025 bytes" in Page(operator_client.get(f"{NEW}existing/", {**query, "key": "x" * 1025})).text


def test_existing_object_of_an_unreachable_store_is_explained(operator_client: Client, unreachable: Store) -> None:
    page = Page(operator_client.get(f"{NEW}existing/", {"store": "unreachable", "bucket": "photos", "key": "k"}))
    assert "cannot be reached" in page.text


def test_check_before_the_file_is_sent(
    site: Site, bucket: str, object_store: ObjectStoreClient, tmp_path: Path
) -> None:
    put(object_store, bucket, "here.txt", tmp_path)
    fields: dict[str, Any] = {"store": "main", "bucket": bucket, "filename": "new.txt", "size": "5"}

    def check(**changes: str) -> Page:
        return site.post(f"{NEW}check/", fields | {name.replace("_", "-"): value for name, value in changes.items()})

    assert check().status == 204
    assert check(part_count="0").json["fields"].keys() == {"part-count"}
    assert check(part_count="6").json["fields"].keys() == {"part-count"}
    assert check(size="9" * 18).json["fields"].keys() == {"file"}
    refused = check(filename="here.txt")
    assert refused.status == 400
    assert refused.json["fields"].keys() == {"replace"}
    assert refused.json["error"]["code"] == "InvalidForm"
    assert check(filename="here.txt", replace="on").status == 204


# --- The same for tus -------------------------------------------------------------------------------------------------


def test_names_that_are_not_given_have_the_values_of_empty_fields(operator: User, unreachable: Store) -> None:
    """Only what is given is cleaned. Every name, given as an empty text, makes the same transfer."""
    given = {"store": "unreachable", "bucket": "photos", "filename": "cat.jpg"}
    names = {name.replace("_", "-") for name in UploadMetadataForm.base_fields}
    few = UploadMetadataForm(user=operator, data=given)
    all_ = UploadMetadataForm(user=operator, data={**dict.fromkeys(names, ""), **given})
    page = NewTransferForm(user=operator, data=given)
    assert few.is_valid()
    assert all_.is_valid()
    assert page.is_valid()
    assert few.values() == all_.values() == page.values()
