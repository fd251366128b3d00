"""What the text in the search box finds, for whom, and with how many statements. It runs on PostgreSQL too."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.dashboard.make_transfer import make_transfer
from tests.grants import grant
from tests.services.inventory.lines import lines_with
from tests.services.inventory.rows import NOW, row_of, store_of
from uploads import audit
from uploads.domain.roles import Role
from uploads.domain.states import ItemState, Phase, StoreUploadState
from uploads.models import (
    InventoryBucket,
    InventoryUpload,
    NamedBucket,
    Operation,
    OperationItem,
    Scan,
    Store,
    StoreUpload,
    Sweep,
)
from uploads.selectors.search import LIMIT, Found, find

UPLOAD_ID = "2~abcDEF_0123456789.upload--id"


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create(username="admin", is_staff=True)


@pytest.fixture
def store(db: None) -> Store:
    return store_of("one")


@pytest.fixture
def bucket(store: Store) -> InventoryBucket:
    return InventoryBucket.objects.create(store=store, name="photos")


def add(bucket: InventoryBucket, key: str, upload_id: str, number: int = 0, **values: Any) -> InventoryUpload:
    row = row_of(bucket, number, key=key, upload_id=upload_id, **values)
    row.save()
    return row


def order(user: User, store: Store, key: str, upload_id: str, bucket: str = "photos") -> Operation:
    operation = Operation.objects.create(kind="abort", actor=user, store=store, bucket=bucket)
    OperationItem.objects.create(operation=operation, key=key, upload_id=upload_id, state=ItemState.DONE)
    return operation


def counts(found: Found) -> dict[str, int]:
    names = ("stores", "buckets", "uploads", "sent", "transfers", "operations", "sweeps", "scans", "entries")
    return {name: len(getattr(found, name)) for name in names if getattr(found, name)}


# --- What a text finds ------------------------------------------------------------------------------------------------


def test_an_upload_id_is_found_alone_and_in_every_line_of_a_log(admin: User, bucket: InventoryBucket) -> None:
    upload = add(bucket, "a/k.bin", UPLOAD_ID)
    add(bucket, "a/k.bin", "another-id-of-the-same-key", 1)
    make_transfer(admin, bucket.store, bucket="photos", key="a/k.bin", upload_id=UPLOAD_ID)
    for line in lines_with(UPLOAD_ID):
        found = find(admin, line)
        assert (counts(found), found.uploads) == ({"uploads": 1}, (upload,)), line


def test_a_part_of_an_upload_id_is_found(admin: User, bucket: InventoryBucket) -> None:
    upload = add(bucket, "k", UPLOAD_ID)
    assert find(admin, UPLOAD_ID[4:-4]).uploads == (upload,)
    assert find(admin, UPLOAD_ID[4:-4].swapcase()).is_empty


def test_a_key_finds_its_uploads_and_transfers(admin: User, bucket: InventoryBucket) -> None:
    uploads = {add(bucket, "dir/a b.bin", f"the-upload-{number}", number).pk for number in range(3)}
    add(bucket, "dir/a b.bin.bak", "of-another-key", 9)
    transfer = make_transfer(admin, bucket.store, bucket="photos", key="dir/a b.bin", phase=Phase.DONE)
    found = find(admin, "dir/a b.bin")
    assert ({each.pk for each in found.uploads}, found.transfers) == (uploads, (transfer,))
    assert counts(find(admin, "s3://photos/dir/a b.bin")) == {"uploads": 3, "transfers": 1}
    assert find(admin, "s3://music/dir/a b.bin").is_empty
    assert counts(find(admin, "a b.b")) == {"uploads": 4, "transfers": 1}


def test_an_upload_that_has_ended_leads_to_what_ended_it(admin: User, bucket: InventoryBucket) -> None:
    add(bucket, "gone", UPLOAD_ID, ended_at=NOW)
    operation = order(admin, bucket.store, "gone", UPLOAD_ID)
    assert counts(find(admin, UPLOAD_ID)) == {"operations": 1}
    assert find(admin, UPLOAD_ID).operations == (operation,)


def test_an_upload_of_a_transfer_is_found_before_a_scan_has_seen_it(admin: User, store: Store) -> None:
    transfer = make_transfer(admin, store, upload_id=UPLOAD_ID)
    assert [each.transfer for each in find(admin, UPLOAD_ID).sent] == [transfer]
    StoreUpload.objects.update(state=StoreUploadState.COMPLETED)
    assert counts(find(admin, UPLOAD_ID)) == {"transfers": 1}


def test_ids_of_everything_are_found_also_inside_an_address(admin: User, store: Store) -> None:
    things = {
        "transfers": make_transfer(admin, store),
        "operations": order(admin, store, "k", "u"),
        "sweeps": Sweep.objects.create(rule={"verdicts": ["dead"]}, author=admin),
        "scans": Scan.objects.create(store=store, origin="page"),
    }
    for kind, thing in things.items():
        for text in (str(thing.pk), str(thing.pk).upper(), f"https://partway.test/{kind}/{thing.pk}/?page=1"):
            found = find(admin, text)
            assert (counts(found), getattr(found, kind)) == ({kind: 1}, (thing,)), text


def test_what_was_deleted_is_found_in_the_audit_log(admin: User, store: Store) -> None:
    transfer_id = uuid.uuid4()
    audit.record(admin, "transfer.begun", store=store.name, bucket="photos", key="k", transfer_id=transfer_id)
    audit.record(admin, "abort.done", store=store.name, bucket="photos", key="k", upload_id=UPLOAD_ID)
    assert [each.transfer_id for each in find(admin, str(transfer_id)).entries] == [transfer_id]
    assert [each.upload_id for each in find(admin, f"upload {UPLOAD_ID}, aborted").entries] == [UPLOAD_ID]


def test_buckets_and_stores_are_found_by_name(admin: User, store: Store, bucket: InventoryBucket) -> None:
    NamedBucket.objects.create(store=store, name="photos")
    named = NamedBucket.objects.create(store=store_of("two"), name="photos")
    assert {each.store.name for each in find(admin, "photos").buckets} == {"one", "two"}
    assert find(admin, "s3://photos/").buckets == find(admin, "photos").buckets
    named.delete()
    assert find(admin, "hoto").buckets == (bucket,)
    assert find(admin, "one").stores == (store,)


@pytest.mark.parametrize(
    "text", ["", "x", "none of it", "\\", "%", "_" * 8, "'; --", "é" * 500, "a\nb", "s3://", "?" * 4096]
)
def test_other_texts_find_nothing(admin: User, bucket: InventoryBucket, text: str) -> None:
    add(bucket, "key", UPLOAD_ID)
    assert find(admin, text).is_empty


def test_more_than_fit_are_named_so(admin: User, bucket: InventoryBucket) -> None:
    InventoryUpload.objects.bulk_create(
        row_of(bucket, number, key="same", upload_id=f"an-id-{number}") for number in range(LIMIT + 1)
    )
    for text in ("same", "sam"):
        found = find(admin, text)
        assert (len(found.uploads), found.has_more) == (LIMIT, True)


# --- For whom ---------------------------------------------------------------------------------------------------------


def test_nothing_of_others_is_found(admin: User, store: Store, bucket: InventoryBucket) -> None:
    """A role below a prefix finds what is there, and the same texts find nothing of the rest: not that it exists."""
    other_store = store_of("secret-store")
    other_bucket = InventoryBucket.objects.create(store=other_store, name="secret-bucket")
    NamedBucket.objects.create(store=store, name="secret-named")
    user = User.objects.create(username="below")
    grant(user, Role.VIEWER, store=store, bucket="photos", prefix="mine/")
    mine = add(bucket, "mine/k", "id-of-mine-0001")
    own = make_transfer(user, store, bucket="photos", key="mine/t", phase=Phase.DONE)
    hidden = [
        add(bucket, "theirs/k", "id-of-theirs-01", 1),
        add(other_bucket, "mine/k", "id-of-theirs-02", 2),
        make_transfer(admin, store, bucket="photos", key="mine/theirs", upload_id="id-of-theirs-03"),
        order(admin, store, "theirs/k", "id-of-theirs-04"),
        order(admin, other_store, "mine/k", "id-of-theirs-05", bucket="secret-bucket"),
        Sweep.objects.create(rule={"verdicts": ["dead"]}, author=admin, state="planned", store=other_store),
        Scan.objects.create(store=other_store, origin="page"),
    ]
    audit.record(admin, "abort.done", store=store.name, bucket="photos", key="theirs/k", upload_id="id-of-theirs-06")
    texts = [str(each.pk) for each in hidden if isinstance(each.pk, uuid.UUID)]
    texts += [f"id-of-theirs-0{number}" for number in range(1, 7)]
    texts += ["id-of-theirs", "theirs", "theirs/k", "mine/theirs", "secret", "secret-store", "secret-bucket"]
    texts += ["secret-named", "s3://secret-bucket/mine/k", "s3://photos/theirs/k"]
    for text in texts:
        assert find(user, text).is_empty, text
        assert not find(admin, text).is_empty, text
    assert (find(user, "mine/k").uploads, find(user, "mine/t").transfers) == ((mine,), (own,))
    assert find(user, "id-of-").uploads == (mine,)
    assert find(user, "photos").buckets == (bucket,)
    assert find(user, "one").stores == (store,)


def test_a_disabled_store_is_found_by_those_who_see_it(admin: User, store: Store, bucket: InventoryBucket) -> None:
    operator = User.objects.create(username="operator")
    grant(operator)
    add(bucket, "k", UPLOAD_ID)
    assert counts(find(operator, UPLOAD_ID)) == {"uploads": 1}
    Store.objects.update(enabled=False)
    for text in (UPLOAD_ID, "photos", "one"):
        assert find(operator, text).is_empty
        assert not find(admin, text).is_empty


# --- How much it costs ------------------------------------------------------------------------------------------------


def statements(user: User, text: str) -> int:
    user = User.objects.get(pk=user.pk)
    with CaptureQueriesContext(connection) as captured:
        find(user, text)
    return len(captured)


def test_the_number_of_statements_does_not_depend_on_the_rows(admin: User, store: Store) -> None:
    operator = User.objects.create(username="operator")
    grant(operator, store=store)
    texts = (UPLOAD_ID, "same", "sam", "none-of-these", f"PUT /b/k?uploadId=none-of-these {uuid.uuid4()}", "x" * 4096)

    def measured() -> dict[tuple[str, str], int]:
        return {(user.username, text[:20]): statements(user, text) for user in (admin, operator) for text in texts}

    bucket = InventoryBucket.objects.create(store=store, name="first")
    add(bucket, "same", UPLOAD_ID)
    make_transfer(admin, store, key="same")
    few = measured()
    buckets = [InventoryBucket.objects.create(store=store, name=f"same-{number}") for number in range(30)]
    InventoryUpload.objects.bulk_create(
        row_of(buckets[number % 30], number, key="same", upload_id=f"{UPLOAD_ID}{number}") for number in range(300)
    )
    for number in range(30):
        make_transfer(admin, store, key="same", upload_id=f"u{number}", sent=1)
        order(admin, store, "same", f"{UPLOAD_ID}{number}")
    assert measured() == few
    assert max(few.values()) <= 30, few
