"""Transfers as an operator steers them: begin, pause, resume, cancel, retry."""

from __future__ import annotations

import shutil
import sys
import uuid
from dataclasses import dataclass, field

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from uploads import audit
from uploads.models import Part, Store, Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.keys import check_bucket, check_key
from uploads.planning import Limits, Plan, PlanRefused, plan_parts
from uploads.services import leases
from uploads.services.browsing import head_object, provider_of
from uploads.services.dispatch import dispatch
from uploads.services.failures import NO_ERROR, WORDS
from uploads.staging.disk import free_bytes, remove_folder
from uploads.states import LIVE_PHASES, PartState, Phase, StoreUploadState, Want


class TransferRefused(ValueError):
    """A transfer that cannot begin. `field` is the form field to mend, `status` a fitting HTTP status."""

    def __init__(self, message: str, field: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.status = status


class StepRefused(ValueError):
    """What was asked of a transfer is not possible in its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTransfer:
    """What the form says of a file. `size` is bytes; with neither part size nor part count the parts are chosen."""

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


def limits_of(store: Store) -> Limits:
    provider = provider_of(store)
    return Limits(
        min_part_size=provider.min_part_size,
        max_part_size=provider.max_part_size,
        max_parts=provider.max_parts,
        max_object_size=provider.max_object_size,
        equal_parts=provider.equal_parts,
    )


def begin_transfer(actor: User, new: NewTransfer) -> Transfer:
    """A transfer that is ready to receive its bytes. Raises TransferRefused; nothing is stored then."""
    plan = _plan(new)
    _check_names(new)
    _check_room(new)
    _check_replacement(new)
    transfer = Transfer(
        owner=actor,
        store=new.store,
        bucket=new.bucket,
        key=new.key,
        filename=new.filename,
        content_type=new.content_type,
        storage_class=new.storage_class,
        metadata=new.metadata,
        size=new.size,
        part_size=plan.part_size,
        part_count=plan.part_count,
        node=settings.NODE_NAME,
        received_at=timezone.now(),
    )
    with transaction.atomic():
        _check_twin(new)
        transfer.save(force_insert=True)
        audit.record_transfer(actor, "begun", transfer, size=new.size, replace=new.replace)
    return transfer


def _plan(new: NewTransfer) -> Plan:
    try:
        return plan_parts(new.size, limits_of(new.store), part_size=new.part_size, part_count=new.part_count)
    except PlanRefused as refusal:
        field = "part-count" if new.part_count is not None else "part-size" if new.part_size is not None else "file"
        raise TransferRefused(str(refusal), field, 413 if field == "file" else 400) from refusal


def _check_names(new: NewTransfer) -> None:
    try:
        check_bucket(new.bucket)
    except ObjectStoreError as error:
        raise TransferRefused(error.message, "bucket") from error
    try:
        check_key(new.key)
    except ObjectStoreError as error:
        raise TransferRefused(error.message, "key") from error


def _check_room(new: NewTransfer) -> None:
    staging = settings.STAGING_DIR
    room = free_bytes(staging) - settings.STAGING_FREE_FLOOR
    if settings.STAGING_QUOTA:
        room = min(room, settings.STAGING_QUOTA - staged_bytes())
    if new.size <= room:
        return
    most = min(settings.STAGING_QUOTA or sys.maxsize, shutil.disk_usage(staging).total)
    advice = "It is larger than all of it: use a larger disk or quota." if new.size > most else "Try again later."
    raise TransferRefused(
        f"The file has {new.size} bytes; the staging disk has room for {max(0, room)} now. {advice}", "file", 507
    )


def staged_bytes() -> int:
    """Bytes of this node's staging that live transfers may still take: what they have not sent yet."""
    live = Transfer.objects.filter(node=settings.NODE_NAME).exclude(phase__in=(Phase.DONE, Phase.CANCELLED))
    sent = Part.objects.filter(transfer__in=live, state=PartState.SENT).aggregate(total=Sum("size"))["total"] or 0
    return (live.aggregate(total=Sum("size"))["total"] or 0) - sent


def _check_replacement(new: NewTransfer) -> None:
    """An object of that key must be confirmed. Where we may not look, the transfer goes ahead."""
    if new.replace:
        return
    try:
        existing = head_object(new.store, new.bucket, new.key)
    except ObjectStoreError as error:
        raise TransferRefused(f"{WORDS.get(error.reason, '')} {error.message}".strip(), "store", 502) from error
    if existing.facts is not None:
        raise TransferRefused(
            f"An object of this key exists ({existing.facts.size} bytes, ETag {existing.facts.etag}). "
            "Confirm that it is to be replaced, or choose another key.",
            "replace",
            409,
        )


def _check_twin(new: NewTransfer) -> None:
    """A form sent twice is done once: no second transfer to a key while one is under way.

    Call in the transaction that begins the transfer: the lock keeps two of them from looking at the same moment.
    """
    Store.objects.select_for_update().get(pk=new.store.pk)
    live = Transfer.objects.filter(store=new.store, bucket=new.bucket, key=new.key, phase__in=LIVE_PHASES)
    if live.exclude(wanted=Want.CANCEL).exists():
        raise TransferRefused(
            "A transfer to this key is under way already. Wait until it has ended, cancel it, or choose another key.",
            "key",
            409,
        )


def order_pause(actor: User, transfer: Transfer) -> None:
    """No further part is begun; a part on its way is cut. Raises StepRefused."""
    _change_want(actor, transfer, Want.PAUSE, {Want.RUN}, {Phase.RECEIVING, Phase.SENDING}, "paused")


def order_resume(actor: User, transfer: Transfer) -> None:
    """Raises StepRefused."""
    _change_want(actor, transfer, Want.RUN, {Want.PAUSE}, {Phase.RECEIVING, Phase.SENDING}, "resumed")
    dispatch(transfer.pk)


def order_cancel(actor: User | None, transfer: Transfer, reason: str = "") -> None:
    """Leave nothing: no staged bytes, no upload in the store. Raises StepRefused once the object is being completed."""
    phases = {Phase.RECEIVING, Phase.SENDING, Phase.FAILED}
    _change_want(actor, transfer, Want.CANCEL, {Want.RUN, Want.PAUSE}, phases, "cancel-ordered", reason=reason)
    dispatch(transfer.pk)


def _change_want(
    actor: User | None, transfer: Transfer, want: Want, wants: set[Want], phases: set[Phase], action: str, **detail: str
) -> None:
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer.pk, wanted__in=wants, phase__in=phases)
        # What is enqueued now was enqueued for the earlier want and will find nothing to do.
        if not rows.update(wanted=want, queued_at=None, not_before=None, tries=0):
            transfer.refresh_from_db()
            raise StepRefused(f"This transfer is {transfer.state.value}: {want.value} is not possible now.")
        transfer.parts.filter(state=PartState.STAGED).update(queued_at=None)
        audit.record_transfer(actor, action, transfer, **detail)


