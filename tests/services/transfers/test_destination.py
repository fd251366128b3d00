"""Whether a store accepts files at a destination, found out before the first byte, on real stores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from tests.stores.oss import OssStore
from tests.stores.running import RunningStore
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.models import Store, Transfer
from uploads.objectstore.errors import Reason
from uploads.problems import Code
from uploads.services.stores.clients import client_for
from uploads.services.stores.settings import StoreValues, add_store
from uploads.services.transfers import destination
from uploads.services.transfers.start import NewTransfer, TransferRefused, start_transfer


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    destination._accepted.clear()


@pytest.fixture
def proxy(any_store: RunningStore) -> Iterator[FaultProxy]:
    with FaultProxy(any_store.endpoint_url) as running:
        yield running


@pytest.fixture
def proxied(proxy: FaultProxy, any_store: RunningStore, user: User) -> Store:
    values = StoreValues(
        name="proxied",
        endpoint_url=proxy.url,
        region=any_store.region,
        provider="swift",
        access_key=any_store.access_key,
        secret_key=any_store.secret_key,
    )
    return add_store(None, values)


def begin(user: User, store: Store, bucket: str, key: str, **more: object) -> Transfer:
    return start_transfer(NewTransfer(owner=user, store=store, bucket=bucket, key=key, size=10, **more))  # type: ignore[arg-type]


def refusal(user: User, store: Store, bucket: str, key: str = "a/b") -> TransferRefused:
    """The refusal of a transfer; nothing is stored."""
    with pytest.raises(TransferRefused) as caught:
        begin(user, store, bucket, key)
    assert not Transfer.objects.exists()
    error = caught.value
    assert error.problem.code == Code.DESTINATION_REFUSED
    assert error.store_error is not None
    assert error.store_error.request_id
    return error


def test_missing_bucket(user: User, store: Store) -> None:
    error = refusal(user, store, "no-such-bucket-here")
    assert (error.field, error.status, error.code) == ("bucket", 400, "NoSuchBucket")


def test_wrong_secret(user: User, store: Store, bucket: str) -> None:
    store.secret_key = "wrong"
    store.save()
    error = refusal(user, store, bucket)
    assert (error.field, error.status, error.code) == ("store", 403, "SignatureDoesNotMatch")


def test_missing_permission(user: User, oss_store: OssStore) -> None:
    """An account that may list and read, but not write."""
    bucket = oss_store.new_bucket()
    account = oss_store.new_account(denied=("oss:PutObject",))
    values = StoreValues(
        name="oss",
        endpoint_url=oss_store.endpoint_url,
        region=oss_store.region,
        provider="oss",
        access_key=account.access_key,
        secret_key=account.secret_key,
    )
    error = refusal(user, add_store(None, values), bucket)
    assert (error.field, error.status, error.code) == ("bucket", 403, "AccessDenied")


def test_many_files_of_one_folder_send_one_check(user: User, proxied: Store, proxy: FaultProxy, bucket: str) -> None:
    for number in range(5):
        begin(user, proxied, bucket, f"folder/sub-{number}/file")
    assert (proxy.requests["CheckWriting"], proxy.requests["HeadObject"]) == (1, 5)
    begin(user, proxied, bucket, "other/file")
    assert proxy.requests["CheckWriting"] == 2
    proxied.secret_key = "changed"
    proxied.save()
    with pytest.raises(TransferRefused):
        begin(user, proxied, bucket, "folder/more")
    assert proxy.requests["CheckWriting"] == 3


def test_positive_response_expires(
    user: User, proxied: Store, proxy: FaultProxy, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destination, "VALID_SECONDS", 0.0)
    begin(user, proxied, bucket, "one")
    begin(user, proxied, bucket, "two")
    assert proxy.requests["CheckWriting"] == 2


def test_refusal_is_not_remembered(user: User, proxied: Store, proxy: FaultProxy, bucket: str) -> None:
    proxy.next("CheckWriting", Fault.ACCESS_DENIED)
    assert refusal(user, proxied, bucket).store_error.reason is Reason.PERMISSION  # type: ignore[union-attr]
    assert begin(user, proxied, bucket, "a/b")


@pytest.mark.parametrize(
    "fault",
    [
        Fault.INTERNAL_ERROR,
        Fault.SLOW_DOWN,
        Fault.QUOTA_EXCEEDED,
        Fault.PAGE,
        Fault.NOT_FOUND_EMPTY,
        Fault.NO_SUCH_KEY,
        Fault.RESET_AFTER_BODY,
        Fault.EMPTY_SUCCESS,
    ],
)
def test_what_is_not_clear_stops_nothing(
    fault: Fault, user: User, proxied: Store, proxy: FaultProxy, bucket: str
) -> None:
    proxy.next("CheckWriting", fault)
    assert begin(user, proxied, bucket, "a/b")
    assert proxy.faults[fault] == 1


def test_nothing_is_left_in_the_store(user: User, store: Store, bucket: str) -> None:
    begin(user, store, bucket, "a/b")
    assert not client_for(store).list_multipart_uploads(bucket).uploads


def test_resumed_file_sends_no_check(user: User, proxied: Store, proxy: FaultProxy, bucket: str) -> None:
    first = begin(user, proxied, bucket, "file", resumable=True, fingerprint="f")
    destination._accepted.clear()
    assert begin(user, proxied, bucket, "file", resumable=True, fingerprint="f") == first
    assert proxy.requests["CheckWriting"] == 1
