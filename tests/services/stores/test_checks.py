"""Store checks of real stores: every verdict by name, overrides of the profile, and that nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import alibabacloud_oss_v2 as vendor
import boto3
import pytest
from botocore.config import Config
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from tests.grants import grant
from tests.stores.oss import OssStore
from tests.stores.running import RunningStore
from tests.stores.swift import SwiftStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.roles import Role
from uploads.models import AuditEntry, Store, StoreCheck
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.permissions import PERMISSIONS
from uploads.objectstore.probing.requester import ProbeBudget
from uploads.objectstore.probing.running import CHECKS, probe_store
from uploads.problems import Code
from uploads.services.stores.checks import run
from uploads.services.stores.checks.overrides import reset_overrides
from uploads.services.stores.checks.request import request_check
from uploads.services.stores.checks.run import run_store_check
from uploads.services.stores.clients import client_for
from uploads.services.stores.settings import StoreValues, add_store, change_store
from uploads.services.upkeep.watchdog import watch

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True, slots=True)
class Expected:
    """The results of one server: a provider's name, the checks whose verdict is not ok, and the overrides."""

    provider: str
    not_ok: dict[str, str]
    overrides: dict[str, object]


SWIFT = Expected(
    provider="swift",
    not_ok={
        "tls": "differs",
        "order": "differs",
        "key-marker": "differs",
        "next-of-one": "differs",
        "exact-fit": "differs",
        "delimiter-pages": "differs",
        "encoding": "differs",
        "crc64-part": "differs",
        "crc64-object": "differs",
    },
    overrides={"forbid_overwrite": "if-none-match"},
)
CEPH = Expected(
    provider="ceph",
    not_ok={
        "tls": "differs",
        "order": "differs",
        "key-marker": "differs",
        "delimiter": "differs",
        "delimiter-pages": "differs",
        "encoding": "differs",
        "list-parts-ended": "differs",
        "head-etag": "differs",
        "wrong-order": "differs",
        "complete-ended": "differs",
        "complete-over": "differs",
        "forbid-overwrite": "differs",
        "crc64-part": "differs",
        "crc64-object": "differs",
    },
    overrides={},
)
VERSITY = Expected(
    provider="generic",
    not_ok={
        "lifecycle": "differs",
        "tls": "differs",
        "both-markers": "differs",
        "encoding": "differs",
        "wrong-order": "differs",
        "complete-over": "differs",
        "key-dots": "differs",
        "key-slashes": "differs",
        "key-leading": "differs",
    },
    overrides={
        "lifecycle": "none",
        "forbid_overwrite": "if-none-match",
        "joined_etag": True,
        "keys_are_paths": True,
        "leading_slash": False,
        "marker_pair": "key-before",
        "url_encoding": "none",
    },
)

SEAWEEDFS = Expected(
    provider="seaweedfs",
    not_ok={
        "tls": "differs",
        "order": "differs",
        "key-marker": "not-tried",
        "both-markers": "differs",
        "next-of-two": "differs",
        "next-of-one": "differs",
        "exact-fit": "differs",
        "delimiter": "differs",
        "delimiter-pages": "differs",
        "encoding": "differs",
        "replace": "differs",
        "abort-ended": "differs",
        "key-dots": "differs",
        "key-slashes": "differs",
        "key-leading": "differs",
    },
    overrides={},
)
S3PROXY = Expected(
    provider="generic",
    not_ok={
        "lifecycle": "differs",
        "tls": "differs",
        "delimiter": "differs",
        "delimiter-pages": "differs",
        "parts-paging": "differs",
        "list-parts-ended": "differs",
        "wrong-order": "differs",
        # It answers 500 to such keys only.
        "key-dots": "unknown",
        "key-slashes": "differs",
        "key-leading": "differs",
    },
    overrides={
        "lifecycle": "none",
        "checks_upload_ids": False,
        "delimiter": "broken",
        "forbid_overwrite": "if-none-match",
        "joined_etag": True,
        "keys_are_paths": True,
    },
)
RCLONE = Expected(
    provider="generic",
    not_ok={
        "lifecycle": "differs",
        "tls": "differs",
        "key-marker": "differs",
        "both-markers": "differs",
        "delimiter-pages": "differs",
        "encoding": "differs",
        # It refuses other bytes for a part that was sent, and the checks of that upload with it.
        "replace": "failed",
        "parts-paging": "failed",
        "part-etag": "failed",
        "completed-etag": "differs",
        "head-etag": "failed",
        "md5-part": "failed",
        "crc64-part": "differs",
        "crc64-object": "differs",
        "wrong-etag": "failed",
        "wrong-order": "failed",
        "too-small": "failed",
        "forbid-overwrite": "differs",
        "key-dots": "differs",
        "key-slashes": "differs",
        "key-leading": "differs",
    },
    overrides={"lifecycle": "none", "delimiter": "broken", "url_encoding": "none"},
)
OSS = Expected(
    provider="oss",
    not_ok={
        "tls": "differs",
        "completed-etag": "differs",
        "crc64-part": "not-tried",
        "crc64-object": "not-tried",
        "key-leading": "differs",
    },
    overrides={},
)


