"""Who may do what. Every view loads its objects through the function of its action, and checks nothing itself.

`uploads.domain.roles` is the policy, and `uploads.grants` reads who has which role where. An object that the user may
not see raises `NotVisible` (404), an action that no role of the user includes there raises `NotAllowed` (403), with the
role that is needed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Model, OuterRef, Q, QuerySet, Subquery
from django.http import Http404

from uploads import grants
from uploads.database.prepared import First, Given
from uploads.domain.roles import ROLE_FOR, Action, Limits, Permission, Place, Role, Scope, prefixes_within
from uploads.domain.states import OperationKind, SweepState
from uploads.models import (
    AccessToken,
    Alert,
    AlertDelivery,
    AlertRule,
    AuditEntry,
    BucketScan,
    Grant,
    InventoryBucket,
    InventoryDay,
    InventorySum,
    InventoryUpload,
    InventoryView,
    LifecycleState,
    NamedBucket,
    Operation,
    OperationItem,
    RepeatingSweep,
    Scan,
    Store,
    StoreCheck,
    Sweep,
    SweepItem,
    SweepPlace,
    Transfer,
)
from uploads.models.inventory import keys_below
from uploads.problems import Code, Problem, ProblemError

AnyUser = AbstractBaseUser | AnonymousUser
Thing = Store | Transfer | Operation | StoreCheck | Scan | Place
M = TypeVar("M", bound=Model)


class NotVisible(ProblemError, Http404):
    """The object does not exist, or the user may not see it."""


class Deleted(NotVisible):
    """The object ended and was deleted after a while. `entries` are what the audit log has about it, newest first."""

    def __init__(self, problem: Problem, entries: Sequence[AuditEntry]) -> None:
        super().__init__(problem)
        self.entries = entries


class NotAllowed(ProblemError, PermissionDenied):
    """No role of the user includes the action there. The problem names the role that does."""


# --- The policy applied -----------------------------------------------------------------------------------------------


def actor(user: AnyUser) -> User:
    """The signed-in user behind a request, whom services record as the actor."""
    if not isinstance(user, User) or not user.is_active:
        raise NotAllowed(Problem(Code.NOT_SIGNED_IN))
    return user


def limited(user: AnyUser, limits: Limits) -> User:
    """The user of a request with a token, from now on with no more than the limits of the token."""
    narrowed = actor(user)
    grants.limit(narrowed, limits)
    return narrowed


def role_of(user: AnyUser, thing: Thing | None = None) -> Role | None:
    """The highest role of the user there, or anywhere; None if there is none."""
    return grants.highest_role(grants.grants_of(actor(user)), _place(thing))


def place_of(thing: Thing) -> Place:
    match thing:
        case Store():
            return Place(thing.pk)
        case Transfer():
            return Place(thing.store_id, thing.bucket, thing.key)
        case Operation() | StoreCheck():
            return Place(thing.store_id, thing.bucket)
        case Scan():
            return Place(thing.store_id)
    return thing


def _place(thing: Thing | None) -> Place | None:
    return None if thing is None else place_of(thing)


def may(user: AnyUser, action: Action, thing: Thing | None = None) -> bool:
    """Whether a role of the user includes the action there, or anywhere. Pages offer only such actions."""
    return any(_permitting(actor(user), action, thing))


def _permitting(user: User, action: Action, thing: Thing | None = None) -> Iterator[Permission]:
    """The permissions that include the action there. Of a transfer of another user: only those for all transfers."""
    place = _place(thing)
    is_others = isinstance(thing, Transfer) and thing.owner_id != user.pk
    for each in grants.grants_of(user):
        if each.allows(action, place) and (each.all_transfers or not is_others):
            yield each


def no_longer_allowed(
    user: User | None, action: Action, thing: Thing | None, token_id: int | None = None
) -> Problem | None:
    """Why work that this user has requested is not done any more; None if it is. Work of the system always is.

    `token_id`: the token that requested it. Revoking the token ends the work, its expiry does not.
    """
    if user is None:
        return None
    if not user.is_active:
        return Problem(Code.ACTOR_DISABLED, user=user.get_username())
    if not may(user, action, thing):
        return Problem(Code.ROLE_LOST, user=user.get_username(), role=ROLE_FOR[action].value)
    return None if token_id is None else _revoked_since(token_id)


def _revoked_since(token_id: int) -> Problem | None:
    token = AccessToken.objects.filter(pk=token_id, revoked_at__isnull=False).first()
    return None if token is None else Problem(Code.TOKEN_LOST, name=token.name)


def _require(user: AnyUser, action: Action, thing: Thing | None = None) -> None:
    if not may(user, action, thing):
        raise NotAllowed(_refusal(actor(user), action))


def _refusal(user: User, action: Action) -> Problem:
    limits = grants.limits_of(user)
    if limits is not None and action not in limits.actions:
        return Problem(Code.TOKEN_SCOPE_REQUIRED)
    code = Code.ROLE_REQUIRED if grants.grants_of(user) else Code.NO_ROLE
    return Problem(code, role=ROLE_FOR[action].value)


def _get(rows: QuerySet[M], problem: Problem, **fields: Any) -> M:
    found = rows.filter(**fields).first()
    if found is None:
        raise NotVisible(problem)
    return found


MAX_ENTRIES = 200
"""Audit entries that a page about a deleted object has."""


def _get_or_deleted(user: AnyUser, rows: QuerySet[M], missing: Problem, deleted: Problem, **entry: uuid.UUID) -> M:
    """As `_get`. Raises Deleted if the object is in the audit log only; `entry` is the column with its id."""
    (pk,) = entry.values()
    found = rows.filter(pk=pk).first()
    if found is not None:
        return found
    if may(user, Action.SEE_AUDIT) and not rows.model._default_manager.filter(pk=pk).exists():
        entries = list(entries_to_see(user).filter(**entry)[:MAX_ENTRIES])
        if entries:
            raise Deleted(deleted, entries)
    raise NotVisible(missing)


# --- Stores -----------------------------------------------------------------------------------------------------------


def visible_stores(user: AnyUser) -> QuerySet[Store]:
    """The stores whose names the user may see, for pages about something else."""
    condition = grants.NOTHING
    for each in _permitting(actor(user), Action.SEE_STORES):
        seen = Q() if each.allows(Action.SEE_DISABLED_STORES) else Q(enabled=True)
        condition |= (Q(pk__isnull=False) if each.scope.store_id is None else Q(pk=each.scope.store_id)) & seen
    return Store.objects.filter(condition)


def _store(user: AnyUser, name: str, action: Action, bucket: str = "", keys: Iterable[str] = ()) -> Store:
    """The store, if the user may do the action with it, with all that is named of the bucket, or with some of it."""
    _require(user, Action.SEE_STORES)
    store = _get(visible_stores(user), Problem(Code.NO_SUCH_STORE, store=name), name=name)
    _require_at(user, action, store, bucket, keys)
    return store


def _require_at(user: AnyUser, action: Action, store: Store, bucket: str = "", keys: Iterable[str] = ()) -> None:
    """Raises NotVisible for a place that the user may not see, and NotAllowed for one where the action is missing."""
    places = [Place(store.pk, bucket, key) for key in keys] or [Place(store.pk, bucket)]
    for place in places:
        if not may(user, Action.SEE_STORES, place):
            raise NotVisible(Problem(Code.NO_SUCH_PLACE))
    for place in places:
        _require(user, action, place)


def stores_to_see(user: AnyUser) -> QuerySet[Store]:
    _require(user, Action.SEE_STORES)
    return visible_stores(user)


def store_to_see(user: AnyUser, name: str) -> Store:
    """A store with its state, buckets and checks."""
    return _store(user, name, Action.SEE_STORES)


def may_see_endpoint(user: AnyUser, store: Store) -> bool:
    """Whether the user has a role for the store as a whole: who may see a bucket of it need not know its address."""
    whole = place_of(store)
    return any(each.scope.includes(whole) for each in _permitting(actor(user), Action.SEE_STORES, store))


def buckets_to_see(user: AnyUser, store: Store) -> frozenset[str] | None:
    """The buckets of a store that the user may see; None for all of them."""
    return _buckets(user, Action.SEE_STORES, store)


def _buckets(user: AnyUser, action: Action, store: Store) -> frozenset[str] | None:
    found = {each.scope.bucket for each in _permitting(actor(user), action, store)}
    return None if "" in found else frozenset(found)


def visible_named_buckets(user: AnyUser) -> QuerySet[NamedBucket]:
    """The buckets that administrators entered and of which the user may see something."""
    scopes = [Scope(each.scope.store_id, each.scope.bucket) for each in _permitting(actor(user), Action.SEE_STORES)]
    return NamedBucket.objects.filter(grants.at_scopes(scopes, bucket="name"), store__in=visible_stores(user))


def may_add_stores(user: AnyUser) -> bool:
    """Whether pages offer to add stores."""
    return may(user, Action.ADD_STORES)


def may_change_store(user: AnyUser, store: Store) -> bool:
    """Whether pages offer to change this store."""
    return may(user, Action.CHANGE_STORES, store)


def actor_to_add_stores(user: AnyUser) -> User:
    _require(user, Action.ADD_STORES)
    return actor(user)


def store_to_change(user: AnyUser, name: str) -> Store:
    return _store(user, name, Action.CHANGE_STORES)


def may_check_store(user: AnyUser, store: Store) -> bool:
    """Whether pages offer to check this store."""
    return may(user, Action.CHECK_STORES, store)


def store_to_check(user: AnyUser, name: str) -> Store:
    """A store to request a check of, or to forget what checks found."""
    return _store(user, name, Action.CHECK_STORES)


def checks_to_see(user: AnyUser, store: Store) -> QuerySet[StoreCheck]:
    """What checks found in the buckets of a store that the user may see."""
    _require(user, Action.SEE_STORES, store)
    checks = StoreCheck.objects.filter(store=store, store__in=visible_stores(user))
    buckets = buckets_to_see(user, store)
    if buckets is not None:
        checks = checks.filter(bucket__in=buckets)
    return checks.select_related("store", "actor")


def checks_condition(user: AnyUser) -> Q:
    """The checks of all stores, in the buckets that the user may see, as a condition."""
    scopes = [Scope(each.scope.store_id, each.scope.bucket) for each in _permitting(actor(user), Action.SEE_STORES)]
    return grants.at_scopes(scopes, key="") & Q(store__in=visible_stores(user).values("pk"))


def all_checks_to_see(user: AnyUser) -> QuerySet[StoreCheck]:
    _require(user, Action.SEE_STORES)
    return StoreCheck.objects.filter(checks_condition(user)).select_related("store", "actor")


def may_see_check(user: AnyUser, check: StoreCheck) -> bool:
    return may(user, Action.SEE_STORES, check)


def check_to_see(user: AnyUser, store: Store, check_id: uuid.UUID) -> StoreCheck:
    return _get(checks_to_see(user, store), Problem(Code.NO_SUCH_CHECK), pk=check_id)


# --- Uploads ----------------------------------------------------------------------------------------------------------


def store_to_list(user: AnyUser, name: str, bucket: str = "", keys: Iterable[str] = ()) -> Store:
    """A store to list uploads of a bucket in, or the parts of uploads with these keys."""
    return _store(user, name, Action.LIST_UPLOADS, bucket, keys)


def prefixes_to_list(user: AnyUser, store: Store, bucket: str, prefix: str) -> tuple[str, ...]:
    """What a listing of this prefix may ask for: the prefix itself inside a grant, or the granted ones below it."""
    found = _permitting(actor(user), Action.LIST_UPLOADS, Place(store.pk, bucket))
    prefixes = prefixes_within(prefix, (each.scope.prefix for each in found))
    if not prefixes:
        raise NotVisible(Problem(Code.NO_SUCH_PLACE))
    return prefixes


def may_list_all(user: AnyUser, store: Store, bucket: str) -> bool:
    """Whether the user may list all uploads of a bucket, and not only those below some prefixes."""
    return any(not each.scope.prefix for each in _permitting(actor(user), Action.LIST_UPLOADS, Place(store.pk, bucket)))


def may_change_lifecycle(user: AnyUser, store: Store, bucket: str) -> bool:
    """Whether the user may change the rules of a bucket: only with a grant for all of it."""
    found = _permitting(actor(user), Action.CHANGE_LIFECYCLE, Place(store.pk, bucket))
    return any(not each.scope.prefix for each in found)


def store_to_see_lifecycle(user: AnyUser, name: str, bucket: str) -> Store:
    """A store to read the rules of a bucket in: they name prefixes, so a grant for some prefixes does not suffice."""
    store = _store(user, name, Action.LIST_UPLOADS, bucket)
    if not may_list_all(user, store, bucket):
        raise NotAllowed(_refusal(actor(user), Action.LIST_UPLOADS))
    return store


def store_to_change_lifecycle(user: AnyUser, name: str, bucket: str) -> Store:
    store = _store(user, name, Action.CHANGE_LIFECYCLE, bucket)
    if not may_change_lifecycle(user, store, bucket):
        raise NotAllowed(_refusal(actor(user), Action.CHANGE_LIFECYCLE))
    return store


def visible_lifecycle_states(user: AnyUser) -> QuerySet[LifecycleState]:
    """What is known of the lifecycle rules of the buckets of which the user may list all uploads."""
    _require(user, Action.LIST_UPLOADS)
    whole = [each for each in listing_scopes(user) if not each.prefix]
    return LifecycleState.objects.filter(grants.at_scopes(whole, key=""), store__in=visible_stores(user))


def store_to_abort_in(user: AnyUser, name: str, bucket: str, keys: Iterable[str]) -> Store:
    return _store(user, name, Action.ABORT_UPLOADS, bucket, keys)


def store_to_complete_in(user: AnyUser, name: str, bucket: str, keys: Iterable[str]) -> Store:
    return _store(user, name, Action.COMPLETE_UPLOADS, bucket, keys)


# --- Scans and the inventory ------------------------------------------------------------------------------------------


def visible_scans(user: AnyUser) -> QuerySet[Scan]:
    """The scans of stores in which the user may list something. `bucket_scans_to_see` says what of each."""
    scopes = [Scope(each.scope.store_id) for each in _permitting(actor(user), Action.LIST_UPLOADS)]
    rows = Scan.objects.filter(grants.at_scopes(scopes), store__in=visible_stores(user))
    return rows.select_related("store", "actor")


def scans_to_see(user: AnyUser) -> QuerySet[Scan]:
    _require(user, Action.LIST_UPLOADS)
    return visible_scans(user)


def scan_to_see(user: AnyUser, scan_id: uuid.UUID) -> Scan:
    return _get(scans_to_see(user), Problem(Code.NO_SUCH_SCAN), pk=scan_id)


def visible_bucket_scans(user: AnyUser) -> QuerySet[BucketScan]:
    """The parts of scans of which the user may list all: a number says something about each upload that it counts."""
    scopes = [each.scope for each in _permitting(actor(user), Action.LIST_UPLOADS)]
    seen = grants.at_scopes(scopes, store="bucket__store", bucket="bucket__name", key="prefix")
    return BucketScan.objects.filter(seen, bucket__store__in=visible_stores(user))


def visible_inventory_buckets(user: AnyUser) -> QuerySet[InventoryBucket]:
    """The buckets in which the user may list something."""
    scopes = [Scope(each.scope.store_id, each.scope.bucket) for each in _permitting(actor(user), Action.LIST_UPLOADS)]
    return InventoryBucket.objects.filter(grants.at_scopes(scopes, bucket="name"), store__in=visible_stores(user))


def stores_to_scan(user: AnyUser) -> QuerySet[Store]:
    """The enabled stores of which the user may scan something."""
    _require(user, Action.SCAN_STORES)
    scopes = [Scope(each.scope.store_id) for each in _permitting(actor(user), Action.SCAN_STORES)]
    return visible_stores(user).filter(grants.at_scopes(scopes, store="pk"), enabled=True)


def may_scan(user: AnyUser, store: Store | None = None) -> bool:
    """Whether pages offer to scan this store, or something of it; without a store: any."""
    return may(user, Action.SCAN_STORES, store)


def store_to_scan(user: AnyUser, name: str) -> Store:
    """A store of which the user may scan something: `places_to_scan`."""
    return _store(user, name, Action.SCAN_STORES)


def places_to_scan(user: AnyUser, store: Store, bucket: str = "", prefix: str = "") -> tuple[tuple[str, str], ...]:
    """What of a store, of a bucket or of a prefix the user may scan, as buckets and prefixes; empty for all buckets."""
    scopes = {each.scope for each in _permitting(actor(user), Action.SCAN_STORES, Place(store.pk, bucket))}
    if bucket:
        prefixes = prefixes_within(prefix, (each.prefix for each in scopes))
        if not prefixes:
            raise NotVisible(Problem(Code.NO_SUCH_PLACE))
        return tuple((bucket, each) for each in prefixes)
    if any(not (each.bucket or each.prefix) for each in scopes):
        return ()
    return tuple(sorted({(each.bucket, each.prefix) for each in scopes}))


def may_cancel_scan(user: AnyUser, scan: Scan) -> bool:
    """Whether the user may scan all that this scan reads."""
    found = [each.scope for each in _permitting(actor(user), Action.SCAN_STORES, scan)]
    places = [Place(scan.store_id, bucket, prefix or None) for bucket, prefix in scan.places] or [place_of(scan)]
    return all(any(scope.includes(place) for scope in found) for place in places)


def scan_to_cancel(user: AnyUser, scan_id: uuid.UUID) -> Scan:
    _require(user, Action.SCAN_STORES)
    scan = scan_to_see(user, scan_id)
    if not may_cancel_scan(user, scan):
        raise NotAllowed(_refusal(actor(user), Action.SCAN_STORES))
    return scan


def may_change_inventory(user: AnyUser, store: Store) -> bool:
    """Whether pages offer to change how the uploads of this store are scanned and judged."""
    return may(user, Action.CHANGE_INVENTORY, store)


def store_to_change_inventory_of(user: AnyUser, name: str) -> Store:
    return _store(user, name, Action.CHANGE_INVENTORY)


# --- Uploads of the inventory -----------------------------------------------------------------------------------------


def visible_inventory(user: AnyUser) -> QuerySet[InventoryUpload]:
    """The uploads of the inventory that the user may list in their stores, with those that have ended."""
    return InventoryUpload.objects.filter(inventory_condition(user))


def visible_inventory_sums(user: AnyUser) -> QuerySet[InventorySum] | None:
    """The sums of the buckets of the inventory; None if the user may list only a part of some bucket."""
    _require(user, Action.LIST_UPLOADS)
    scopes = listing_scopes(user)
    whole = [each for each in scopes if not each.prefix]
    if any(each.prefix and not any(other.meet(each) == each for other in whole) for each in scopes):
        return None
    inside = grants.at_scopes(whole, store="bucket__store", bucket="bucket__name", key="")
    return InventorySum.objects.filter(inside, bucket__store__in=visible_stores(user))


def whole_inventory_buckets(user: AnyUser) -> QuerySet[InventoryBucket]:
    """The buckets of the inventory that the user may list as a whole."""
    _require(user, Action.LIST_UPLOADS)
    inside = grants.at_scopes(listing_scopes(user), bucket="name", key="")
    return InventoryBucket.objects.filter(inside, store__in=visible_stores(user))


def visible_inventory_days(user: AnyUser) -> QuerySet[InventoryDay]:
    """The rows of days of the buckets that the user may list as a whole: a row says nothing of a prefix alone."""
    _require(user, Action.LIST_UPLOADS)
    inside = grants.at_scopes(listing_scopes(user), store="bucket__store", bucket="bucket__name", key="")
    return InventoryDay.objects.filter(inside, bucket__store__in=visible_stores(user))


def inventory_condition(user: AnyUser) -> Q:
    """The same as `visible_inventory` as a condition that joins no table, so that an index can be used."""
    _require(user, Action.LIST_UPLOADS)
    stores = list(visible_stores(user).order_by("pk").values_list("pk", flat=True))
    some = Q(store__in=stores) if Store.objects.exclude(pk__in=stores).exists() else Q()
    inside = grants.NOTHING
    for scope in listing_scopes(user):
        if scope.is_everywhere:
            return some
        place = Q() if scope.store_id is None else Q(store=scope.store_id)
        if scope.bucket:
            place &= Q(bucket__in=inventory_buckets(scope))
        inside |= place & (keys_below(scope.prefix) if scope.prefix else Q())
    return some & inside


def listing_scopes(user: AnyUser) -> list[Scope]:
    """Where the user may list uploads."""
    return [each.scope for each in _permitting(actor(user), Action.LIST_UPLOADS)]


def inventory_buckets(scope: Scope) -> list[int]:
    """The buckets of the inventory that a scope has something of."""
    whole = Scope(scope.store_id, scope.bucket)
    rows = InventoryBucket.objects.filter(grants.at_scope(whole, bucket="name")).order_by("pk")
    return list(rows.values_list("pk", flat=True))


# --- Operations -------------------------------------------------------------------------------------------------------


def visible_operations(user: AnyUser) -> QuerySet[Operation]:
    """The operations of all actors, where the user may see all of their uploads."""
    return Operation.objects.filter(operations_condition(user)).select_related("store", "actor")


def operations_condition(user: AnyUser) -> Q:
    """`visible_operations` as a condition."""
    scopes = [each.scope for each in _permitting(actor(user), Action.SEE_OPERATIONS)]
    return _all_items_in(scopes) & Q(store__in=visible_stores(user).values("pk"))


def operations_to_see(user: AnyUser) -> QuerySet[Operation]:
    _require(user, Action.SEE_OPERATIONS)
    return visible_operations(user)


def _all_items_in(scopes: Sequence[Scope]) -> Q:
    """Operations in a bucket that is in a scope, or whose keys all start with prefixes of scopes of their bucket."""
    condition = grants.at_scopes((scope for scope in scopes if not scope.prefix), key="")
    by_bucket: dict[Scope, Q] = {}
    for scope in scopes:
        if scope.prefix:
            bucket = Scope(scope.store_id, scope.bucket)
            by_bucket[bucket] = by_bucket.get(bucket, grants.NOTHING) | grants.starts_with("key", scope.prefix)
    for bucket, inside in by_bucket.items():
        outside = OperationItem.objects.filter(operation=OuterRef("pk")).exclude(inside)
        condition |= grants.at_scope(bucket) & Q(~Exists(outside))
    return condition


def operation_to_see(user: AnyUser, operation_id: uuid.UUID) -> Operation:
    _require(user, Action.SEE_OPERATIONS)
    missing, deleted = Problem(Code.NO_SUCH_OPERATION), Problem(Code.OPERATION_DELETED)
    return _get_or_deleted(user, visible_operations(user), missing, deleted, operation_id=operation_id)


def may_steer_operation(user: AnyUser, operation: Operation) -> bool:
    """Whether the user may pause, resume and stop it: who may do the same in all of its places, and its actor."""
    action = Action.ABORT_UPLOADS if operation.kind == OperationKind.ABORT else Action.COMPLETE_UPLOADS
    if not may(user, action):
        return False
    if operation.actor_id == actor(user).pk or may(user, action, Place(operation.store_id, operation.bucket)):
        return True
    keys = operation.items.values_list("key", flat=True)
    return all(may(user, action, Place(operation.store_id, operation.bucket, key)) for key in keys)


def operations_to_steer(user: AnyUser) -> QuerySet[Operation]:
    """Those that the user may pause, resume or stop: `may_steer_operation` for many."""
    _require(user, Action.ABORT_UPLOADS)
    return operations_to_see(user).filter(operations_steering_condition(user))


def operations_steering_condition(user: AnyUser) -> Q:
    who, condition = actor(user), grants.NOTHING
    for kind, action in (
        (OperationKind.ABORT, Action.ABORT_UPLOADS),
        (OperationKind.COMPLETE, Action.COMPLETE_UPLOADS),
    ):
        scopes = [each.scope for each in _permitting(who, action)]
        if scopes:
            inside = _all_items_in(scopes)
            # An empty condition is met by every row, but `Q(...) | Q()` only by those of the first one.
            condition |= Q(kind=kind) & ((Q(actor=who) | inside) if inside else inside)
    return condition


def operation_to_steer(user: AnyUser, operation_id: uuid.UUID) -> Operation:
    """An operation to pause, resume or stop."""
    _require(user, Action.ABORT_UPLOADS)
    operation = operation_to_see(user, operation_id)
    if not may_steer_operation(user, operation):
        raise NotAllowed(_refusal(actor(user), Action.ABORT_UPLOADS))
    return operation


# --- Sweeps -----------------------------------------------------------------------------------------------------------


def sweeps_to_see(user: AnyUser) -> QuerySet[Sweep]:
    """Sweeps whose rule is limited to where the user has a role, and own ones within a role."""
    _require(user, Action.SEE_OPERATIONS)
    viewer = actor(user)
    scopes = [each.scope for each in _permitting(viewer, Action.SEE_OPERATIONS)]
    rows = Sweep.objects.all()
    # Without a condition, the user sees all: an empty one in a disjunction would count for nothing.
    if condition := grants.at_scopes(scopes, key="prefix"):
        buckets = grants.at_scopes([Scope(each.store_id, each.bucket) for each in scopes], key="")
        outside = SweepPlace.objects.filter(sweep=OuterRef("pk")).exclude(buckets)
        rows = rows.filter(condition | Q(author=viewer) & ~Q(Exists(outside)))
    return rows.select_related("store", "author", "approver", "started_by", "repeating")


def sweep_to_see(user: AnyUser, sweep_id: uuid.UUID) -> Sweep:
    return _get(sweeps_to_see(user), Problem(Code.NO_SUCH_SWEEP), pk=sweep_id)


def sweep_items_to_see(user: AnyUser, sweep: Sweep) -> QuerySet[SweepItem]:
    """The uploads of a plan with keys that the user may see."""
    scopes = [each.scope for each in _permitting(actor(user), Action.SEE_OPERATIONS)]
    return SweepItem.objects.filter(grants.at_scopes(scopes), sweep=sweep).select_related("store")


def actor_to_plan_sweeps(user: AnyUser) -> User:
    _require(user, Action.PLAN_SWEEPS)
    return actor(user)


def may_approve_sweep(user: AnyUser, sweep: Sweep) -> bool:
    """Whether a role of the user includes it for all of the plan."""
    scopes = [each.scope for each in _permitting(actor(user), Action.APPROVE_SWEEPS)]
    if sweep.store_id is not None and any(
        each.includes(Place(sweep.store_id, sweep.bucket, sweep.prefix or None)) for each in scopes
    ):
        return True
    whole = grants.at_scopes(scopes, key="")
    if not whole:
        return True
    return sweep.state != SweepState.PLANNING and not SweepPlace.objects.filter(sweep=sweep).exclude(whole).exists()


def sweep_to_approve(user: AnyUser, sweep_id: uuid.UUID) -> Sweep:
    """A sweep to approve, run, pause, resume or cancel."""
    _require(user, Action.APPROVE_SWEEPS)
    sweep = sweep_to_see(user, sweep_id)
    if not may_approve_sweep(user, sweep):
        raise NotAllowed(_refusal(actor(user), Action.APPROVE_SWEEPS))
    return sweep


def sweep_to_cancel(user: AnyUser, sweep_id: uuid.UUID) -> Sweep:
    """A sweep to cancel: its author may, too."""
    _require(user, Action.PLAN_SWEEPS)
    sweep = sweep_to_see(user, sweep_id)
    if sweep.author_id != actor(user).pk and not may_approve_sweep(user, sweep):
        raise NotAllowed(_refusal(actor(user), Action.APPROVE_SWEEPS))
    return sweep


def repeating_sweeps_to_see(user: AnyUser) -> QuerySet[RepeatingSweep]:
    """For users with a role everywhere: a rule may concern any store. Others see the own ones."""
    _require(user, Action.PLAN_SWEEPS)
    viewer = actor(user)
    is_everywhere = any(each.scope.is_everywhere for each in _permitting(viewer, Action.APPROVE_SWEEPS))
    rows = RepeatingSweep.objects.all() if is_everywhere else RepeatingSweep.objects.filter(author=viewer)
    return rows.select_related("author", "approver")


def repeating_sweep_to_change(user: AnyUser, repeating_id: uuid.UUID) -> RepeatingSweep:
    """A repeating sweep to approve, to enable or to disable."""
    _require(user, Action.APPROVE_SWEEPS)
    return _get(repeating_sweeps_to_see(user), Problem(Code.NO_SUCH_SWEEP), pk=repeating_id)


def repeating_sweep_to_edit(user: AnyUser, repeating_id: uuid.UUID) -> RepeatingSweep:
    """A repeating sweep to change: who may see it may plan the new rule, which nobody has approved."""
    return _get(repeating_sweeps_to_see(user), Problem(Code.NO_SUCH_SWEEP), pk=repeating_id)


# --- Transfers --------------------------------------------------------------------------------------------------------


def stores_to_transfer_to(user: AnyUser) -> QuerySet[Store]:
    """The stores that a new transfer can name."""
    _require(user, Action.SEND_FILES)
    scopes = [Scope(each.scope.store_id) for each in _permitting(actor(user), Action.SEND_FILES)]
    return visible_stores(user).filter(grants.at_scopes(scopes, store="pk"), enabled=True)


def new_transfer_store(user: AnyUser, name: str) -> Store | None:
    """The store of this name, if a new transfer can name it: one of `stores_to_transfer_to`. One prepared statement."""
    store = _ENABLED_STORE(name=name)
    if store is None:
        return None
    needed = (Action.SEE_STORES, Action.SEND_FILES)
    return store if all(any(_in_store(user, action, store)) for action in needed) else None


def _in_store(user: AnyUser, action: Action, store: Store) -> Iterator[Permission]:
    """The permissions that include the action somewhere in the store."""
    return (each for each in _permitting(actor(user), action) if each.scope.store_id in (None, store.pk))


_ENABLED_STORE = First(Store, lambda: Store.objects.filter(name=Given(Store, "name"), enabled=True).order_by())


def store_to_transfer_to(user: AnyUser, name: str, bucket: str = "", keys: Iterable[str] = ()) -> Store:
    return _store(user, name, Action.SEND_FILES, bucket, keys)


def buckets_to_send_to(user: AnyUser, store: Store) -> frozenset[str] | None:
    """The buckets of a store that a new transfer can name; None for all of them."""
    return _buckets(user, Action.SEND_FILES, store)


def may_send_another(user: AnyUser, transfer: Transfer) -> bool:
    """Whether pages offer to send another file to the bucket of a transfer."""
    return may(user, Action.SEND_FILES, Place(transfer.store_id, transfer.bucket))


def require_to_send(user: AnyUser, store: Store, bucket: str, key: str | None) -> None:
    """A new object with this key. Without a key: with some key of the bucket."""
    _require_at(user, Action.SEND_FILES, store, bucket, [] if key is None else [key])


def actor_to_send_files(user: AnyUser) -> User:
    _require(user, Action.SEND_FILES)
    return actor(user)


def transfers_to_send(user: AnyUser) -> QuerySet[Transfer]:
    """The user's own transfers: only the operator who started a transfer sends its bytes, whatever the role."""
    scopes = [each.scope for each in _permitting(actor_to_send_files(user), Action.SEND_FILES)]
    return Transfer.objects.filter(grants.at_scopes(scopes), owner=actor(user)).select_related("store")


