"""Connection tests on a real Swift: the requests, their results, and that nothing is kept."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from pytest_django import Settings

from dashboard.stores.connection_report import report_of
from tests.certificate import certificate
from tests.objectstore.fault_server import FaultServer, error, respond
from tests.stores.oss import OssStore
from tests.stores.swift import SwiftStore
from uploads.models import AuditEntry, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason
from uploads.problems import Code
from uploads.services.stores import clients, connection_test
from uploads.services.stores.connection_test import MAX_BUCKETS, run_connection_test
from uploads.services.stores.settings import StoreValues, add_store

pytestmark = pytest.mark.django_db(transaction=True)


def values(swift_store: SwiftStore, **changes: Any) -> StoreValues:
    given = {
        "name": "tested",
        "endpoint_url": swift_store.endpoint_url,
        "provider": "swift",
        "access_key": swift_store.access_key,
        "secret_key": swift_store.secret_key,
    }
    return StoreValues(**{**given, **changes})


def test_each_step_is_reported_and_nothing_is_stored(
    swift_store: SwiftStore, bucket: str, client: ObjectStoreClient
) -> None:
    Store.objects.all().delete()
    empty = swift_store.new_bucket()
    client.create_multipart_upload(bucket, "a key")
    result = run_connection_test(values(swift_store, buckets=(bucket, empty)))
    buckets, first, second = result.steps
    assert (buckets.operation, buckets.error) == ("ListBuckets", None)
    assert buckets.count >= 2
    assert (first.operation, first.bucket, first.count) == ("ListMultipartUploads", bucket, 1)
    assert (second.bucket, second.count) == (empty, 0)
    assert result.failures == 0
    assert result.lists_uploads
    assert abs(result.clock_offset) < timedelta(minutes=1)
    assert not Store.objects.exists()
    assert not AuditEntry.objects.filter(store="tested").exists()


def test_without_named_buckets_the_first_listed_buckets_are_tested(swift_store: SwiftStore) -> None:
    for _ in range(MAX_BUCKETS + 1):
        swift_store.new_bucket()
    result = run_connection_test(values(swift_store))
    assert result.steps[0].count > MAX_BUCKETS
    assert len(result.steps) == 1 + MAX_BUCKETS
    assert result.not_tried == ()


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({"secret_key": "wrong"}, Reason.CREDENTIALS, "SignatureDoesNotMatch"),
        ({"access_key": "nobody"}, Reason.CREDENTIALS, "SignatureDoesNotMatch"),
        ({"region": "eu-x"}, Reason.WRONG_REGION, "AuthorizationHeaderMalformed"),
    ],
)
def test_failure_that_concerns_every_request_stops_the_test(
    swift_store: SwiftStore, bucket: str, changes: dict[str, str], reason: Reason, code: str
) -> None:
    result = run_connection_test(values(swift_store, buckets=(bucket,), **changes))
    [step] = result.steps
    assert step.error is not None
    assert (step.error.reason, getattr(step.error, "code", "")) == (reason, code)
    assert result.not_tried == (bucket,)


def test_wrong_region_reports_the_right_one(swift_store: SwiftStore) -> None:
    [step] = run_connection_test(values(swift_store, region="eu-x")).steps
    assert getattr(step.error, "region", "") == swift_store.region


def test_missing_bucket_does_not_stop_the_test(swift_store: SwiftStore, bucket: str) -> None:
    _, missing, there = run_connection_test(values(swift_store, buckets=("no-such-bucket", bucket))).steps
    assert missing.error is not None
    assert missing.error.reason is Reason.NO_SUCH_BUCKET
    assert there.error is None


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """What is expected of these tests is what Swift does."""
    return swift_store


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port of this machine that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def test_unreachable_store_gets_one_request(swift_store: SwiftStore, dead_port: int) -> None:
    result = run_connection_test(
        values(swift_store, endpoint_url=f"http://127.0.0.1:{dead_port}", buckets=("one", "two"))
    )
    [step] = result.steps
    assert step.error is not None
    assert step.error.reason is Reason.NOT_AN_ENDPOINT
    assert result.not_tried == ("one", "two")


@contextmanager
def service(sends: bytes) -> Iterator[int]:
    """Another service of this machine, which sends something to each connection. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    accepted, _ = listener.accept()
                    accepted.sendall(sends)
                    if sends:
                        accepted.close()
                    else:
                        held.append(accepted)

        held: list[socket.socket] = []
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for each in held:
            each.close()