def stored(server: RunningStore, provider: str = "generic", **changes: Any) -> Store:
    values = {
        "name": "checked",
        "endpoint_url": server.endpoint_url,
        "region": server.region,
        "access_key": server.access_key,
        "secret_key": server.secret_key,
        "provider": provider,
    }
    return add_store(None, StoreValues(**values | changes))


def checked(store: Store, bucket: str, actor: User | None = None) -> StoreCheck:
    check = request_check(actor, store, bucket, here=True)
    run_store_check(check.pk)
    check.refresh_from_db()
    store.refresh_from_db()
    return check


def verdicts(check: StoreCheck) -> dict[str, str]:
    return {result["name"]: result["verdict"] for result in check.results}


def not_ok(check: StoreCheck) -> dict[str, str]:
    return {name: verdict for name, verdict in verdicts(check).items() if verdict != "ok"}


def result(check: StoreCheck, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in check.results if each["name"] == name)
    return found


def left_in(server: RunningStore, bucket: str) -> list[str]:
    """Keys of objects and uploads in a bucket, listed by an independent client."""
    if isinstance(server, OssStore):
        return left_in_oss(server, bucket)
    s3 = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )
    uploads = s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return [each["Key"] for each in (*s3.list_objects_v2(Bucket=bucket).get("Contents", []), *uploads)]


def left_in_oss(server: OssStore, bucket: str) -> list[str]:
    credentials = vendor.credentials.StaticCredentialsProvider(server.access_key, server.secret_key)
    client = vendor.Client(
        vendor.Config(region=server.region, endpoint=server.endpoint_url, credentials_provider=credentials)
    )
    objects = client.list_objects_v2(vendor.ListObjectsV2Request(bucket=bucket)).contents or []
    uploads = client.list_multipart_uploads(vendor.ListMultipartUploadsRequest(bucket=bucket)).uploads or []
    return [str(each.key) for each in (*objects, *uploads)]


@pytest.mark.parametrize(
    ("fixture", "expected"),
    [
        ("swift_store", SWIFT),
        ("ceph_store", CEPH),
        ("versity_store", VERSITY),
        ("oss_store", OSS),
        ("seaweedfs_store", SEAWEEDFS),
        ("s3proxy_store", S3PROXY),
        ("rclone_store", RCLONE),
    ],
)
def test_results_of_each_server(request: pytest.FixtureRequest, fixture: str, expected: Expected) -> None:
    server: RunningStore = request.getfixturevalue(fixture)
    store, bucket = stored(server, expected.provider), server.new_bucket()
    check = checked(store, bucket)
    assert (check.state, check.error, check.leftovers, check.created) == ("done", None, [], {})
    assert list(verdicts(check)) == [each.name for each in CHECKS]
    assert not_ok(check) == expected.not_ok
    assert check.overrides == store.overrides == expected.overrides
    assert check.requests < 160
    assert left_in(server, bucket) == []
    # A second check, with the overrides in effect, has the same results.
    again = checked(store, bucket)
    assert (verdicts(again), again.overrides) == (verdicts(check), expected.overrides)


# --- Swift behind a proxy ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """What is expected of these tests is what Swift does."""
    return swift_store