def order_retry(actor: User, transfer: Transfer) -> None:
    """Go on from where a failed transfer stands; what the store has is not sent again. Raises StepRefused."""
    with transaction.atomic():
        if not can_retry(transfer):
            raise StepRefused("Bytes of this transfer are neither in the store nor staged here: send the file again.")
        rows = Transfer.objects.filter(pk=transfer.pk, phase=Phase.FAILED).exclude(wanted=Want.CANCEL)
        if not rows.update(
            phase=Phase.SENDING,
            wanted=Want.RUN,
            finished_at=None,
            tries=0,
            not_before=None,
            **leases.RELEASED,
            **NO_ERROR,
        ):
            raise StepRefused("Only a failed transfer can be retried.")
        transfer.parts.filter(state=PartState.STAGED).update(tries=0, not_before=None, queued_at=None, **NO_ERROR)
        audit.record_transfer(actor, "retried", transfer)
    dispatch(transfer.pk)


def can_retry(transfer: Transfer) -> bool:
    """Whether every byte is in the store's upload or staged here."""
    if not transfer.all_received:
        return False
    if transfer.by_put_object or transfer.store_uploads.filter(state=StoreUploadState.OPEN).exists():
        return True
    return not transfer.parts.filter(state=PartState.SENT).exists()


def fail_transfer(transfer_id: uuid.UUID, error: dict[str, str]) -> None:
    """Rest, with the reason; staged bytes stay until the transfer is retried or discarded."""
    with transaction.atomic():
        rows = Transfer.objects.filter(pk=transfer_id, phase__in=LIVE_PHASES)
        # One that is being cancelled does not fail: the store misses what our own abort took from it.
        if rows.exclude(wanted=Want.CANCEL).update(
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
    remove_folder(transfer.folder)
    return True
