"""Starting a transfer: a new one, or the unfinished transfer of the same file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads import audit, database
from uploads.database.prepared import Exists, Given, Insert
from uploads.domain.planning import PREFERRED_PART_SIZE, Limits, Plan, PlanRefused, plan_parts
from uploads.domain.replacement import NOTHING, Replacement, SeenObject
from uploads.domain.states import LIVE_PHASES, DesiredState, PartState, Phase
from uploads.models import Part, Store, Transfer
from uploads.models.node import lost_nodes
from uploads.objectstore.errors import ObjectStoreError, Reason, Refused
from uploads.objectstore.keys import check_bucket
from uploads.objectstore.providers import check_new_key
from uploads.objectstore.types import ObjectFacts
from uploads.origin import current
from uploads.problems import Code, Problem, ProblemError
from uploads.services.browse.browsing import ExistingObject, head_object, provider_of
from uploads.services.staging import expected_sha256, quota
from uploads.services.transfers.destination import check_destination
from uploads.services.transfers.identity import is_ours, transfer_id_of
from uploads.services.transfers.in_the_way import find_in_the_way
from uploads.services.transfers.steps import StepRefused, request_discard
from uploads.services.work.failures import error_code

STATUSES = {Reason.STORE_BUSY: 503, Reason.STORE_NOT_ANSWERING: 503, Reason.TIMEOUT: 504}
"""The HTTP statuses of failures of a store that pass; those of the others are 502."""

REPEATED_WITHIN = timedelta(hours=1)
"""How long after the end of its transfer a request counts as repeated. Later, somebody sends the file once more."""

_INSERT = Insert(Transfer)


def _of_key() -> QuerySet[Transfer]:
    return Transfer.objects.filter(
        store=Given(Transfer, "store"),
        bucket=Given(Transfer, "bucket"),
        key=Given(Transfer, "key"),
        phase__in=LIVE_PHASES | {Phase.FAILED},
    ).order_by()


_KEY_IS_USED = Exists(_of_key)


class TransferRefused(ProblemError):
    """A transfer that cannot start. `field` is the form field to change, `status` a fitting HTTP status.

    `store_error` is the failure of the store that caused it. `code` is what JSON names the refusal.
    """

    def __init__(
        self,
        problem: Problem,
        field: str,
        status: int = 400,
        *,
        code: str = "InvalidForm",
        store_error: ObjectStoreError | None = None,
    ) -> None:
        super().__init__(problem)
        self.field = field
        self.status = status
        self.code = code
        self.store_error = store_error


class ObjectInTheWay(TransferRefused):
    """An object with the key is there that may not be replaced: `facts`, as HEAD has just shown it."""

    def __init__(self, problem: Problem, facts: ObjectFacts) -> None:
        super().__init__(problem, "replace", 409, code=Code.OBJECT_EXISTS)
        self.facts = facts


class KeyBusy(TransferRefused):
    """`transfer` is in progress and writes the same key. Not everybody may see it."""

    def __init__(self, transfer: Transfer) -> None:
        super().__init__(Problem(Code.KEY_BUSY), "key", 409, code=Code.KEY_BUSY)
        self.transfer = transfer


class TooManyOpen(TransferRefused):
    """The owner has as many transfers in progress as one user may have."""

    def __init__(self, count: int) -> None:
        problem = Problem(Code.USER_OPEN_TRANSFERS, count=count)
        super().__init__(problem, "", 429, code=Code.USER_OPEN_TRANSFERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransfer:
    """What a browser states about a file. `size` is bytes; without part size and part count the plan is automatic.

    `replace` allows the transfer to replace the object with its key: the one in `replacement`, or without it the one
    that is there when the transfer starts.
    `fingerprint` identifies the file's content; `expected_sha256` is hexadecimal, empty if it follows later.
    `discard` is a transfer to the same key that is cancelled first: the actor may cancel it, and has seen it.
    `upload_metadata` is the header of the request, unchanged. `with_bytes`: the first bytes are in the same request.
    `has_own_id`: the header has an id of this creation, so that only the same request, repeated, has the same header.
    """

    owner: User
    store: Store
    bucket: str
    key: str
    size: int
    filename: str = ""
    content_type: str = ""
    storage_class: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    part_size: int | None = None
    part_count: int | None = None
    replace: bool = False
    replacement: Replacement = NOTHING
    resumable: bool = False
    fingerprint: str = ""
    verify_sha256: bool = False
    expected_sha256: str = ""
    discard: Transfer | None = None
    upload_metadata: str = ""
    with_bytes: bool = False
    has_own_id: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """A transfer that is ready to receive its bytes.

    `is_new`: it was created now, so nothing has arrived. `reserved` is its only part, if its bytes are reserved.
    """

    transfer: Transfer
    is_new: bool = False
    reserved: Part | None = None


def limits_of(store: Store) -> Limits:
    """The provider's limits. Parts also fit into staging, several at a time where the provider allows small parts."""
    provider = provider_of(store)
    limit = quota.limit_bytes()
    return Limits(
        min_part_size=provider.min_part_size,
        max_part_size=min(provider.max_part_size, limit),
        preferred_part_size=min(PREFERRED_PART_SIZE, max(1, limit // 4)),
        max_parts=provider.max_parts,
        max_object_size=provider.max_object_size,
        equal_parts=provider.equal_parts,
    )


def start_transfer(new: NewTransfer) -> Transfer:
    """As `start`: only the transfer."""
    return start(new).transfer


def start(new: NewTransfer) -> Started:
    """A transfer that is ready to receive its bytes: a new one, or the unfinished one of the same file.

    If the response to a creation was lost, the request comes again, and may meet the object of its own file. It gets
    the transfer that has written it, which is done. Raises TransferRefused; nothing is stored then.
    """
    plan = plan_of(new)
    check_names(new, plan)
    same = _find_same_file(new) if new.fingerprint and is_key_used(new) else None
    if same is None:
        check_verification(new)
    elif not _asks_for_leave(same, new):
        return Started(same)
    columns = look_at_store(new)
    if isinstance(columns, Started):
        return columns
    if same is not None:
        return Started(_resumed(same, new, columns))
    if _discard_other(new):
        columns = replacement_columns(new, existing_object(new))
    with transaction.atomic():
        lock([new.owner], [new.store])
        if _is_refused(new):
            same = _find_same_file(new)
            if same is not None:
                return Started(_resumed(same, new, columns))
            _check_key_is_free(new)
            _check_open_transfers(new.owner)
        return _create(new, plan, columns)


def look_at_store(new: NewTransfer) -> Started | dict[str, Any]:
    """The columns that say what may be replaced, or the transfer of the same request. Raises TransferRefused."""
    require_destination(new.store, new.bucket, new.key)
    existing = existing_object(new)
    repeated = find_repeated(new, existing)
    return Started(repeated) if repeated is not None else replacement_columns(new, existing)


def lock(owners: Iterable[User], stores: Iterable[Store]) -> None:
    """Concurrent requests of one user wait for each other, and those for one key."""
    if database.locks_rows():
        users = {each.pk for each in owners}
        list(User.objects.select_for_update(no_key=True).filter(pk__in=users).order_by("pk"))
        ids = {store.pk for store in stores}
        list(Store.objects.select_for_update().filter(pk__in=ids).order_by("pk"))


def _create(new: NewTransfer, plan: Plan, columns: dict[str, Any]) -> Started:
    transfer = new_row(new, plan, columns)
    reserves = new.with_bytes and plan.part_count == 1 and new.size > 0
    if reserves:
        transfer.progressed_at = transfer.received_at
    _INSERT(transfer)
    audit.record_transfer(new.owner, "begun", transfer, size=new.size, replace=new.replace)
    return Started(transfer, is_new=True, reserved=quota.reserve_only_part(transfer) if reserves else None)


def new_row(new: NewTransfer, plan: Plan, columns: dict[str, Any]) -> Transfer:
    """A row that is not saved yet. `columns` are those of `replacement_columns`."""
    return Transfer(
        owner=new.owner,
        access_token_id=current().token_id,
        store=new.store,
        bucket=new.bucket,
        key=new.key,
        filename=new.filename,
        content_type=new.content_type,
        storage_class=new.storage_class,
        metadata=new.metadata,
        checksum=new.store.body_checksum,
        size=new.size,
        part_size=plan.part_size,
        part_count=plan.part_count,
        node=settings.NODE_NAME,
        resumable=new.resumable,
        fingerprint=new.fingerprint,
        verify_sha256=new.verify_sha256,
        expected_sha256=new.expected_sha256,
        upload_metadata=new.upload_metadata,
        received_at=timezone.now(),
        **columns,
    )


def plan_of(new: NewTransfer) -> Plan:
    limits = limits_of(new.store)
    if limits.max_part_size < min(limits.min_part_size, new.size):
        problem = Problem(
            Code.STAGING_TOO_SMALL, limit_bytes=limits.max_part_size, min_part_size_bytes=limits.min_part_size
        )
        raise TransferRefused(problem, "file", 507)
    try:
        return plan_parts(new.size, limits, part_size=new.part_size, part_count=new.part_count)
    except PlanRefused as refusal:
        field = "part-count" if new.part_count is not None else "part-size" if new.part_size is not None else "file"
        raise TransferRefused(refusal.problem, field, 413 if field == "file" else 400) from refusal


def check_names(new: NewTransfer, plan: Plan) -> None:
    try:
        check_bucket(new.bucket)
    except ObjectStoreError as error:
        raise TransferRefused(_own_problem(error), "bucket") from error
    try:
        check_new_key(provider_of(new.store), new.key, multipart=plan.part_count > 1)
    except ObjectStoreError as error:
        raise TransferRefused(_own_problem(error), "key") from error


def require_destination(store: Store, bucket: str, key: str) -> None:
    """Raises TransferRefused if the store certainly accepts no file there: before the first byte, not after a part."""
    try:
        check_destination(store, bucket, key)
    except Refused as refused:
        is_missing = refused.reason is Reason.NO_SUCH_BUCKET
        is_of_bucket = is_missing or refused.reason is Reason.PERMISSION
        problem = Problem(Code.DESTINATION_REFUSED, code=refused.code, request_id=refused.request_id or "-")
        raise TransferRefused(
            problem,
            "bucket" if is_of_bucket else "store",
            400 if is_missing else 403,
            code=refused.code,
            store_error=refused,
        ) from refused


def _own_problem(error: ObjectStoreError) -> Problem:
    """What the client refused before anything was sent: a problem of ours."""
    return error.problem or Problem(error.reason.value)


def replacement_columns(new: NewTransfer, existing: ExistingObject) -> dict[str, Any]:
    """Which object the transfer may replace, by what HEAD shows now. Where HEAD is not allowed, the transfer starts.

    Raises TransferRefused if an object would be replaced that the operator has not confirmed.
    """
    if new.replace and new.replacement.any_object:
        return {"forbid_overwrite": False, "replaces": {}}
    if not new.replace and existing.facts is not None:
        problem = Problem(Code.OBJECT_EXISTS, size_bytes=existing.facts.size, etag=existing.facts.etag)
        raise ObjectInTheWay(problem, existing.facts)
    if not new.replace:
        return {"forbid_overwrite": True, "replaces": {}}
    seen = new.replacement.seen
    if seen is None and existing.refusal is not None:
        return {"forbid_overwrite": False, "replaces": {}}
    if seen is not None and existing.facts is not None and (changed := new.replacement.change(existing.facts)):
        raise ObjectInTheWay(changed, existing.facts)
    if seen is None and existing.facts is not None:
        seen = SeenObject.of(existing.facts)
    return {"forbid_overwrite": False, "replaces": {"object": seen.as_json() if seen else None}}


def existing_object(new: NewTransfer) -> ExistingObject:
    """What HEAD shows; nothing where it does not matter. Raises TransferRefused if it fails."""
    if new.replace and new.replacement.any_object:
        return ExistingObject(None)
    try:
        return head_object(new.store, new.bucket, new.key)
    except ObjectStoreError as error:
        problem = Problem(Code.OBJECT_CHECK_FAILED)
        status = STATUSES.get(error.reason, 502)
        raise TransferRefused(problem, "store", status, code=error_code(error), store_error=error) from error


def _check_key_is_free(new: NewTransfer) -> None:
    """A form sent twice starts one transfer: no second transfer to a key while one is in progress."""
    other = find_in_the_way(new.store, new.bucket, new.key)
    if other is not None:
        raise KeyBusy(other)


def _check_open_transfers(owner: User) -> None:
    limit = settings.USER_OPEN_TRANSFERS
    if has_open(limit)(owner=owner.pk):
        raise TooManyOpen(limit)


def _last_open(limit: int) -> QuerySet[Transfer]:
    """The last one that is allowed, if it is there: the database counts entries of an index, and no subquery's rows."""
    rows = Transfer.objects.filter(owner=Given(Transfer, "owner"), finished_at__isnull=True)
    return rows.order_by()[limit - 1 : limit]


@cache
def has_open(limit: int) -> Exists:
    return Exists(lambda: _last_open(limit))


@cache
def _has_obstacle(limit: int) -> Exists:
    """Whether an unfinished transfer has the key, or the owner has all that are allowed: both in one statement."""
    obstacle = models.Q(models.Exists(_of_key())) | models.Q(models.Exists(_last_open(limit)))
    return Exists(lambda: User.objects.filter(obstacle, pk=Given(Transfer, "owner")).order_by())


def _is_refused(new: NewTransfer) -> bool:
    """Whether there is any reason to look for the one. Most files are new, and their owners below the limit."""
    given = {"store": new.store.pk, "bucket": new.bucket, "key": new.key, "owner": new.owner.pk}
    return _has_obstacle(settings.USER_OPEN_TRANSFERS)(**given)


def _discard_other(new: NewTransfer) -> bool:
    """Cancel the transfer that the operator has decided to discard.

    Returns whether it has ended by itself: its object may have appeared since the look at the key.
    """
    other = new.discard
    if other is None:
        return False
    if (other.store_id, other.bucket, other.key) != (new.store.pk, new.bucket, new.key):
        raise TransferRefused(Problem(Code.DISCARD_OTHER_KEY), "discard")
    try:
        return not request_discard(new.owner, other)
    except StepRefused as refusal:
        raise KeyBusy(other) from refusal


def is_key_used(new: NewTransfer) -> bool:
    """Whether an unfinished transfer has this key. Most keys are new, and one look at an index shows that."""
    return _KEY_IS_USED(store=new.store.pk, bucket=new.bucket, key=new.key)


def _find_same_file(new: NewTransfer) -> Transfer | None:
    """The transfer that this file resumes: of the same operator, destination, size and content.

    One that is to be discarded is none: the browser has found other bytes in it than in the file. Neither is one whose
    bytes are on a silent node.
    """
    if not new.fingerprint:
        return None
    rows = _of_same_file(new).filter(phase__in=LIVE_PHASES | {Phase.FAILED}).exclude(desired_state=DesiredState.CANCEL)
    if new.discard is not None:
        rows = rows.exclude(pk=new.discard.pk)
    return rows.exclude(node__in=lost_nodes()).select_related("store").first()


def _of_same_file(new: NewTransfer) -> QuerySet[Transfer]:
    """The resumable transfers of the same operator, destination, size and content."""
    return Transfer.objects.filter(
        owner=new.owner,
        store=new.store,
        bucket=new.bucket,
        key=new.key,
        size=new.size,
        fingerprint=new.fingerprint,
        resumable=True,
    )


def find_repeated(new: NewTransfer, existing: ExistingObject) -> Transfer | None:
    """The transfer of the same request, if it has written this object lately.

    Without an id of the creation, the same header may be a new request: of a client that asks before it sends bytes, or
    that wants to replace the object again.
    """
    facts = existing.facts
    if facts is None or not (new.fingerprint and new.upload_metadata and _may_be_repeated(new, facts)):
        return None
    writer = transfer_id_of(facts)
    if writer is None:
        return None
    rows = _of_same_file(new).filter(
        pk=writer,
        upload_metadata=new.upload_metadata,
        phase=Phase.DONE,
        finished_at__gte=timezone.now() - REPEATED_WITHIN,
    )
    transfer = rows.select_related("store").first()
    if transfer is None or not is_ours(transfer, facts) or transfer.etag != facts.etag:
        return None
    return transfer


def _may_be_repeated(new: NewTransfer, facts: ObjectFacts) -> bool:
    if new.has_own_id:
        return True
    is_in_the_way = not new.replace or (new.replacement.seen is not None and not new.replacement.seen.is_same(facts))
    return new.with_bytes and is_in_the_way


def check_verification(new: NewTransfer) -> None:
    if new.verify_sha256 and not expected_sha256.can_verify():
        raise TransferRefused(Problem(Code.SHA256_UNAVAILABLE), "sha256")


def offset_of(transfer: Transfer) -> int:
    """Where the browser resumes, in bytes: the parts that are whole by the database, then what the files hold.

    Raises StagedElsewhere on another node, unless the whole file has arrived.
    """
    if transfer.all_received:
        return transfer.size
    whole = transfer.parts.exclude(state=PartState.WAITING).count()
    return transfer.folder.offset(transfer.plan, whole)


def _resumed(same: Transfer, new: NewTransfer, columns: dict[str, Any]) -> Transfer:
    """The transfer that this file resumes, with leave to replace an object if it is given now."""
    if not same.upload_metadata:  # It was created by an earlier version.
        same.upload_metadata = new.upload_metadata
        same.save(update_fields=["upload_metadata"])
    if _asks_for_leave(same, new):
        _allow(new.owner, same, columns)
    return same


def allow_replacing(actor: User, transfer: Transfer) -> None:
    """Let an unfinished transfer replace the object with its key that is there now.

    The parts in the store stay there: a transfer that failed because of an existing object has only to be retried.
    Raises ObjectStoreError if HEAD fails; nothing is changed then.
    """
    existing = head_object(transfer.store, transfer.bucket, transfer.key)
    seen = SeenObject.of(existing.facts).as_json() if existing.facts else None
    _allow(actor, transfer, {"forbid_overwrite": False, "replaces": {} if existing.refusal else {"object": seen}})


def needs_leave(transfer: Transfer) -> bool:
    """Whether leave to replace an object has to be given: there is none yet, or another object was in the way."""
    return transfer.forbid_overwrite or (transfer.phase == Phase.FAILED and transfer.error_reason == Reason.EXISTS)


def _asks_for_leave(same: Transfer, new: NewTransfer) -> bool:
    return new.replace and (needs_leave(same) or new.replacement.seen is not None)


def _allow(actor: User, transfer: Transfer, columns: dict[str, Any]) -> None:
    if all(getattr(transfer, name) == value for name, value in columns.items()):
        return
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, phase__in=LIVE_PHASES | {Phase.FAILED})
        if rows.update(**columns):
            seen = columns["replaces"].get("object") or {}
            audit.record_transfer(actor, "replace-allowed", transfer, **seen)
            for name, value in columns.items():
                setattr(transfer, name, value)