def transfer_to_send(user: AnyUser, transfer_id: uuid.UUID) -> Transfer:
    return _get(transfers_to_send(user), Problem(Code.NO_SUCH_TRANSFER), pk=transfer_id)


def visible_transfers(user: AnyUser) -> QuerySet[Transfer]:
    """The user's own transfers, and everybody's where a role or a grant shows all."""
    return Transfer.objects.filter(transfers_condition(user)).select_related("store", "owner")


def transfers_condition(user: AnyUser) -> Q:
    """`visible_transfers` as a condition."""
    return _transfers_with(actor(user), Action.SEE_TRANSFERS)


def _transfers_with(owner: User, action: Action) -> Q:
    own, all_there = list[Scope](), list[Scope]()
    for each in _permitting(owner, action):
        (all_there if each.all_transfers else own).append(each.scope)
    condition = grants.at_scopes(all_there)
    if condition:
        condition |= grants.at_scopes(own) & Q(owner=owner)
    return condition


def transfers_to_see(user: AnyUser) -> QuerySet[Transfer]:
    _require(user, Action.SEE_TRANSFERS)
    return visible_transfers(user)


def may_see_all_transfers(user: AnyUser) -> bool:
    """Whether lists of transfers have those of several users."""
    return any(each.all_transfers for each in _permitting(actor(user), Action.SEE_TRANSFERS))


