"""Trying a store's settings on the real Swift: what is asked, what is heard, and that nothing is kept."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from dashboard.stores.connection_report import report_of
from tests.objectstore.fault_server import FaultServer, error, respond
from tests.stores.oss import OssStore
from tests.stores.swift import SwiftStore
from uploads.models import AuditEntry, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason
from uploads.services.stores import clients
from uploads.services.stores.connection_test import MAX_BUCKETS, try_store
from uploads.services.stores.settings import StoreValues, add_store

pytestmark = pytest.mark.django_db(transaction=True)


def values(swift_store: SwiftStore, **changes: Any) -> StoreValues:
    given = {
        "name": "tried",
        "endpoint_url": swift_store.endpoint_url,
        "provider": "swift",
        "access_key": swift_store.access_key,
        "secret_key": swift_store.secret_key,
    }
    return StoreValues(**{**given, **changes})


def test_what_works_is_said_step_by_step_and_nothing_is_stored(
    swift_store: SwiftStore, bucket: str, client: ObjectStoreClient
) -> None:
    Store.objects.all().delete()
    empty = swift_store.new_bucket()
    client.create_multipart_upload(bucket, "a key")
    trial = try_store(values(swift_store, buckets=(bucket, empty)))
    buckets, first, second = trial.steps
    assert (buckets.operation, buckets.error) == ("ListBuckets", None)
    assert buckets.count >= 2
    assert (first.operation, first.bucket, first.count) == ("ListMultipartUploads", bucket, 1)
    assert (second.bucket, second.count) == (empty, 0)
    assert trial.failures == 0
    assert trial.lists_uploads
    assert abs(trial.clock_offset) < timedelta(minutes=1)
    assert not Store.objects.exists()
    assert not AuditEntry.objects.filter(store="tried").exists()


def test_without_named_buckets_the_first_listed_are_asked(swift_store: SwiftStore) -> None:
    for _ in range(MAX_BUCKETS + 1):
        swift_store.new_bucket()
    trial = try_store(values(swift_store))
    assert trial.steps[0].count > MAX_BUCKETS
    assert len(trial.steps) == 1 + MAX_BUCKETS
    assert trial.untried == ()


@pytest.mark.parametrize(
    ("changes", "reason", "code"),
    [
        ({"secret_key": "wrong"}, Reason.CREDENTIALS, "SignatureDoesNotMatch"),
        ({"access_key": "nobody"}, Reason.CREDENTIALS, "SignatureDoesNotMatch"),
        ({"region": "eu-x"}, Reason.WRONG_REGION, "AuthorizationHeaderMalformed"),
    ],
)
def test_what_fails_for_all_is_asked_once(
    swift_store: SwiftStore, bucket: str, changes: dict[str, str], reason: Reason, code: str
) -> None:
    trial = try_store(values(swift_store, buckets=(bucket,), **changes))
    [step] = trial.steps
    assert step.error is not None
    assert (step.error.reason, getattr(step.error, "code", "")) == (reason, code)
    assert trial.untried == (bucket,)


def test_a_wrong_region_names_the_right_one(swift_store: SwiftStore) -> None:
    [step] = try_store(values(swift_store, region="eu-x")).steps
    assert getattr(step.error, "region", "") == swift_store.region


def test_a_bucket_that_is_not_there_does_not_hide_the_next(swift_store: SwiftStore, bucket: str) -> None:
    _, missing, there = try_store(values(swift_store, buckets=("no-such-bucket", bucket))).steps
    assert missing.error is not None
    assert missing.error.reason is Reason.NO_SUCH_BUCKET
    assert there.error is None


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port of this machine where nothing answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_store_that_is_not_there_is_tried_once(swift_store: SwiftStore, dead_port: int) -> None:
    trial = try_store(values(swift_store, endpoint_url=f"http://127.0.0.1:{dead_port}", buckets=("one", "two")))
    [step] = trial.steps
    assert step.error is not None
    assert step.error.reason is Reason.UNREACHABLE
    assert trial.untried == ("one", "two")


def test_tls_where_there_is_none(swift_store: SwiftStore) -> None:
    [step] = try_store(values(swift_store, endpoint_url=swift_store.endpoint_url.replace("http:", "https:"))).steps
    assert step.error is not None
    assert step.error.reason is Reason.TLS


def test_what_no_header_can_hold_is_a_failed_step(swift_store: SwiftStore) -> None:
    trial = try_store(values(swift_store, access_key="a\nb", buckets=("one",)))
    [step] = trial.steps
    assert step.error is not None
    assert step.error.reason is Reason.BAD_ARGUMENT
    assert trial.untried == ("one",)


NO_UPLOADS = respond(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
NO_BUCKETS = b"<ListAllMyBucketsResult></ListAllMyBucketsResult>"


def test_named_buckets_are_asked_though_listing_buckets_is_denied(swift_store: SwiftStore) -> None:
    with FaultServer(error(403, "AccessDenied"), NO_UPLOADS) as server:
        trial = try_store(values(swift_store, endpoint_url=server.url, buckets=("mine",)))
    assert [step.error is None for step in trial.steps] == [False, True]
    assert trial.lists_uploads


def test_nothing_is_asked_a_second_time(swift_store: SwiftStore) -> None:
    with FaultServer(error(503, "SlowDown")) as server:
        trial = try_store(values(swift_store, endpoint_url=server.url, buckets=("mine",)))
        assert len(server.received) == 1
    assert trial.steps[0].error is not None
    assert trial.steps[0].error.reason is Reason.THROTTLED


def test_the_clocks_are_compared(swift_store: SwiftStore) -> None:
    with FaultServer(respond(200, NO_BUCKETS, {"Date": "Sat, 01 Jan 2000 00:00:00 GMT"})) as server:
        trial = try_store(values(swift_store, endpoint_url=server.url))
    assert trial.failures == 0
    assert abs(trial.clock_offset) > timedelta(hours=1)


def test_stored_secrets_are_used_where_none_were_typed_but_at_no_other_address(
    swift_store: SwiftStore, bucket: str
) -> None:
    store = add_store(None, values(swift_store))
    asked = values(swift_store, secret_key="", region="us-east-1", buckets=(bucket,))
    assert try_store(asked, store).failures == 0
    with FaultServer() as elsewhere:
        with pytest.raises(ValidationError) as caught:
            try_store(values(swift_store, secret_key="", endpoint_url=elsewhere.url), store)
        assert elsewhere.received == []
    assert "never used at an address" in caught.value.message_dict["secret_key"][0]
    store.refresh_from_db()
    assert store.named_buckets.count() == 0


def test_unsaved_secrets_stay_nowhere(swift_store: SwiftStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    before = list(clients._clients)
    try_store(values(swift_store, secret_key="a secret that was typed", session_token="a token that was typed"))
    assert list(clients._clients) == before
    assert "that was typed" not in caplog.text
    assert "operation='ListBuckets'" in caplog.text


# --- OSS by its own API -----------------------------------------------------------------------------------------------


def oss_values(oss_store: OssStore, **changes: Any) -> StoreValues:
    given = {"endpoint_url": oss_store.endpoint_url, "provider": "oss", "region": oss_store.region}
    keys = {"access_key": oss_store.access_key, "secret_key": oss_store.secret_key}
    return StoreValues(**{"name": "tried", **given, **keys, **changes})


def test_oss_works_with_its_defaults(oss_store: OssStore) -> None:
    bucket = oss_store.new_bucket()
    trial = try_store(oss_values(oss_store, buckets=(bucket,)))
    assert trial.failures == 0
    assert [step.bucket for step in trial.steps] == ["", bucket]
    assert report_of(trial).verdict == "good"


def test_oss_in_the_path_is_told_to_be_virtual_hosted(oss_store: OssStore) -> None:
    trial = try_store(oss_values(oss_store, addressing="path", buckets=(oss_store.new_bucket(),)))
    step = report_of(trial).steps[1]
    assert step.explained is not None
    assert (step.explained.code, step.fix) == ("SecondLevelDomainForbidden", "Set Addressing to virtual-hosted.")


def test_a_bucket_of_another_oss_region_names_it_and_hides_no_other(oss_store: OssStore) -> None:
    elsewhere, here = oss_store.new_bucket("cn-shanghai"), oss_store.new_bucket()
    report = report_of(try_store(oss_values(oss_store, buckets=(elsewhere, here))))
    assert report.steps[1].fix == "Set Region to cn-shanghai."
    assert report.steps[2].explained is None
    assert report.verdict == "partly"


def test_oss_without_leave_to_list_buckets_uses_those_named(oss_store: OssStore) -> None:
    account = oss_store.new_account(denied=["oss:ListBuckets"])
    keys = {"access_key": account.access_key, "secret_key": account.secret_key}
    report = report_of(try_store(oss_values(oss_store, buckets=(oss_store.new_bucket(),), **keys)))
    assert "Name the buckets here" in report.steps[0].fix
    assert report.verdict == "partly"
    assert report.steps[1].found == "no upload in progress"


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
    made = oss_store.new_account(**account)
    keys = {"access_key": made.access_key, "secret_key": made.secret_key, "session_token": made.token if token else ""}
    first = try_store(oss_values(oss_store, **keys)).steps[0]
    assert (first.error.reason if first.error else None) is reason