HTTP = b"HTTP/1.1 %s\r\nServer: secret-server/1.2\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nConnection: close\r\n"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_other_services_and_closed_ports_look_the_same_and_no_banner_is_shown(
    swift_store: SwiftStore, dead_port: int, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_test, "STALL_SECONDS", 0.3)
    banners = {
        "ssh": b"SSH-2.0-OpenSSH_9.2 secret-server\r\n",
        "page": HTTP % b"200 OK" + b"\r\n<html>secret-server</html>",
        "not found": HTTP % b"404 Not Found" + b"\r\nsecret-server",
        "denied": HTTP % b"403 Forbidden" + b"x-amz-request-id: secret-server\r\n\r\n",
        "redirect": HTTP % b"302 Found" + b"Location: http://secret-server/\r\n\r\n",
        "gateway": HTTP % b"502 secret-server" + b"\r\n",
        "xml": HTTP % b"200 OK" + b"\r\n<secret-server><a/></secret-server>",
        "silent": b"",
    }
    shown = {}
    with ExitStack() as stack:
        found = {name: stack.enter_context(service(sends)) for name, sends in banners.items()}
        for name, port in {"closed": dead_port, **found}.items():
            tested = values(swift_store, endpoint_url=f"{scheme}://127.0.0.1:{port}", buckets=("one",))
            report = report_of(run_connection_test(tested))
            shown[name] = render_to_string("stores/connection_test.html", {"report": report})
    assert "This is not an S3 endpoint" in shown["closed"]
    assert {name for name, text in shown.items() if text != shown["closed"]} == set()


def test_untrusted_certificate_is_named(swift_store: SwiftStore, tmp_path: Path) -> None:
    """Administrators need this to set up a private authority: it is the exception to the test above."""
    path, context = certificate(tmp_path)
    with FaultServer(respond(200, NO_BUCKETS), tls=context) as server:
        [step] = run_connection_test(values(swift_store, endpoint_url=server.url)).steps
        assert step.error is not None
        assert step.error.reason is Reason.TLS
        assert run_connection_test(values(swift_store, endpoint_url=server.url, ca_bundle=str(path))).failures == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254"])
def test_address_that_no_store_may_have_is_refused_before_it_is_tested(
    swift_store: SwiftStore, settings: Settings, host: str
) -> None:
    settings.STORE_ALLOWED_ADDRESSES = []
    with pytest.raises(ValidationError) as caught:
        run_connection_test(values(swift_store, endpoint_url=f"http://{host}:6379"))
    assert set(caught.value.message_dict) == {"endpoint_url"}
    [step] = run_connection_test(values(swift_store, endpoint_url="http://localhost:6379")).steps
    assert step.error is not None
    assert step.error.reason is Reason.ADDRESS_REFUSED, "a name is checked when it was resolved"


def test_credentials_that_no_header_can_hold_are_a_failed_step(swift_store: SwiftStore) -> None:
    result = run_connection_test(values(swift_store, access_key="a\nb", buckets=("one",)))
    [step] = result.steps
    assert step.error is not None
    assert step.error.reason is Reason.BAD_ARGUMENT
    assert result.not_tried == ("one",)