@pytest.fixture
def proxy(swift_store: RunningStore) -> Iterator[FaultProxy]:
    with FaultProxy(swift_store.endpoint_url) as running:
        yield running


@pytest.fixture
def proxied(swift_store: RunningStore, proxy: FaultProxy) -> Store:
    return stored(swift_store, "swift", name="proxied", endpoint_url=proxy.url)


DENIED = {
    "ListBuckets": {"list-buckets"},
    "ListMultipartUploads": {"list-uploads"},
    "PutObject": {"put-object"},
    "HeadObject": {"head-object"},
    "CreateMultipartUpload": {"create"},
    "UploadPart": {"upload-part"},
    "ListParts": {"list-parts"},
    "CompleteMultipartUpload": {"complete"},
}


@pytest.mark.parametrize("operation", DENIED)
def test_each_missing_permission(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store, operation: str
) -> None:
    proxy.always(operation, Fault.ACCESS_DENIED)
    check = checked(proxied, bucket)
    denied = {name for name, verdict in verdicts(check).items() if verdict == "denied"}
    assert denied == DENIED[operation]
    [name] = denied
    found = result(check, name)
    assert (found["observed"]["code"], found["observed"]["params"]["operation"]) == ("PermissionMissing", operation)
    # The refusal of HEAD has no body with a code. Its request id is in a header.
    code = "403" if operation == "HeadObject" else "AccessDenied"
    assert (found["code"], found["request_id"]) == (code, "proxy-1")
    assert not {name for name, verdict in verdicts(check).items() if verdict == "failed"}
    waiting = [each for each in check.results if each["verdict"] == "not-tried"]
    assert {each["observed"]["code"] for each in waiting} <= {"NeedsCheck"}
    assert all(each["observed"]["params"]["check"] in verdicts(check) for each in waiting)
    assert left_in(swift_store, bucket) == []


@pytest.mark.parametrize(
    ("action", "names"),
    [
        ("oss:ListBuckets", {"list-buckets"}),
        ("oss:ListMultipartUploads", {"list-uploads"}),
        ("oss:ListParts", {"list-parts"}),
        ("oss:GetObject", {"head-object"}),
        ("oss:PutObject", {"put-object", "create"}),
        ("oss:AbortMultipartUpload", {"abort"}),
        ("oss:DeleteObject", {"delete-object"}),
    ],
)
def test_missing_oss_permission_is_reported_for_its_operation(
    oss_store: OssStore, action: str, names: set[str]
) -> None:
    account = oss_store.new_account(denied=[action])
    store = stored(oss_store, "oss", access_key=account.access_key, secret_key=account.secret_key)
    check = checked(store, oss_store.new_bucket())
    assert {name for name, verdict in verdicts(check).items() if verdict == "denied"} == names
    for name in names:
        operation = result(check, name)["observed"]["params"]["operation"]
        assert action in PERMISSIONS[operation].oss
        assert result(check, name)["request_id"]


