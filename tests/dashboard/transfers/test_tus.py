"""`/files/` through Django's test client: who has access, what is refused and how, and which bytes are kept."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from tests.dashboard.make_transfer import make_transfer
from tests.grants import make_operator
from uploads.domain.states import DesiredState, PartState, Phase, TransferState
from uploads.models import Part, Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice
from uploads.services.staging import quota
from uploads.staging import tus

FILES = "/files/"
MIB = 1024**2
METHODS = ("OPTIONS", "POST", "HEAD", "PATCH", "DELETE")
UNSAFE = ("POST", "PATCH", "DELETE")


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


@pytest.fixture
def unreachable(db: None) -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


class Tus:
    """A tus client of one operator, with a token of this site."""

    def __init__(self, client: Client) -> None:
        self.client = client
        client.get("/stores/")
        self.token = client.cookies["partway_csrf"].value

    def request(self, method: str, url: str = FILES, body: bytes = b"", **headers: str) -> Any:
        """Underscores in the names of headers stand for hyphens; an empty value omits a header."""
        given = {"Tus-Resumable": "1.0.0", "X-CSRFToken": self.token, "Content-Type": tus.CONTENT_TYPE if body else ""}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        kind = given.pop("Content-Type")
        sent = {name: value for name, value in given.items() if value}
        environ: dict[str, Any] = {"CONTENT_TYPE": kind} if kind else {}
        return self.client.generic(method, url, body, headers=sent, **environ)

    def create(self, size: int, body: bytes = b"", *, headers: dict[str, str] | None = None, **metadata: str) -> Any:
        pairs = {name.replace("_", "-"): value for name, value in metadata.items()}
        text = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())
        return self.request("POST", FILES, body, Upload_Length=str(size), Upload_Metadata=text, **(headers or {}))

    def patch(self, url: str, offset: int, body: bytes, **headers: str) -> Any:
        return self.request(
            "PATCH", url, body, **{"Upload_Offset": str(offset), "Content-Type": tus.CONTENT_TYPE, **headers}
        )

    def offset(self, url: str) -> int:
        return int(self.request("HEAD", url)["Upload-Offset"])


@pytest.fixture
def operator_tus(operator_client: Client) -> Tus:
    return Tus(operator_client)


@pytest.fixture
def make(operator: User, unreachable: Store) -> Callable[..., Transfer]:
    """A resumable transfer of 30 bytes in parts of 10, of which nothing has arrived."""

    def make_one(**values: Any) -> Transfer:
        facts: dict[str, Any] = {"size": 30, "part_size": 10, "part_count": 3, "node": "test-node", "resumable": True}
        return make_transfer(values.pop("owner", operator), unreachable, **facts | {"phase": Phase.RECEIVING} | values)

    return make_one


Make = Callable[..., Transfer]


def url_of(transfer: Transfer) -> str:
    return f"/files/{transfer.pk}"


def transfer_at(url: str) -> Transfer:
    return Transfer.objects.get(pk=url.removeprefix(FILES))


def check_error(response: Any, status: int, code: str) -> dict[str, str]:
    assert response.status_code == status, response.content
    assert response["Tus-Resumable"] == "1.0.0"
    assert response["Cache-Control"] == "no-store"
    if response.request["REQUEST_METHOD"] == "HEAD":
        return {}
    error: dict[str, str] = response.json()["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == code
    assert error["message"].endswith(".")
    return error


# --- Access -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_anonymous_request_is_401_as_json(method: str, make: Make) -> None:
    for url in (FILES, url_of(make())):
        response = Client().generic(method, url, headers={"Tus-Resumable": "1.0.0"})
        check_error(response, 401, "NotSignedIn")


def test_deactivated_user_has_no_access(operator_tus: Tus, operator: User, make: Make) -> None:
    url = url_of(make())
    User.objects.filter(pk=operator.pk).update(is_active=False)
    check_error(operator_tus.request("HEAD", url), 401, "NotSignedIn")


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize("token", ["", "x" * 64, "short"])
def test_changes_require_a_csrf_token(method: str, token: str, operator_tus: Tus, make: Make) -> None:
    transfer = make()
    url = FILES if method == "POST" else url_of(transfer)
    response = operator_tus.request(
        method, url, b"0123456789", Upload_Offset="0", Upload_Length="10", X_CSRFToken=token
    )
    check_error(response, 403, "CsrfFailed")
    transfer.refresh_from_db()
    assert (transfer.state, Transfer.objects.count()) == (TransferState.RECEIVING, 1)
    assert not transfer.folder.exists()


def test_another_origin_is_refused(operator_tus: Tus, make: Make) -> None:
    response = operator_tus.request("DELETE", url_of(make()), Origin="https://elsewhere.example")
    check_error(response, 403, "OriginUntrusted")


def test_reading_requires_no_csrf_token(operator_tus: Tus, make: Make) -> None:
    assert operator_tus.request("HEAD", url_of(make()), X_CSRFToken="").status_code == 200
    assert operator_tus.request("OPTIONS", X_CSRFToken="").status_code == 204


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "DELETE"])
def test_uploads_of_others_are_not_found(
    method: str, operator_tus: Tus, administrator_client: Client, make: Make
) -> None:
    """An administrator sees and can cancel the transfers of others on their pages, but cannot send their bytes."""
    of_another = make(owner=make_operator("eve"))
    own_form = make(resumable=False)
    for url in (url_of(of_another), url_of(own_form), f"/files/{uuid.uuid4()}"):
        response = operator_tus.request(method, url, Upload_Offset="0", Content_Type=tus.CONTENT_TYPE)
        check_error(response, 404, "NotFound")
    refused = Tus(administrator_client).request(
        method, url_of(make()), Upload_Offset="0", Content_Type=tus.CONTENT_TYPE
    )
    check_error(refused, 404, "NotFound")
    assert not Transfer.objects.exclude(desired_state=DesiredState.RUN).exists()


# --- Methods and versions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "all_files", "one_file"), [("GET", 405, 405), ("PUT", 405, 405), ("PATCH", 405, 0), ("HEAD", 405, 0)]
)
def test_methods_that_are_not_allowed(
    method: str, all_files: int, one_file: int, operator_tus: Tus, make: Make
) -> None:
    response = operator_tus.request(method)
    assert response.status_code == all_files
    assert response["Allow"] == "POST, OPTIONS"
    if one_file:
        response = operator_tus.request(method, url_of(make()))
        assert response.status_code == one_file
        assert response["Allow"] == "HEAD, PATCH, DELETE, OPTIONS"


@pytest.mark.parametrize("version", ["", "0.2.2", "2.0.0"])
def test_other_protocol_versions_are_refused(version: str, operator_tus: Tus, make: Make) -> None:
    for method, url in (("POST", FILES), ("HEAD", url_of(make())), ("DELETE", url_of(make()))):
        response = operator_tus.request(method, url, Tus_Resumable=version)
        check_error(response, 412, "WrongTusVersion")
        assert response["Tus-Version"] == "1.0.0"
    assert operator_tus.request("OPTIONS", Tus_Resumable=version).status_code == 204


def test_options_lists_what_the_server_supports(operator_tus: Tus, unreachable: Store) -> None:
    for url in (FILES, f"/files/{uuid.uuid4()}"):
        response = operator_tus.request("OPTIONS", url)
        assert response.status_code == 204
        assert response["Tus-Version"] == "1.0.0"
        assert response["Tus-Extension"].split(",") == [
            "creation",
            "creation-with-upload",
            "termination",
            "expiration",
            "checksum",
        ]
        assert response["Tus-Checksum-Algorithm"] == "sha1,sha256,md5"
        assert int(response["Tus-Max-Size"]) > 10**12


# --- Overriding the method --------------------------------------------------------------------------------------------


def test_post_can_override_its_method(operator_tus: Tus, make: Make) -> None:
    transfer = make()
    url = url_of(transfer)
    head = operator_tus.request("POST", url, X_HTTP_Method_Override="HEAD")
    assert (head.status_code, head["Upload-Offset"]) == (200, "0")
    patch = operator_tus.request("POST", url, b"abc", X_HTTP_Method_Override="patch", Upload_Offset="0")
    assert (patch.status_code, patch["Upload-Offset"]) == (204, "3")
    assert operator_tus.request("POST", url, X_HTTP_Method_Override="DELETE").status_code == 204
    transfer.refresh_from_db()
    assert transfer.desired_state == DesiredState.CANCEL


@pytest.mark.parametrize("override", ["HEAD", "OPTIONS", "PATCH", "DELETE"])
def test_override_still_requires_a_csrf_token(override: str, operator_tus: Tus, make: Make) -> None:
    transfer = make()
    response = operator_tus.request("POST", url_of(transfer), X_HTTP_Method_Override=override, X_CSRFToken="")
    check_error(response, 403, "CsrfFailed")
    transfer.refresh_from_db()
    assert transfer.desired_state == DesiredState.RUN


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST"])
def test_override_counts_whatever_method_was_sent(method: str, operator_tus: Tus, make: Make) -> None:
    transfer = make()
    response = operator_tus.request(method, url_of(transfer), X_HTTP_Method_Override="DELETE", X_CSRFToken="")
    assert response.status_code == 403
    assert operator_tus.request(method, url_of(transfer), X_HTTP_Method_Override="DELETE").status_code == 204
    transfer.refresh_from_db()
    assert transfer.desired_state == DesiredState.CANCEL


def test_override_with_a_method_that_is_not_allowed(operator_tus: Tus, make: Make) -> None:
    check_error(operator_tus.request("POST", url_of(make())), 405, "MethodNotAllowed")
    check_error(operator_tus.request("POST", url_of(make()), X_HTTP_Method_Override="BREW"), 405, "MethodNotAllowed")
    check_error(operator_tus.request("POST", FILES, X_HTTP_Method_Override="PATCH"), 405, "MethodNotAllowed")


# --- Creation ---------------------------------------------------------------------------------------------------------


def test_creation_returns_the_address_of_the_transfer(
    operator_tus: Tus, store: Store, bucket: str, operator: User
) -> None:
    response = operator_tus.create(
        12 * MIB,
        store="main",
        bucket=bucket,
        filename="cat.jpg",
        part_size="5 MiB",
        metadata="owner: ops",
        fingerprint="f-1",
        verify="sha256",
    )
    assert (response.status_code, response["Upload-Offset"], response.content) == (201, "0", b"")
    transfer = transfer_at(response["Location"])
    assert (transfer.owner, transfer.store, transfer.bucket, transfer.key) == (operator, store, bucket, "cat.jpg")
    assert (transfer.size, transfer.part_size, transfer.part_count) == (12 * MIB, 5 * MIB, 3)
    assert (transfer.resumable, transfer.fingerprint, transfer.verify_sha256) == (True, "f-1", True)
    assert (transfer.content_type, transfer.metadata, transfer.expected_sha256) == ("image/jpeg", {"owner": "ops"}, "")
    expires = parsedate_to_datetime(response["Upload-Expires"])
    assert timedelta(hours=23) < expires - datetime.now(UTC) < timedelta(hours=25)


def test_same_file_resumes_its_transfer(operator_tus: Tus, store: Store, bucket: str) -> None:
    fields: dict[str, Any] = {"store": "main", "bucket": bucket, "key": "k", "fingerprint": "f-1"}
    first = operator_tus.create(30, **fields)
    operator_tus.patch(first["Location"], 0, b"0123456789")
    again = operator_tus.create(30, **fields)
    assert (again.status_code, again["Location"], again["Upload-Offset"]) == (201, first["Location"], "10")
    for fingerprint in ("f-2", ""):
        response = operator_tus.create(30, **fields | {"fingerprint": fingerprint})
        check_error(response, 409, "KeyBusy")
        assert set(response.json()["fields"]) == {"key"}
    check_error(operator_tus.create(31, **fields), 409, "KeyBusy")
    assert operator_tus.create(30, **fields | {"key": "other"})["Location"] != first["Location"]


def test_creation_with_upload(operator_tus: Tus, store: Store, bucket: str) -> None:
    fields: dict[str, Any] = {"store": "main", "bucket": bucket, "key": "k", "fingerprint": "f-1"}
    response = operator_tus.create(10, b"0123", **fields)
    assert (response.status_code, response["Upload-Offset"]) == (201, "4")
    # The same request again, because its response was lost: bytes that have arrived are not received twice.
    again = operator_tus.create(10, b"0123", **fields)
    assert (again["Location"], again["Upload-Offset"]) == (response["Location"], "4")
    check_error(
        operator_tus.create(10, b"0123", headers={"Content-Type": "text/plain"}, **fields), 415, "WrongContentType"
    )
    check_error(operator_tus.create(3, b"0123", **fields | {"key": "short"}), 413, "TooLarge")


def test_empty_file_is_complete_at_once(operator_tus: Tus, store: Store, bucket: str) -> None:
    response = operator_tus.create(0, store="main", bucket=bucket, key="k")
    assert (response.status_code, response["Upload-Offset"]) == (201, "0")
    assert "Upload-Expires" not in response
    assert transfer_at(response["Location"]).all_received


def test_creation_succeeds_even_if_staging_is_full(
    operator_tus: Tus, store: Store, bucket: str, settings: Settings
) -> None:
    settings.STAGING_QUOTA = 20
    operator_tus.create(15, b"x", store="main", bucket=bucket, key="first")
    response = operator_tus.create(15, b"x", store="main", bucket=bucket, key="second")
    assert (response.status_code, response["Upload-Offset"]) == (201, "0")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"store": ""}, "store"),
        ({"store": "unknown"}, "store"),
        ({"bucket": ""}, "bucket"),
        ({"bucket": "../x"}, "bucket"),
        ({"key": ""}, "key"),
        ({"key": "x" * 1025}, "key"),
        ({"content_type": "nonsense"}, "content-type"),
        ({"storage_class": "a b"}, "storage-class"),
        ({"metadata": "no colon"}, "metadata"),
        ({"part_size": "0"}, "part-size"),
        ({"part_count": "x"}, "part-count"),
        ({"part_size": "1", "part_count": "1"}, "part-count"),
        ({"verify": "md5"}, "verify"),
        ({"sha256": "abc"}, "sha256"),
        ({"fingerprint": "x" * 129}, "fingerprint"),
    ],
)
def test_invalid_fields_are_named(changes: dict[str, Any], field: str, operator_tus: Tus, unreachable: Store) -> None:
    response = operator_tus.create(10, **{"store": "unreachable", "bucket": "photos", "key": "k"} | changes)
    check_error(response, 400, "InvalidMetadata")
    assert set(response.json()["fields"]) == {field}
    assert not Transfer.objects.exists()


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, "InvalidHeader"),
        ({"Upload_Length": "-1"}, 400, "InvalidHeader"),
        ({"Upload_Length": "ten"}, 400, "InvalidHeader"),
        ({"Upload_Defer_Length": "1"}, 400, "LengthRequired"),
        ({"Upload_Length": "10", "Upload_Metadata": "key ???"}, 400, "InvalidMetadata"),
        ({"Upload_Length": "10", "Upload_Metadata": "key \x80"}, 400, "InvalidMetadata"),
    ],
)
def test_invalid_headers(headers: dict[str, Any], status: int, code: str, operator_tus: Tus) -> None:
    check_error(operator_tus.request("POST", **headers), status, code)


def test_file_that_is_too_large_for_its_store(operator_tus: Tus, unreachable: Store) -> None:
    response = operator_tus.create(10**17, store="unreachable", bucket="photos", key="k")
    check_error(response, 413, "InvalidForm")
    assert set(response.json()["fields"]) == {"file"}


def test_unreachable_store(operator_tus: Tus, unreachable: Store) -> None:
    response = operator_tus.create(10, store="unreachable", bucket="photos", key="k")
    assert response.status_code == 502
    assert "could not be reached" in response.json()["fields"]["store"]
    # With permission to replace any object, no request to the store is needed.
    fields: dict[str, Any] = {"store": "unreachable", "bucket": "photos", "key": "k", "replace": "on"}
    assert operator_tus.create(10, **fields).status_code == 502
    assert operator_tus.create(10, **fields, replace_etag="*").status_code == 201


def test_replacing_an_object_must_be_confirmed(
    operator_tus: Tus, store: Store, bucket: str, object_store: ObjectStoreClient, tmp_path: Path
) -> None:
    (tmp_path / "body").write_bytes(b"hello")
    object_store.put_object(bucket, "k", FileSlice(tmp_path / "body", 0, 5))
    fields: dict[str, Any] = {"store": "main", "bucket": bucket, "key": "k"}
    response = operator_tus.create(10, **fields)
    error = check_error(response, 409, "ObjectExists")
    assert response.json()["fields"] == {"replace": error["message"]}
    error = check_error(operator_tus.create(10, **fields, replace="on", replace_etag="seen"), 409, "ObjectExists")
    assert "The object that was shown is not the one there now." in error["message"]
    assert operator_tus.create(10, **fields, replace="on", replace_size="five", replace_etag="e").status_code == 400
    etag = object_store.head_object(bucket, "k").etag
    assert operator_tus.create(10, **fields, replace="on", replace_etag=f'"{etag}"').status_code == 201
    seen = Transfer.objects.get().replacement.seen
    assert seen is not None
    assert (seen.etag, seen.size) == (etag, None)


# --- One upload -------------------------------------------------------------------------------------------------------


def test_bytes_arrive_in_pieces_of_any_size(operator_tus: Tus, make: Make) -> None:
    transfer = make()
    url, content, offset = url_of(transfer), bytes(range(30)), 0
    for size in (1, 9, 11, 0, 9):
        response = operator_tus.patch(url, offset, content[offset : offset + size])
        offset += size
        assert (response.status_code, response["Upload-Offset"], response.content) == (204, str(offset), b"")
        assert operator_tus.offset(url) == offset
    transfer.refresh_from_db()
    assert transfer.all_received
    assert b"".join(path.read_bytes() for path in sorted(transfer.folder.path.glob("0*"))) == content


def test_head_returns_the_offset_and_the_expiry(operator_tus: Tus, make: Make) -> None:
    transfer = make()
    operator_tus.patch(url_of(transfer), 0, bytes(12))
    response = operator_tus.request("HEAD", url_of(transfer))
    assert (response.status_code, response["Upload-Offset"], response["Upload-Length"]) == (200, "12", "30")
    assert response["Cache-Control"] == "no-store"
    assert parsedate_to_datetime(response["Upload-Expires"]) > timezone.now()
    assert response.content == b""


def test_complete_file_accepts_no_more_bytes(operator_tus: Tus, make: Make) -> None:
    transfer = make()
    url = url_of(transfer)
    operator_tus.patch(url, 0, bytes(30))
    for phase in (Phase.SENDING, Phase.COMPLETING, Phase.DONE, Phase.FAILED):
        Transfer.objects.filter(pk=transfer.pk).update(phase=phase)
        response = operator_tus.request("HEAD", url)
        assert (response.status_code, response["Upload-Offset"]) == (200, "30")
        assert "Upload-Expires" not in response
        assert operator_tus.patch(url, 30, b"")["Upload-Offset"] == "30"
        response = operator_tus.patch(url, 20, bytes(10))
        check_error(response, 409, "WrongOffset")
        assert response["Upload-Offset"] == "30"


def test_head_recovers_a_complete_file_after_a_crash(operator_tus: Tus, make: Make) -> None:
    transfer = make()
    url = url_of(transfer)
    operator_tus.patch(url, 0, bytes(30))
    Transfer.objects.filter(pk=transfer.pk).update(all_received=False)
    assert operator_tus.offset(url) == 30
    transfer.refresh_from_db()
    assert transfer.all_received


@pytest.mark.parametrize("offset", [0, 9, 11, 30, 31])
def test_wrong_offset_is_refused_with_the_right_one(offset: int, operator_tus: Tus, make: Make) -> None:
    url = url_of(make())
    operator_tus.patch(url, 0, bytes(10))
    response = operator_tus.patch(url, offset, b"")
    check_error(response, 409, "WrongOffset")
    assert response["Upload-Offset"] == "10"
    assert operator_tus.offset(url) == 10


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content_Type": "application/octet-stream"}, 415, "WrongContentType"),
        ({"Content_Type": ""}, 415, "WrongContentType"),
        ({"Upload_Offset": ""}, 400, "InvalidHeader"),
        ({"Upload_Offset": "-1"}, 400, "InvalidHeader"),
        ({"Upload_Checksum": "crc32 AAAA"}, 400, "UnsupportedChecksum"),
        ({"Upload_Checksum": "sha1 \x80"}, 400, "InvalidHeader"),
        ({"Partway_SHA256": "abc"}, 400, "InvalidHeader"),
        ({"Partway_SHA256": "a" * 64}, 400, "InvalidHeader"),
    ],
)
def test_invalid_headers_of_a_body(
    headers: dict[str, Any], status: int, code: str, operator_tus: Tus, make: Make
) -> None:
    url = url_of(make())
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    response = operator_tus.request(
        "PATCH", url, b"abc", **{"Upload-Offset": "0", "Content-Type": tus.CONTENT_TYPE} | given
    )
    check_error(response, status, code)
    assert operator_tus.offset(url) == 0


def test_body_beyond_the_end_is_refused(operator_tus: Tus, make: Make) -> None:
    url = url_of(make())
    check_error(operator_tus.patch(url, 0, bytes(31)), 413, "TooLarge")
    assert operator_tus.offset(url) == 0


def test_checksum_is_verified(operator_tus: Tus, make: Make) -> None:
    url = url_of(make())
    right = base64.b64encode(hashlib.sha1(b"a" * 15).digest()).decode()
    check_error(operator_tus.patch(url, 0, b"b" * 15, Upload_Checksum=f"sha1 {right}"), 460, "ChecksumMismatch")
    assert operator_tus.offset(url) == 0
    response = operator_tus.patch(url, 0, b"a" * 15, Upload_Checksum=f"sha1 {right}")
    assert (response.status_code, response["Upload-Offset"]) == (204, "15")


def test_body_with_a_checksum_has_a_limit(operator_tus: Tus, make: Make) -> None:
    transfer = make(size=100 * MIB, part_size=50 * MIB, part_count=2)
    response = operator_tus.patch(url_of(transfer), 0, bytes(64 * MIB + 1), Upload_Checksum="sha1 " + "A" * 27 + "=")
    check_error(response, 413, "TooLarge")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"desired_state": DesiredState.PAUSE}, 423, "Paused"),
        ({"phase": Phase.FAILED}, 423, "Failed"),
        ({"desired_state": DesiredState.CANCEL}, 410, "Cancelled"),
        ({"phase": Phase.CANCELLED}, 410, "Cancelled"),
        ({"phase": Phase.CANCELLED, "error_code": "Expired", "error_message": "Too late."}, 410, "Expired"),
        ({"node": "elsewhere"}, 503, "OtherNode"),
    ],
)
def test_transfer_that_accepts_no_bytes(
    change: dict[str, Any], status: int, code: str, operator_tus: Tus, make: Make
) -> None:
    transfer = make(**change)
    check_error(operator_tus.patch(url_of(transfer), 0, b"abc"), status, code)
    head = operator_tus.request("HEAD", url_of(transfer))
    assert head.status_code == (200 if status == 423 else status)


def test_another_connection_has_the_lock(operator_tus: Tus, make: Make) -> None:
    transfer = make()
    with transfer.folder.writer():
        check_error(operator_tus.patch(url_of(transfer), 0, b"abc"), 423, "Locked")
        assert operator_tus.offset(url_of(transfer)) == 0
    assert operator_tus.patch(url_of(transfer), 0, b"abc").status_code == 204


def test_staging_is_full(operator_tus: Tus, make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA = 10
    first, second = make(), make(key="other")
    assert operator_tus.patch(url_of(first), 0, bytes(10)).status_code == 204
    response = operator_tus.patch(url_of(second), 0, b"abc")
    check_error(response, 503, "NoRoom")
    assert int(response["Retry-After"]) > 0
    part = first.parts.get(number=1)
    Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
    quota.release(part)
    assert operator_tus.patch(url_of(second), 0, b"abc").status_code == 204


def test_failure_of_the_disk(operator_tus: Tus, make: Make, staging: Path) -> None:
    staging.write_text("a file where the folder should be")
    error = check_error(operator_tus.patch(url_of(make()), 0, b"abc"), 507, "StagingFailed")
    assert "Not a directory" in error["message"]


# --- Digests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "state", "code"),
    [
        ("right", TransferState.SENDING, ""),
        ("wrong", TransferState.FAILED, "Sha256Mismatch"),
        ("", TransferState.FAILED, "Sha256Missing"),
    ],
)
def test_digest_is_sent_with_the_last_bytes(
    sent: str, state: TransferState, code: str, operator_tus: Tus, make: Make
) -> None:
    content = b"x" * 30
    digest = {"right": hashlib.sha256(content), "wrong": hashlib.sha256(b"other")}.get(sent)
    transfer = make(verify_sha256=True)
    operator_tus.patch(url_of(transfer), 0, content[:15])
    headers = {"Partway_SHA256": digest.hexdigest().upper()} if digest else {}
    assert operator_tus.patch(url_of(transfer), 15, content[15:], **headers).status_code == 204
    transfer.refresh_from_db()
    assert (transfer.state, transfer.error_code) == (state, code)
    assert transfer.sha256 == hashlib.sha256(content).hexdigest()


def test_digest_cannot_be_changed(operator_tus: Tus, make: Make) -> None:
    transfer = make(verify_sha256=True)
    assert operator_tus.patch(url_of(transfer), 0, b"abc", Partway_SHA256="a" * 64).status_code == 204
    check_error(operator_tus.patch(url_of(transfer), 3, b"abc", Partway_SHA256="b" * 64), 400, "InvalidHeader")


# --- The end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{}, {"desired_state": DesiredState.PAUSE}, {"phase": Phase.FAILED}, {"phase": Phase.SENDING}]
)
def test_delete_cancels(change: dict[str, Any], operator_tus: Tus, make: Make) -> None:
    transfer = make(**change)
    response = operator_tus.request("DELETE", url_of(transfer))
    assert (response.status_code, response.content) == (204, b"")
    transfer.refresh_from_db()
    assert transfer.state is TransferState.CANCELLING
    check_error(operator_tus.request("DELETE", url_of(transfer)), 410, "Cancelled")
    check_error(operator_tus.request("HEAD", url_of(transfer)), 410, "Cancelled")


@pytest.mark.parametrize("phase", [Phase.COMPLETING, Phase.DONE])
def test_completed_transfer_cannot_be_cancelled(phase: Phase, operator_tus: Tus, make: Make) -> None:
    transfer = make(phase=phase, all_received=True)
    check_error(operator_tus.request("DELETE", url_of(transfer)), 409, "StepRefused")
