"""Statements that are built once: they do what the query sets do from which they are built."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.dashboard.make_transfer import make_transfer
from uploads.database.prepared import Exists, First, Given, GivenKeys, GivenTexts, Insert, Rows, Update
from uploads.domain.states import Phase
from uploads.models import AccessToken, AuditEntry, Part, Store, Transfer

pytestmark = pytest.mark.django_db

HAS_KEY = Exists(lambda: Transfer.objects.filter(key=Given(Transfer, "key"), phase__in=(Phase.SENDING, Phase.DONE)))
BY_ID = First(Transfer, lambda: Transfer.objects.filter(pk=Given(Transfer, "id")).order_by())
PART_BY_ID = First(
    Part,
    lambda: Part.objects.select_related("transfer__store", "transfer__owner", "transfer__access_token").filter(
        pk=Given(Part, "id")
    ),
)
SIZES = Rows(
    lambda: (
        Transfer.objects.filter(received_at__gte=Given(Transfer, "received_at", "since"))
        .order_by("size")
        .values_list("id", "size", "metadata", "received_at")
    )
)
OF_KEYS = Rows(lambda: Transfer.objects.filter(key__in=GivenTexts("keys")).order_by("key").values_list("key"))
OF_TRANSFERS = Rows(lambda: Transfer.objects.filter(pk__in=GivenKeys(Transfer, "ids")).values_list("key"))
OF_PARTS = Rows(lambda: Part.objects.filter(pk__in=GivenKeys(Part, "ids")).order_by().values_list("transfer__key"))
RENAME = Update(
    lambda: Transfer.objects.filter(key=Given(Transfer, "key", "old")), lambda: {"key": Given(Transfer, "key", "new")}
)


@pytest.fixture
def owner() -> User:
    return User.objects.create_user("owner")


@pytest.fixture
def store() -> Store:
    return Store.objects.create(name="a", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def test_rows_are_found_by_the_values_of_each_call(owner: User, store: Store) -> None:
    make_transfer(owner, store, key='it\'s 100% "a"')
    assert HAS_KEY(key='it\'s 100% "a"')
    assert not HAS_KEY(key="b")
    make_transfer(owner, store, key="b")
    assert HAS_KEY(key="b")


def test_object_has_all_values(owner: User, store: Store) -> None:
    made = make_transfer(owner, store, metadata={"owner": "ops"}, proofs=["etag"], create_sent_at=timezone.now())
    found, expected = BY_ID(id=made.pk), Transfer.objects.get(pk=made.pk)
    assert found is not None
    assert {field.attname: getattr(found, field.attname) for field in Transfer._meta.concrete_fields} == {
        field.attname: getattr(expected, field.attname) for field in Transfer._meta.concrete_fields
    }
    assert not found.get_deferred_fields()
    assert BY_ID(id=uuid.uuid4()) is None


def test_object_has_its_related_objects(owner: User, store: Store, django_assert_num_queries: Any) -> None:
    made = make_transfer(owner, store, metadata={"owner": "ops"})
    with_token = make_transfer(
        owner, store, access_token=AccessToken.objects.create(user=owner, name="token", expires_at=timezone.now())
    )
    for each, token in ((made, None), (with_token, with_token.access_token)):
        part = Part.objects.create(transfer=each, number=1, size=1)
        with django_assert_num_queries(1):
            found = PART_BY_ID(id=part.pk)
            assert found is not None
            assert (found.transfer, found.transfer.store, found.transfer.owner) == (each, store, owner)
            assert found.transfer.access_token == token
        assert found.transfer.metadata == each.metadata
        assert found.transfer.store.secret_key == store.secret_key
        assert found.transfer.owner.get_username() == "owner"
    assert PART_BY_ID(id=0) is None


def test_values_are_converted_as_by_django(owner: User, store: Store) -> None:
    since = timezone.now()
    for size in (2, 1):
        make_transfer(owner, store, size=size, metadata={"size": size})
    rows = Transfer.objects.filter(received_at__gte=since).order_by("size")
    assert [tuple(row) for row in SIZES(since=since)] == list(rows.values_list("id", "size", "metadata", "received_at"))
    assert not SIZES(since=since + timedelta(days=1))


def test_texts_are_one_parameter(owner: User, store: Store) -> None:
    keys = ['it\'s 100% "a"', "ünï\\kød\n🙂", "", "{a,b}", "null"]
    for key in [*keys, "other"]:
        make_transfer(owner, store, key=key)
    assert sorted(key for (key,) in OF_KEYS(keys=[*keys, "missing"])) == sorted(keys)
    assert not OF_KEYS(keys=[])
    assert [key for (key,) in OF_KEYS(keys=[f"k{number}" for number in range(100_000)] + ["other"])] == ["other"]


def test_update_returns_how_many_rows_it_changed(owner: User, store: Store) -> None:
    make_transfer(owner, store, key="a")
    assert RENAME(old="a", new="b") == 1
    assert RENAME(old="a", new="c") == 0
    assert Transfer.objects.get().key == "b"


def test_update_of_each_returns_how_many_rows_it_changed(owner: User, store: Store) -> None:
    for key in ("a", "b", "c"):
        make_transfer(owner, store, key=key)
    renamed = [{"old": "a", "new": "x"}, {"old": "missing", "new": "y"}, {"old": "c", "new": "z"}]
    assert RENAME.for_each(iter(renamed)) == 2
    assert set(Transfer.objects.values_list("key", flat=True)) == {"x", "b", "z"}


def test_keys_are_one_parameter(owner: User, store: Store) -> None:
    first, second = make_transfer(owner, store, key="a", sent=1), make_transfer(owner, store, key="b", sent=1)
    parts = [part.pk for part in Part.objects.filter(transfer=second)]
    assert [key for (key,) in OF_TRANSFERS(ids=[first.pk, uuid.uuid4()])] == ["a"]
    assert [key for (key,) in OF_PARTS(ids=[*parts, 0])] == ["b"]
    assert not OF_TRANSFERS(ids=[])


def test_missing_values_are_stored_as_by_django(owner: User, store: Store) -> None:
    """None is NULL in a column of every type of Django's. Fields of our own decide about it themselves."""
    insert: Insert[Transfer] = Insert(Transfer)
    values = {"owner": owner, "store": store, "bucket": "b", "size": 1, "part_size": 1, "part_count": 1, "node": "n"}
    row = insert(Transfer(key="ours", received_at=None, access_token=None, lease_token=None, **values))
    stored = Transfer.objects.get(pk=row.pk)
    assert (stored.received_at, stored.access_token_id, stored.lease_token) == (None, None, None)