def transfer_to_see(user: AnyUser, transfer_id: uuid.UUID) -> Transfer:
    missing, deleted = Problem(Code.NO_SUCH_TRANSFER), Problem(Code.TRANSFER_DELETED)
    return _get_or_deleted(user, transfers_to_see(user), missing, deleted, transfer_id=transfer_id)


def transfer_to_steer(user: AnyUser, transfer_id: uuid.UUID) -> Transfer:
    """A transfer to pause, resume, retry or cancel."""
    transfer = _get(transfers_to_see(user), Problem(Code.NO_SUCH_TRANSFER), pk=transfer_id)
    _require(user, Action.STEER_TRANSFERS, transfer)
    return transfer


def transfers_to_steer(user: AnyUser) -> QuerySet[Transfer]:
    """Those that the user may pause, resume, retry or cancel."""
    _require(user, Action.SEE_TRANSFERS)
    _require(user, Action.STEER_TRANSFERS)
    return visible_transfers(user).filter(steering_condition(user))


def steering_condition(user: AnyUser) -> Q:
    return _transfers_with(actor(user), Action.STEER_TRANSFERS)


# --- Everything else --------------------------------------------------------------------------------------------------


def require_staging(user: AnyUser) -> None:
    """Staging has no row of its own: its page reads the usage of this node."""
    _require(user, Action.SEE_STAGING)