NO_UPLOADS = respond(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
NO_BUCKETS = b"<ListAllMyBucketsResult></ListAllMyBucketsResult>"


def test_named_buckets_are_tested_although_listing_buckets_is_denied(swift_store: SwiftStore) -> None:
    with FaultServer(error(403, "AccessDenied"), NO_UPLOADS) as server:
        result = run_connection_test(values(swift_store, endpoint_url=server.url, buckets=("mine",)))
    assert [step.error is None for step in result.steps] == [False, True]
    assert result.lists_uploads


def test_no_request_is_repeated(swift_store: SwiftStore) -> None:
    with FaultServer(error(503, "SlowDown")) as server:
        result = run_connection_test(values(swift_store, endpoint_url=server.url, buckets=("mine",)))
        assert len(server.received) == 1
    assert result.steps[0].error is not None
    assert result.steps[0].error.reason is Reason.THROTTLED


def test_the_clocks_are_compared(swift_store: SwiftStore) -> None:
    with FaultServer(respond(200, NO_BUCKETS, {"Date": "Sat, 01 Jan 2000 00:00:00 GMT"})) as server:
        result = run_connection_test(values(swift_store, endpoint_url=server.url))
    assert result.failures == 0
    assert abs(result.clock_offset) > timedelta(hours=1)


def test_stored_secrets_are_used_only_at_their_own_address(swift_store: SwiftStore, bucket: str) -> None:
    store = add_store(None, values(swift_store))
    unchanged = values(swift_store, secret_key="", region="us-east-1", buckets=(bucket,))
    assert run_connection_test(unchanged, store).failures == 0
    with FaultServer() as elsewhere:
        with pytest.raises(ValidationError) as caught:
            run_connection_test(values(swift_store, secret_key="", endpoint_url=elsewhere.url), store)
        assert elsewhere.received == []
    assert caught.value.message_dict == {"secret_key": [Code.SECRET_NEEDED_AT_NEW_ENDPOINT]}
    store.refresh_from_db()
    assert store.named_buckets.count() == 0


def test_unsaved_secrets_are_kept_nowhere(swift_store: SwiftStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="uploads.objectstore")
    typed = {"secret_key": "a secret that was typed", "session_token": "a token that was typed"}
    run_connection_test(values(swift_store, **typed))
    assert not {config.credentials.secret_key for _, config, _ in clients._clients} & set(typed.values())
    assert "that was typed" not in caplog.text
    assert "operation='ListBuckets'" in caplog.text


# --- OSS by its own API -----------------------------------------------------------------------------------------------


def oss_values(oss_store: OssStore, **changes: Any) -> StoreValues:
    given = {"endpoint_url": oss_store.endpoint_url, "provider": "oss", "region": oss_store.region}
    keys = {"access_key": oss_store.access_key, "secret_key": oss_store.secret_key}
    return StoreValues(**{"name": "tested", **given, **keys, **changes})


def test_oss_works_with_its_defaults(oss_store: OssStore) -> None:
    bucket = oss_store.new_bucket()
    result = run_connection_test(oss_values(oss_store, buckets=(bucket,)))
    assert result.failures == 0
    assert [step.bucket for step in result.steps] == ["", bucket]
    assert report_of(result).verdict == "good"


def test_oss_with_path_addressing_suggests_virtual_hosted(oss_store: OssStore) -> None:
    result = run_connection_test(oss_values(oss_store, addressing="path", buckets=(oss_store.new_bucket(),)))
    step = report_of(result).steps[1]
    assert step.explained is not None
    assert (step.explained.code, step.fix) == ("SecondLevelDomainForbidden", "Set Addressing to virtual-hosted.")


def test_bucket_in_another_oss_region_names_it_and_does_not_stop_the_test(oss_store: OssStore) -> None:
    elsewhere, here = oss_store.new_bucket("cn-shanghai"), oss_store.new_bucket()
    report = report_of(run_connection_test(oss_values(oss_store, buckets=(elsewhere, here))))
    assert report.steps[1].fix == "Set Region to cn-shanghai."
    assert report.steps[2].explained is None
    assert report.verdict == "partly"


def test_oss_without_permission_to_list_buckets_uses_named_buckets(oss_store: OssStore) -> None:
    account = oss_store.new_account(denied=["oss:ListBuckets"])
    keys = {"access_key": account.access_key, "secret_key": account.secret_key}
    report = report_of(run_connection_test(oss_values(oss_store, buckets=(oss_store.new_bucket(),), **keys)))
    assert "Enter the buckets in Named buckets" in report.steps[0].fix
    assert report.verdict == "partly"
    assert report.steps[1].text == "no upload was listed"


@pytest.mark.parametrize(
    ("account", "token", "reason"),
    [
        ({"temporary": True}, True, None),
        ({"temporary": True}, False, Reason.CREDENTIALS),
        ({"temporary": True, "expired": True}, True, Reason.CREDENTIALS_EXPIRED),
    ],
)
def test_oss_with_temporary_credentials(
    oss_store: OssStore, account: dict[str, Any], token: bool, reason: Reason | None
) -> None:
    created = oss_store.new_account(**account)
    keys = {
        "access_key": created.access_key,
        "secret_key": created.secret_key,
        "session_token": created.token if token else "",
    }
    first = run_connection_test(oss_values(oss_store, **keys)).steps[0]
    assert (first.error.reason if first.error else None) is reason