def test_inserted_rows_are_those_of_save(owner: User, store: Store) -> None:
    insert: Insert[Transfer] = Insert(Transfer)
    values = {"owner": owner, "store": store, "bucket": "b", "size": 1, "part_size": 1, "part_count": 1, "node": "n"}
    ours = insert(Transfer(key="ours", metadata={"a": "b"}, **values))
    Transfer.objects.create(key="saved", metadata={"a": "b"}, **values)
    assert ours.created_at is not None
    changing = {"id", "key", "created_at"}
    rows = [{name: value for name, value in row.items() if name not in changing} for row in Transfer.objects.values()]
    assert rows[0] == rows[1]
    ours.key = "changed"
    ours.save()
    assert set(Transfer.objects.values_list("key", flat=True)) == {"changed", "saved"}


def test_inserted_rows_get_their_id(owner: User, store: Store) -> None:
    transfer = make_transfer(owner, store)
    insert: Insert[Part] = Insert(Part)
    part = insert(Part(transfer=transfer, number=1, size=1))
    assert Part.objects.get(pk=part.pk).transfer == transfer
    entry = Insert(AuditEntry)(AuditEntry(action="transfer.begun", thing="transfer", detail={"size": 1}))
    assert AuditEntry.objects.get(pk=entry.pk).detail == {"size": 1}
    with pytest.raises(IntegrityError):
        insert(Part(transfer=transfer, number=1, size=1))


def test_statement_is_built_once() -> None:
    built: list[str] = []

    def rows() -> QuerySet[Transfer]:
        built.append("once")
        return Transfer.objects.filter(key=Given(Transfer, "key"))

    is_known = Exists(rows)
    with CaptureQueriesContext(connection) as captured:
        assert not is_known(key="a")
        assert not is_known(key="b")
    assert built == ["once"]
    assert len(captured) == 2