def entries_to_see(user: AnyUser) -> QuerySet[AuditEntry]:
    """What the audit log has about what the user may see, and about the user where no store is concerned.

    A token that is limited to places shows only these. Entries about a store as a whole are for its administrators, as
    they have its address.
    """
    viewer = actor(user)
    if may(user, Action.MANAGE_USERS):
        return AuditEntry.objects.all()
    condition = Q(actor=viewer, store="") if grants.is_valid_everywhere(viewer) else grants.NOTHING
    for each in _permitting(viewer, Action.SEE_AUDIT):
        there = Q() if each.scope.store_id is None else Q(store=_name_of(each.scope.store_id))
        there &= grants.at_scope(Scope(None, each.scope.bucket, each.scope.prefix))
        there &= ~Q(store="") if each.allows(Action.SEE_DISABLED_STORES) else ~Q(bucket="")
        if not each.all_transfers:
            # Not any entry by the viewer: a refusal names the transfer of somebody else.
            begun = AuditEntry.objects.filter(action="transfer.begun", actor=viewer)
            own = begun.filter(transfer_id=OuterRef("transfer_id"))
            there &= Q(transfer_id__isnull=True) | Q(Exists(own))
        condition |= there
    return AuditEntry.objects.filter(condition)


def _name_of(store_id: int) -> Subquery:
    return Subquery(Store.objects.filter(pk=store_id).values("name")[:1])


