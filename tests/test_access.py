"""What a user sees in the database is what the rules of scopes say, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext

from tests.dashboard.make_transfer import make_transfer
from tests.grants import grant, make_operator
from uploads import access, audit
from uploads.access import NotAllowed, NotVisible
from uploads.domain.roles import Action, Limits, Place, Role, Scope, TokenScope
from uploads.models import AuditEntry, Operation, OperationItem, Store, StoreCheck, Transfer
from uploads.problems import Code

pytestmark = pytest.mark.django_db

KEYS = ["a", "a/", "a/b", "A/b", "ab", "\u00e9/b", "e\u0301/b", "%/b", "_/b", "x/a/", "\U0001f4c4/b", "b/"]
BUCKETS = ["photos", "Photos"]
PREFIXES = ["a/", "a", "\u00e9/", "%", "_", "\U0001f4c4", "A/"]


@pytest.fixture
def stores() -> list[Store]:
    values = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    return [Store.objects.create(name=name, **values) for name in ("one", "two")]


@pytest.fixture
def user() -> User:
    return User.objects.create(username="olga")


@pytest.fixture
def other() -> User:
    return make_operator("other")


def again(user: User) -> User:
    """The user as another request has it: without what the first one has read."""
    return User.objects.get(pk=user.pk)


def each_place(stores: list[Store], make: Callable[[Store, str, str], object]) -> None:
    for store in stores:
        for bucket in BUCKETS:
            for key in KEYS:
                make(store, bucket, key)


SCOPES: list[dict[str, Any]] = [
    {},
    {"store": 0},
    {"store": 0, "bucket": "photos"},
    *({"store": 0, "bucket": "photos", "prefix": prefix} for prefix in PREFIXES),
]


def granted(user: User, stores: list[Store], where: dict[str, Any], **more: Any) -> Scope:
    values = {**where, "store": stores[0]} if "store" in where else where
    return grant(user, **values, **more).scope


@pytest.mark.parametrize("where", SCOPES, ids=str)
@pytest.mark.parametrize("all_transfers", [False, True])
def test_visible_transfers(
    stores: list[Store], user: User, other: User, where: dict[str, Any], *, all_transfers: bool
) -> None:
    each_place(stores, lambda store, bucket, key: make_transfer(user, store, bucket=bucket, key=key))
    each_place(stores, lambda store, bucket, key: make_transfer(other, store, bucket=bucket, key=key))
    scope = granted(user, stores, where, all_transfers=all_transfers)
    seen = set(access.visible_transfers(again(user)))
    inside = {each for each in Transfer.objects.all() if scope.includes(access.place_of(each))}
    assert seen == {each for each in inside if all_transfers or each.owner_id == user.pk}
    assert set(access.transfers_to_send(again(user))) == {each for each in inside if each.owner_id == user.pk}


@pytest.mark.parametrize("where", SCOPES, ids=str)
def test_visible_operations(stores: list[Store], user: User, other: User, where: dict[str, Any]) -> None:
    def order(store: Store, bucket: str, *keys: str) -> None:
        operation = Operation.objects.create(kind="abort", actor=other, store=store, bucket=bucket)
        for key in keys:
            OperationItem.objects.create(operation=operation, key=key, upload_id="u")

    each_place(stores, order)
    order(stores[0], "photos", "a/b", "ab")
    order(stores[0], "photos", "a/b", "a/c")
    scope = granted(user, stores, where)
    expected = {
        each.pk
        for each in Operation.objects.all()
        if all(scope.includes(Place(each.store_id, each.bucket, item.key)) for item in each.items.all())
    }
    assert {each.pk for each in access.visible_operations(again(user))} == expected


def test_an_operation_within_two_prefixes_is_visible(stores: list[Store], user: User, other: User) -> None:
    operation = Operation.objects.create(kind="abort", actor=other, store=stores[0], bucket="photos")
    for key in ("a/1", "b/1"):
        OperationItem.objects.create(operation=operation, key=key, upload_id="u")
    grant(user, store=stores[0], bucket="photos", prefix="a/")
    assert not access.visible_operations(again(user)).exists()
    grant(user, store=stores[0], bucket="photos", prefix="b/")
    assert access.visible_operations(again(user)).exists()


@pytest.mark.parametrize("where", SCOPES, ids=str)
def test_entries_to_see(stores: list[Store], user: User, other: User, where: dict[str, Any]) -> None:
    each_place(
        stores,
        lambda store, bucket, key: audit.record(other, "abort.ordered", store=store.name, bucket=bucket, key=key),
    )
    audit.record(other, "store.changed", store="one")
    audit.record(other, "test.signed-in")
    audit.record(user, "test.signed-in")
    own, others = (make_transfer(owner, stores[0], key="a/b") for owner in (user, other))
    for transfer in (own, others):
        audit.record_transfer(transfer.owner, "begun", transfer)
        audit.record_transfer(None, "done", transfer)
    scope = granted(user, stores, where)
    ids = {store.name: store.pk for store in stores}
    expected = {
        each.pk
        for each in AuditEntry.objects.exclude(bucket="")
        if each.transfer_id != others.pk and scope.includes(Place(ids[each.store], each.bucket, each.key))
    }
    expected |= set(AuditEntry.objects.filter(actor=user, store="").values_list("pk", flat=True))
    assert {each.pk for each in access.entries_to_see(again(user))} == expected


def test_administrators_of_a_store_see_what_was_changed_in_it(stores: list[Store], user: User, other: User) -> None:
    audit.record(other, "store.changed", store="one")
    audit.record(other, "store.changed", store="two")
    grant(user, Role.STORE_ADMINISTRATOR, store=stores[0])
    assert [each.store for each in access.entries_to_see(again(user))] == ["one"]


def test_visible_stores(stores: list[Store], user: User) -> None:
    Store.objects.filter(pk=stores[1].pk).update(enabled=False)
    assert not access.visible_stores(again(user))
    viewer = grant(user, Role.VIEWER)
    assert [store.name for store in access.visible_stores(again(user))] == ["one"]
    viewer.delete()
    grant(user, Role.STORE_ADMINISTRATOR, store=stores[1])
    assert [store.name for store in access.visible_stores(again(user))] == ["two"]


def test_checks_of_other_buckets_are_not_visible(stores: list[Store], user: User) -> None:
    for bucket in ("photos", "films"):
        StoreCheck.objects.create(store=stores[0], bucket=bucket)
    grant(user, store=stores[0], bucket="photos", prefix="a/")
    assert [check.bucket for check in access.checks_to_see(again(user), stores[0])] == ["photos"]


# --- Where grants come from -------------------------------------------------------------------------------------------


def test_grants_are_read_with_one_query_for_a_request(stores: list[Store], user: User) -> None:
    group = Group.objects.create(name="team")
    user.groups.add(group)
    grant(group, Role.VIEWER, store=stores[0])
    grant(user, store=stores[1])
    found = again(user)
    with CaptureQueriesContext(connection) as queries:
        assert access.may(found, Action.ABORT_UPLOADS, stores[1])
        assert not access.may(found, Action.ABORT_UPLOADS, stores[0])
        assert access.may(found, Action.LIST_UPLOADS, stores[0])
        assert access.role_of(found) is Role.OPERATOR
        assert access.role_of(found, stores[0]) is Role.VIEWER
    assert len(queries) == 1


def test_users_without_grants_see_nothing(stores: list[Store], user: User) -> None:
    assert access.role_of(user) is None
    with pytest.raises(NotAllowed) as refused:
        access.store_to_see(user, "one")
    assert (refused.value.problem.code, refused.value.problem.params) == (Code.NO_ROLE, {"role": "viewer"})


def test_a_granted_administrator_may_do_everything(user: User) -> None:
    grant(user, Role.ADMINISTRATOR)
    assert all(access.may(user, action) for action in Action)


def test_tokens_narrow_the_roles_of_their_owner(stores: list[Store], user: User) -> None:
    grant(user)
    limited = access.limited(again(user), Limits.of_token([TokenScope.READ], [Scope(stores[0].pk, "photos", "a/")]))
    assert access.may(limited, Action.LIST_UPLOADS, Place(stores[0].pk, "photos", "a/b"))
    assert not access.may(limited, Action.LIST_UPLOADS, Place(stores[0].pk, "photos", "b"))
    assert [store.name for store in access.visible_stores(limited)] == ["one"]
    with pytest.raises(NotAllowed) as refused:
        access.store_to_abort_in(limited, "one", "photos", ["a/b"])
    assert refused.value.problem.code == Code.TOKEN_SCOPE_REQUIRED


def test_limits_apply_to_administrators(stores: list[Store], user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    limited = access.limited(again(user), Limits.of_token(TokenScope, [Scope(stores[0].pk)]))
    assert access.may(limited, Action.ABORT_UPLOADS, stores[0])
    assert not access.may(limited, Action.ABORT_UPLOADS, stores[1])
    for action in (Action.MANAGE_USERS, Action.CHANGE_STORES, Action.ADD_STORES, Action.SEE_STAGING):
        assert not access.may(limited, action)


@pytest.mark.parametrize(
    "values",
    [
        {"role": "viewer"},
        {"role": "viewer", "user": True, "group": True},
        {"role": "viewer", "user": True, "bucket": "photos"},
        {"role": "viewer", "user": True, "store": True, "prefix": "a/"},
        {"role": "administrator", "user": True, "store": True},
        {"role": "store-administrator", "user": True, "store": True, "bucket": "photos"},
    ],
)
def test_the_database_refuses_grants_that_mean_nothing(stores: list[Store], user: User, values: dict[str, Any]) -> None:
    from uploads.models import Grant

    known = {"user": user, "group": Group.objects.create(name="team"), "store": stores[0]}
    given = {name: known[name] if value is True else value for name, value in values.items()}
    with pytest.raises(IntegrityError):
        Grant.objects.create(**given)


# --- 404 and 403 ------------------------------------------------------------------------------------------------------


def test_a_key_outside_is_not_visible_and_one_without_the_action_is_not_allowed(
    stores: list[Store], user: User
) -> None:
    grant(user, Role.VIEWER, store=stores[0], bucket="photos")
    grant(user, store=stores[0], bucket="photos", prefix="a/")
    assert access.store_to_abort_in(user, "one", "photos", ["a/b"])
    with pytest.raises(NotAllowed) as refused:
        access.store_to_abort_in(user, "one", "photos", ["a/b", "b"])
    assert refused.value.problem.params == {"role": "operator"}
    for store, bucket in (("one", "films"), ("two", "photos"), ("three", "photos")):
        with pytest.raises(NotVisible):
            access.store_to_abort_in(user, store, bucket, ["a/b"])


def test_operators_steer_their_own_transfers(stores: list[Store], user: User, other: User) -> None:
    own, others = make_transfer(user, stores[0]), make_transfer(other, stores[0])
    grant(user)
    assert access.transfer_to_steer(again(user), own.pk) == own
    with pytest.raises(NotVisible):
        access.transfer_to_steer(again(user), others.pk)
    viewer = grant(user, Role.VIEWER, all_transfers=True)
    with pytest.raises(NotAllowed):
        access.transfer_to_steer(again(user), others.pk)
    viewer.delete()
    grant(user, all_transfers=True)
    assert access.transfer_to_steer(again(user), others.pk) == others