def test_without_permission_to_abort_one_upload_is_left_until_the_next_check(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    proxy.always("AbortMultipartUpload", Fault.ACCESS_DENIED)
    check = checked(proxied, bucket)
    assert verdicts(check)["abort"] == "denied"
    assert verdicts(check)["complete"] == "ok"
    assert [each["kind"] for each in check.leftovers] == ["upload"]
    assert left_in(swift_store, bucket) == [check.leftovers[0]["key"]]
    proxy.clear()
    assert checked(proxied, bucket).leftovers == []
    check.refresh_from_db()
    assert (check.leftovers, check.created) == ([], {})
    assert left_in(swift_store, bucket) == []


def test_without_permission_to_delete_one_object_is_left(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    proxy.always("DELETE", Fault.ACCESS_DENIED)
    check = checked(proxied, bucket)
    assert verdicts(check)["delete-object"] == "denied"
    assert verdicts(check)["complete"] == "ok"
    assert [each["kind"] for each in check.leftovers] == ["object"]
    assert left_in(swift_store, bucket) == [check.leftovers[0]["key"]]


def test_failed_request_only_stops_the_checks_that_need_it(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    proxy.always("PutObject", Fault.INTERNAL_ERROR)
    check = checked(proxied, bucket)
    assert verdicts(check)["put-object"] == "unknown"
    assert result(check, "put-object")["code"] == "InternalError"
    assert verdicts(check)["head-object"] == "not-tried"
    for name in ("complete", "order", "replace", "wrong-etag"):
        assert verdicts(check)[name] in {"ok", "differs", "not-tried"}
    assert verdicts(check)["order"] == "differs"
    assert left_in(swift_store, bucket) == []


def test_lost_responses_leave_nothing_behind(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    """The store has started an upload, or created an object, and its response was lost."""
    proxy.next("CreateMultipartUpload", Fault.RESPONSE_LOST, count=3)
    proxy.next("CompleteMultipartUpload", Fault.RESPONSE_LOST)
    proxy.next("PutObject", Fault.RESPONSE_LOST, count=3)
    checked(proxied, bucket)
    assert left_in(swift_store, bucket) == []


def test_upload_that_could_not_be_looked_up_is_reported_until_it_is_removed(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    """Its id was in a lost response, and listing uploads is not allowed."""
    proxy.next("CreateMultipartUpload", Fault.RESPONSE_LOST)
    proxy.always("ListMultipartUploads", Fault.ACCESS_DENIED)
    check = checked(proxied, bucket)
    [left] = check.leftovers
    assert (left["kind"], left["id"]) == ("upload", "")
    assert left["error"]["reason"] == Code.UPLOAD_MAY_EXIST
    assert left_in(swift_store, bucket) == [left["key"]]
    proxy.clear()
    assert checked(proxied, bucket).leftovers == []
    check.refresh_from_db()
    assert (check.leftovers, check.created) == ([], {})
    assert left_in(swift_store, bucket) == []


def test_upload_refused_by_an_internal_error_of_the_store_may_exist(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    proxy.next("CreateMultipartUpload", Fault.INTERNAL_ERROR)
    proxy.always("ListMultipartUploads", Fault.ACCESS_DENIED)
    [left] = checked(proxied, bucket).leftovers
    assert left["error"]["reason"] == Code.UPLOAD_MAY_EXIST


def pointed_at(store: Store, server: RunningStore, endpoint_url: str) -> Store:
    values = StoreValues(
        name=store.name,
        endpoint_url=endpoint_url,
        region=store.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
        provider=store.provider,
    )
    change_store(None, Store.objects.get(pk=store.pk), values)
    return Store.objects.get(pk=store.pk)


def test_leftovers_at_another_endpoint_are_reported_until_it_is_set_back(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    proxy.always("AbortMultipartUpload", Fault.ACCESS_DENIED)
    check = checked(proxied, bucket)
    [left] = check.leftovers
    # Requests to the present endpoint succeed, but reach another store as far as the check knows.
    assert checked(pointed_at(proxied, swift_store, swift_store.endpoint_url), bucket).leftovers == []
    check.refresh_from_db()
    [still] = check.leftovers
    assert still == left | {"error": still["error"]}
    assert still["error"]["reason"] == Code.LEFT_AT_OTHER_ENDPOINT
    assert still["error"]["params"] == {"endpoint_url": proxy.url}
    assert left_in(swift_store, bucket) == [left["key"]]
    proxy.clear()
    checked(pointed_at(proxied, swift_store, proxy.url), bucket)
    check.refresh_from_db()
    assert (check.leftovers, check.created) == ([], {})
    assert left_in(swift_store, bucket) == []


def died(store: Store, bucket: str, created: dict[str, Any]) -> StoreCheck:
    """A check whose process died after it had recorded this, and that waits again."""
    check = request_check(None, store, bucket, here=True)
    StoreCheck.objects.filter(pk=check.pk).update(created=created, tries=1)
    return check


def test_check_that_died_at_another_endpoint_is_not_run_again_at_this_one(
    swift_store: RunningStore, bucket: str
) -> None:
    elsewhere = {"uploads": [[".partway-check-1/upload", "id"]], "objects": [], "endpoint": "http://127.0.0.1:1"}
    check = died(stored(swift_store, "swift"), bucket, elsewhere)
    run_store_check(check.pk)
    check.refresh_from_db()
    assert (check.state, check.created) == ("failed", elsewhere)
    assert check.error is not None
    assert check.error.code == "EndpointChanged"
    assert [each["id"] for each in check.leftovers] == ["id"]


def test_leftovers_of_an_attempt_that_died_are_kept_by_the_next(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    upload = client_for(proxied).create_multipart_upload(bucket, ".partway-check-1/upload")
    check = died(proxied, bucket, {"uploads": [[".partway-check-1/upload", upload]], "objects": []})
    proxy.always("AbortMultipartUpload", Fault.ACCESS_DENIED)
    run_store_check(check.pk)
    check.refresh_from_db()
    assert upload in {each["id"] for each in check.leftovers}
    proxy.clear()
    checked(proxied, bucket)
    assert left_in(swift_store, bucket) == []


def test_different_clock_is_reported(bucket: str, proxy: FaultProxy, proxied: Store) -> None:
    proxy.clock_ahead = timedelta(minutes=4)
    found = result(checked(proxied, bucket), "clock")
    assert found["verdict"] == "differs"
    assert found["observed"] == {"code": "ClockAhead", "params": found["observed"]["params"]}
    assert 230 <= found["observed"]["params"]["difference_seconds"] <= 250


# --- Stores that do not respond as expected ---------------------------------------------------------------------------


def test_unreachable_store(swift_store: RunningStore, bucket: str) -> None:
    store = stored(swift_store, "swift", endpoint_url="http://127.0.0.1:1")
    check = checked(store, bucket)
    assert check.state == "done"
    assert result(check, "reach")["observed"]["code"] == "NothingSent"
    assert result(check, "reach")["observed"]["params"]["reason"] == Reason.UNREACHABLE
    assert set(verdicts(check).values()) == {"failed", "not-tried"}
    assert store.overrides == {}


def test_wrong_secret(swift_store: RunningStore, bucket: str) -> None:
    check = checked(stored(swift_store, "swift", secret_key="wrong"), bucket)
    assert not_ok(check)["credentials"] == "failed"
    assert result(check, "credentials")["code"] == "SignatureDoesNotMatch"
    assert {name for name, verdict in verdicts(check).items() if verdict == "ok"} == {"reach", "clock"}


def test_missing_bucket(swift_store: RunningStore) -> None:
    check = checked(stored(swift_store, "swift"), "no-such-bucket")
    assert verdicts(check)["bucket"] == "failed"
    assert result(check, "bucket")["code"] == "NoSuchBucket"
    assert verdicts(check)["list-buckets"] == "ok"
    assert verdicts(check)["create"] == "not-tried"


def test_exhausted_budget_is_reported(swift_store: RunningStore, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BUDGET", ProbeBudget(requests=30))
    check = checked(stored(swift_store, "swift"), bucket)
    assert check.state == "done"
    assert result(check, "key-leading")["observed"] == {"code": "RequestsUsedUp", "params": {"limit": 30}}
    assert verdicts(check)["reach"] == "ok"
    assert left_in(swift_store, bucket) == []


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_second_request_joins_the_active_check(swift_store: RunningStore, bucket: str, user: User) -> None:
    store = stored(swift_store, "swift")
    grant(user, Role.STORE_ADMINISTRATOR)
    first = request_check(user, store, bucket)
    assert request_check(None, store, bucket) == first
    assert request_check(user, store, swift_store.new_bucket()) != first
    run_store_check(first.pk)
    run_store_check(first.pk)
    assert request_check(user, store, bucket) != first
    assert [each.action for each in AuditEntry.objects.filter(bucket=bucket).order_by("id")] == [
        "check.ordered",
        "check.done",
        "check.ordered",
    ]


def test_invalid_bucket_name_is_refused(swift_store: RunningStore) -> None:
    with pytest.raises(NotSent):
        request_check(None, stored(swift_store, "swift"), "../up")
    assert not StoreCheck.objects.exists()


def test_overrides_apply_until_they_are_reset(versity_store: RunningStore, user: User) -> None:
    store, bucket = stored(versity_store), versity_store.new_bucket()
    checked(store, bucket)
    assert dict(store.config().overrides) == VERSITY.overrides
    assert reset_overrides(user, store) == VERSITY.overrides
    store.refresh_from_db()
    assert store.overrides == {}
    assert AuditEntry.objects.get(action="check.reset").actor_name == user.get_username()
    assert reset_overrides(user, store) == {}


def test_check_of_a_store_that_was_changed_overrides_nothing(
    swift_store: RunningStore, versity_store: RunningStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bucket = stored(versity_store), versity_store.new_bucket()

    def changed_during_the_check(*args: Any) -> Any:
        values = StoreValues(
            name=store.name,
            endpoint_url=swift_store.endpoint_url,
            region=store.region,
            access_key="a",
            secret_key="s",
            provider="swift",
        )
        change_store(None, Store.objects.get(pk=store.pk), values)
        return probe_store(*args)

    monkeypatch.setattr(run, "probe_store", changed_during_the_check)
    check = checked(store, bucket)
    assert check.state == "done"
    assert store.overrides == {}


def test_fields_that_were_not_determined_keep_their_overrides(
    swift_store: RunningStore, bucket: str, proxy: FaultProxy, proxied: Store
) -> None:
    checked(proxied, bucket)
    assert proxied.overrides == SWIFT.overrides
    proxy.always("CreateMultipartUpload", Fault.ACCESS_DENIED)
    checked(proxied, bucket)
    assert proxied.overrides == SWIFT.overrides


# --- Processes that die -----------------------------------------------------------------------------------------------


KILLED = """
import django; django.setup()
from tests.services.stores.kill_a_check import main
main({pk!r}, {changes})
"""


@pytest.mark.parametrize("changes", [2, 40])
def test_killed_check_is_cleaned_up_and_run_again(
    swift_store: RunningStore, bucket: str, settings: Settings, changes: int
) -> None:
    """The process dies after it has recorded so many changes."""
    store = stored(swift_store, "swift")
    check = request_check(None, store, bucket, here=True)
    code = KILLED.format(pk=str(check.pk), changes=changes)
    name = connection.settings_dict["NAME"]
    died = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DATABASE_URL": f"sqlite:///{name}", "DJANGO_SETTINGS_MODULE": "dashboard.site.settings"},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    check.refresh_from_db()
    assert check.state == "running"
    assert check.created
    watch()
    check.refresh_from_db()
    assert check.state == "running", "its lease has not run out"
    before = check.prefix
    StoreCheck.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    watch()
    run_store_check(check.pk)
    check.refresh_from_db()
    assert (check.state, check.created, check.leftovers) == ("done", {}, [])
    assert check.prefix != before
    assert not_ok(check) == SWIFT.not_ok
    assert left_in(swift_store, bucket) == []


def test_check_that_dies_repeatedly_fails(swift_store: RunningStore, bucket: str) -> None:
    check = request_check(None, stored(swift_store, "swift"), bucket, here=True)
    StoreCheck.objects.update(tries=run.MAX_RUNS)
    run_store_check(check.pk)
    check.refresh_from_db()
    assert (check.state, check.active_key) == ("failed", None)
    assert check.error is not None
    assert check.error.code == "Died"


def test_check_without_its_lease_writes_nothing_more(
    swift_store: RunningStore, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = request_check(None, stored(swift_store, "swift"), bucket, here=True)

    def lost_during_the_check(*args: Any) -> Any:
        StoreCheck.objects.update(lease_token=None)
        return probe_store(*args)

    monkeypatch.setattr(run, "probe_store", lost_during_the_check)
    run_store_check(check.pk)
    check.refresh_from_db()
    assert (check.state, check.results) == ("running", [])


def test_lost_message_is_sent_again(
    swift_store: RunningStore, bucket: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr("uploads.services.work.queue._publish", lambda task, arguments, *_: sent.extend(arguments))
    settings.STORE_PROBE_SECONDS = 0
    check = request_check(None, stored(swift_store, "swift"), bucket)
    watch()
    assert sent == [str(check.pk)]
    StoreCheck.objects.update(queued_at=timezone.now() - timedelta(seconds=90))
    watch()
    assert sent == [str(check.pk)] * 2