def audit_entries_to_see(user: AnyUser) -> QuerySet[AuditEntry]:
    _require(user, Action.SEE_AUDIT)
    return entries_to_see(user)


# --- Alerts -----------------------------------------------------------------------------------------------------------


def actor_to_manage_alerts(user: AnyUser) -> User:
    _require(user, Action.MANAGE_ALERTS)
    return actor(user)


def alert_rules(user: AnyUser) -> QuerySet[AlertRule]:
    _require(user, Action.MANAGE_ALERTS)
    return AlertRule.objects.select_related("store")


def alert_rule(user: AnyUser, rule_id: int) -> AlertRule:
    return _get(alert_rules(user), Problem(Code.NO_SUCH_ALERT_RULE), pk=rule_id)


def alerts_to_see(user: AnyUser) -> QuerySet[Alert]:
    _require(user, Action.MANAGE_ALERTS)
    return Alert.objects.select_related("rule__store")


def alert_deliveries_to_see(user: AnyUser) -> QuerySet[AlertDelivery]:
    _require(user, Action.MANAGE_ALERTS)
    return AlertDelivery.objects.select_related("rule")


# --- Access tokens ----------------------------------------------------------------------------------------------------


def actor_to_create_tokens(user: AnyUser) -> User:
    """Every user may have tokens: they can do no more than the user."""
    return actor(user)


