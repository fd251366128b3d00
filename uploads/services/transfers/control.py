"""Transfers as an operator steers them: begin, pause, resume, cancel, retry."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import audit, crash
from uploads.domain.planning import PREFERRED_PART_SIZE, Limits, Plan, PlanRefused, plan_parts
from uploads.domain.states import LIVE_PHASES, DesiredState, PartState, Phase, StoreUploadState
from uploads.models import Store, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.keys import check_bucket
from uploads.objectstore.providers import check_new_key
from uploads.services.browse.browsing import head_object, may_forbid_overwrite, provider_of
from uploads.services.staging import expected_sha256, quota
from uploads.services.transfers.dispatch import dispatch
from uploads.services.work import leases
from uploads.services.work.failures import NO_ERROR, error_code


class TransferRefused(ValueError):
    """A transfer that cannot begin. `field` is the form field to mend, `status` a fitting HTTP status."""

    def __init__(self, message: str, field: str = "", status: int = 400, code: str = "InvalidForm") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.status = status
        self.code = code


class StepRefused(ValueError):
    """What was asked of a transfer is not possible in its state."""


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
    if new.verify_sha256 and not expected_sha256.can_be_kept():
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


def set_expected_sha256(transfer: Transfer, digest: str) -> None:
    """A SHA-256 that was promised for later. Raises StepRefused where none was, or where another came before."""
    if not transfer.verify_sha256:
        raise StepRefused("No SHA-256 was promised when this transfer was begun.")
    rows = Transfer.objects.filter(pk=transfer.pk, all_received=False, expected_sha256__in=("", digest))
    if not rows.update(expected_sha256=digest):
        raise StepRefused("Another SHA-256 was promised for this transfer before.")
    transfer.expected_sha256 = digest


def request_pause(actor: User, transfer: Transfer) -> None:
    """No further part is begun; a part on its way is cut. Raises StepRefused."""
    _change_want(actor, transfer, DesiredState.PAUSE, {DesiredState.RUN}, {Phase.RECEIVING, Phase.SENDING}, "paused")


def request_resume(actor: User, transfer: Transfer) -> None:
    """Raises StepRefused."""
    _change_want(actor, transfer, DesiredState.RUN, {DesiredState.PAUSE}, {Phase.RECEIVING, Phase.SENDING}, "resumed")
    dispatch(transfer.pk)


def request_cancel(actor: User | None, transfer: Transfer, reason: str = "") -> None:
    """Leave nothing: no staged bytes, no upload in the store. Raises StepRefused once the object is being completed."""
    phases = {Phase.RECEIVING, Phase.SENDING, Phase.FAILED}
    _change_want(
        actor,
        transfer,
        DesiredState.CANCEL,
        {DesiredState.RUN, DesiredState.PAUSE},
        phases,
        "cancel-ordered",
        reason=reason,
    )
    dispatch(transfer.pk)


def _change_want(
    actor: User | None,
    transfer: Transfer,
    want: DesiredState,
    wants: set[DesiredState],
    phases: set[Phase],
    action: str,
    **detail: str,
) -> None:
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, desired_state__in=wants, phase__in=phases)
        # What is enqueued now was enqueued for the earlier want and will find nothing to do.
        if not rows.update(desired_state=want, queued_at=None, not_before=None, tries=0):
            transfer.refresh_from_db()
            raise StepRefused(f"This transfer is {transfer.state.value}: {want.value} is not possible now.")
        transfer.parts.filter(state=PartState.STAGED).update(queued_at=None)
        audit.record_transfer(actor, action, transfer, **detail)


def request_retry(actor: User, transfer: Transfer) -> None:
    """Go on from where a failed transfer stands; what the store has is not sent again. Raises StepRefused."""
    with transaction.atomic():
        if not can_retry(transfer):
            raise StepRefused("Bytes of this transfer are neither in the store nor staged here: send the file again.")
        rows = Transfer.objects.filter(pk=transfer.pk, phase=Phase.FAILED).exclude(desired_state=DesiredState.CANCEL)
        if not rows.update(
            phase=Phase.SENDING,
            desired_state=DesiredState.RUN,
            finished_at=None,
            **leases.SUCCEEDED,
            **leases.RELEASED,
            **NO_ERROR,
        ):
            raise StepRefused("Only a failed transfer can be retried.")
        transfer.parts.filter(state=PartState.STAGED).update(queued_at=None, **leases.SUCCEEDED, **NO_ERROR)
        audit.record_transfer(actor, "retried", transfer)
    dispatch(transfer.pk)


def can_retry(transfer: Transfer) -> bool:
    """Whether every byte is in the store's upload, staged here, or can still come from the browser."""
    if transfer.all_received and expected_sha256.broken(transfer, transfer.expected_sha256, transfer.sha256):
        return False
    if not transfer.all_received and not transfer.resumable:
        return False
    if transfer.by_put_object or transfer.store_uploads.filter(state=StoreUploadState.OPEN).exists():
        return True
    return not transfer.parts.filter(state=PartState.SENT).exists()


def fail_transfer(transfer_id: uuid.UUID, error: dict[str, str], token: uuid.UUID | None = None) -> None:
    """Rest, with the reason; staged bytes stay until the transfer is retried or discarded.

    With a `token` only its holder decides: who lost the lease of a step does not fail what another one is doing.
    """
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer_id, phase__in=LIVE_PHASES)
        if token is not None:
            rows = rows.filter(lease_token=token)
        # One that is being cancelled does not fail: the store misses what our own abort took from it.
        if rows.exclude(desired_state=DesiredState.CANCEL).update(
            phase=Phase.FAILED, finished_at=timezone.now(), **leases.RELEASED, **error
        ):
            transfer = Transfer.objects.select_related("store").get(pk=transfer_id)
            audit.record_transfer(None, "failed", transfer, **error)


def finish_transfer(transfer: Transfer, token: uuid.UUID, phase: Phase, **facts: object) -> bool:
    """The holder of the lease ends a transfer for good. False where the lease was lost."""
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, lease_token=token)
        changes = {**leases.RELEASED, **facts, "phase": phase, "finished_at": timezone.now()}
        if not rows.update(**changes):
            return False
        audit.record_transfer(None, phase.value, transfer, **facts)
    crash.point("transfer.ended")
    quota.release_all(transfer)
    return True
