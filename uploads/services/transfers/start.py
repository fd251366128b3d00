"""Starting a transfer: a new one, or the unfinished transfer of the same file."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.domain.planning import PREFERRED_PART_SIZE, Limits, Plan, PlanRefused, plan_parts
from uploads.domain.states import LIVE_PHASES, DesiredState, PartState, Phase
from uploads.models import Store, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.keys import check_bucket
from uploads.objectstore.providers import check_new_key
from uploads.services.browse.browsing import head_object, may_forbid_overwrite, provider_of
from uploads.services.staging import expected_sha256, quota
from uploads.services.work.failures import error_code


class TransferRefused(ValueError):
    """A transfer that cannot begin. `field` is the form field to mend, `status` a fitting HTTP status."""

    def __init__(self, message: str, field: str = "", status: int = 400, code: str = "InvalidForm") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransfer:
    """What a browser says of a file. `size` is bytes; with neither part size nor part count the parts are chosen.

    `fingerprint` names the file's content; `expected_sha256` is hexadecimal, empty while it is still to come.
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
    resumable: bool = False
    fingerprint: str = ""
    verify_sha256: bool = False
    expected_sha256: str = ""


def limits_of(store: Store) -> Limits:
    """The provider's limits; parts fit into staging besides, a few at a time where the provider lets them be small."""
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
    """A transfer that is ready to receive its bytes: a new one, or the one that this very file goes on with.

    Raises TransferRefused; nothing is stored then.
    """
    plan = _plan(new)
    _check_names(new, plan)
    same = find_same_file(new)
    if same is not None:
        return _gone_on_with(same, new)
    _check_promise(new)
    _check_replacement(new)
    transfer = Transfer(
        owner=new.owner,
        store=new.store,
        bucket=new.bucket,
        key=new.key,
        filename=new.filename,
        content_type=new.content_type,
        storage_class=new.storage_class,
        metadata=new.metadata,
        forbid_overwrite=not new.replace and may_forbid_overwrite(new.store),
        size=new.size,
        part_size=plan.part_size,
        part_count=plan.part_count,
        node=settings.NODE_NAME,
        resumable=new.resumable,
        fingerprint=new.fingerprint,
        verify_sha256=new.verify_sha256,
        expected_sha256=new.expected_sha256,
        received_at=timezone.now(),
    )
    with transaction.atomic():
        # The lock keeps two of them from looking at the same moment.
        Store.objects.select_for_update().get(pk=new.store.pk)
        same = find_same_file(new)
        if same is not None:
            return _gone_on_with(same, new)
        _check_twin(new)
        transfer.save(force_insert=True)
        audit.record_transfer(new.owner, "begun", transfer, size=new.size, replace=new.replace)
    return transfer


def _plan(new: NewTransfer) -> Plan:
    limits = limits_of(new.store)
    if limits.max_part_size < min(limits.min_part_size, new.size):
        message = (
            f"Staging here may take {limits.max_part_size} bytes; this store wants parts of at least "
            f"{limits.min_part_size}. An administrator has to allow more (STAGING_QUOTA)."
        )
        raise TransferRefused(message, "file", 507)
    try:
        return plan_parts(new.size, limits, part_size=new.part_size, part_count=new.part_count)
    except PlanRefused as refusal:
        field = "part-count" if new.part_count is not None else "part-size" if new.part_size is not None else "file"
        raise TransferRefused(str(refusal), field, 413 if field == "file" else 400) from refusal


def _check_names(new: NewTransfer, plan: Plan) -> None:
    try:
        check_bucket(new.bucket)
    except ObjectStoreError as error:
        raise TransferRefused(error.message, "bucket") from error
    try:
        check_new_key(provider_of(new.store), new.key, multipart=plan.part_count > 1)
    except ObjectStoreError as error:
        raise TransferRefused(error.message, "key") from error


def _check_replacement(new: NewTransfer) -> None:
    """An object of that key must be confirmed. Where we may not look, the transfer goes ahead."""
    if new.replace:
        return
    try:
        existing = head_object(new.store, new.bucket, new.key)
    except ObjectStoreError as error:
        raise TransferRefused(f"{error_code(error)} {error.message}", "store", 502) from error
    if existing.facts is not None:
        raise TransferRefused(
            f"An object of this key exists ({existing.facts.size:,} bytes, ETag {existing.facts.etag}). "
            "Confirm that it is to be replaced, or choose another key.",
            "replace",
            409,
            "ObjectExists",
        )


def _check_twin(new: NewTransfer) -> None:
    """A form sent twice is done once: no second transfer to a key while one is under way."""
    live = Transfer.objects.filter(store=new.store, bucket=new.bucket, key=new.key, phase__in=LIVE_PHASES)
    if live.exclude(desired_state=DesiredState.CANCEL).exists():
        raise TransferRefused(
            "A transfer to this key is under way already. Wait until it has ended, cancel it, or choose another key.",
            "key",
            409,
            "KeyBusy",
        )


def find_same_file(new: NewTransfer) -> Transfer | None:
    """The transfer that this file goes on with: of the same operator, destination, size and content."""
    if not new.fingerprint:
        return None
    return (
        Transfer.objects.filter(
            owner=new.owner,
            store=new.store,
            bucket=new.bucket,
            key=new.key,
            size=new.size,
            fingerprint=new.fingerprint,
            resumable=True,
            phase__in=LIVE_PHASES | {Phase.FAILED},
        )
        .exclude(desired_state=DesiredState.CANCEL)
        .select_related("store")
        .first()
    )


def _check_promise(new: NewTransfer) -> None:
    if new.verify_sha256 and not expected_sha256.can_verify():
        raise TransferRefused("This server cannot check a SHA-256: send the file without one.", "sha256")


def offset_of(transfer: Transfer) -> int:
    """Where the browser goes on, in bytes: what is whole by the database, and after it what the files hold."""
    if transfer.all_received:
        return transfer.size
    whole = transfer.parts.exclude(state=PartState.WAITING).count()
    return transfer.folder.offset(transfer.plan, whole)


def _gone_on_with(same: Transfer, new: NewTransfer) -> Transfer:
    """The transfer that this file goes on with. That it may replace an object is said of it, if it was not before."""
    if new.replace:
        allow_replacing(new.owner, same)
    return same


def allow_replacing(actor: User, transfer: Transfer) -> None:
    """Let a transfer that has not ended replace an object of its key.

    What is in the store stays there: one that failed because of an object in its way has only to be retried.
    """
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, forbid_overwrite=True, phase__in=LIVE_PHASES | {Phase.FAILED})
        if rows.update(forbid_overwrite=False):
            audit.record_transfer(actor, "replace-allowed", transfer)
            transfer.forbid_overwrite = False