def own_tokens(user: AnyUser) -> QuerySet[AccessToken]:
    return AccessToken.objects.filter(user=actor(user))


def tokens_to_see(user: AnyUser) -> QuerySet[AccessToken]:
    """Those of all users."""
    _require(user, Action.MANAGE_USERS)
    return AccessToken.objects.all()


def token_to_revoke(user: AnyUser, token_id: int) -> AccessToken:
    """One's own token, or anybody's for an administrator."""
    rows = AccessToken.objects.all() if may(user, Action.MANAGE_USERS) else own_tokens(user)
    return _get(rows.select_related("user"), Problem(Code.NO_SUCH_TOKEN), pk=token_id)


# --- Saved views of the inventory -------------------------------------------------------------------------------------


def actor_to_save_views(user: AnyUser) -> User:
    """Whoever may look at uploads may keep views of them; only operators share views with all users."""
    _require(user, Action.LIST_UPLOADS)
    return actor(user)


def may_share_views(user: AnyUser) -> bool:
    return may(user, Action.ABORT_UPLOADS)


def views_to_see(user: AnyUser) -> QuerySet[InventoryView]:
    """One's own views, and those that are shared."""
    _require(user, Action.LIST_UPLOADS)
    return InventoryView.objects.filter(Q(user=actor(user)) | Q(is_shared=True)).select_related("user")


def view_to_change(user: AnyUser, view_id: int) -> InventoryView:
    """One's own view, or a shared one for an administrator."""
    actor_to_save_views(user)
    mine = Q(user=actor(user))
    changeable = mine | Q(is_shared=True) if may(user, Action.MANAGE_USERS) else mine
    return _get(InventoryView.objects.filter(changeable), Problem(Code.NO_SUCH_VIEW), pk=view_id)


# --- Users, groups and grants -----------------------------------------------------------------------------------------


GRANTED_IN_A_STORE = (Role.VIEWER, Role.OPERATOR)
"""What an administrator of a store may grant there: less than the own role, so that nobody makes an equal."""


def may_manage_users(user: AnyUser) -> bool:
    """Whether pages offer to invite, disable and group users, and to grant every role."""
    return may(user, Action.MANAGE_USERS)


def actor_to_manage_users(user: AnyUser) -> User:
    _require(user, Action.MANAGE_USERS)
    return actor(user)


def users_to_see(user: AnyUser) -> QuerySet[User]:
    """All users: whoever grants roles chooses from them."""
    _require(user, Action.GRANT_ROLES)
    return User.objects.all()


def user_to_see(user: AnyUser, user_id: int) -> User:
    return _get(users_to_see(user), Problem(Code.NO_SUCH_USER), pk=user_id)


def user_to_manage(user: AnyUser, user_id: int) -> User:
    _require(user, Action.MANAGE_USERS)
    return _get(User.objects.all(), Problem(Code.NO_SUCH_USER), pk=user_id)


def groups_to_see(user: AnyUser) -> QuerySet[Group]:
    _require(user, Action.GRANT_ROLES)
    return Group.objects.all()


def group_to_see(user: AnyUser, group_id: int) -> Group:
    return _get(groups_to_see(user), Problem(Code.NO_SUCH_GROUP), pk=group_id)


def group_to_manage(user: AnyUser, group_id: int) -> Group:
    _require(user, Action.MANAGE_USERS)
    return _get(Group.objects.all(), Problem(Code.NO_SUCH_GROUP), pk=group_id)


def stores_to_grant(user: AnyUser) -> QuerySet[Store]:
    """The stores in which the user may grant roles."""
    _require(user, Action.GRANT_ROLES)
    scopes = [each.scope for each in _permitting(actor(user), Action.GRANT_ROLES)]
    return Store.objects.filter(grants.at_scopes(scopes, store="pk"))


def roles_to_grant(user: AnyUser) -> tuple[Role, ...]:
    _require(user, Action.GRANT_ROLES)
    return tuple(Role) if may_manage_users(user) else GRANTED_IN_A_STORE


def actor_to_grant(user: AnyUser, role: Role, store: Store | None) -> User:
    """Whoever may give this role there; without a store: in all stores."""
    if store is None or role not in GRANTED_IN_A_STORE:
        return actor_to_manage_users(user)
    _require(user, Action.GRANT_ROLES, store)
    return actor(user)


def grants_to_see(user: AnyUser) -> QuerySet[Grant]:
    """All grants, or those of the stores that the user administers."""
    _require(user, Action.GRANT_ROLES)
    rows = Grant.objects.all() if may_manage_users(user) else Grant.objects.filter(store__in=stores_to_grant(user))
    return rows.select_related("user", "group", "store")


def grant_to_remove(user: AnyUser, grant_id: int) -> Grant:
    grant = _get(grants_to_see(user), Problem(Code.NO_SUCH_GRANT), pk=grant_id)
    actor_to_grant(user, Role(grant.role), grant.store)
    return grant
