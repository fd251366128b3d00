"""Transfers: a file that a browser sends to a store, its parts, and its uploads in the store."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils import timezone

from uploads.domain.planning import Plan
from uploads.domain.replacement import ANYTHING, NOTHING, Replacement, SeenObject
from uploads.domain.states import (
    NEEDS_STORE,
    DesiredState,
    PartState,
    Phase,
    StoreUploadState,
    TransferState,
    shown_state,
)
from uploads.models.access_token import AccessToken
from uploads.models.store import CHECKSUMS, Store, failing
from uploads.models.work import WorkFields
from uploads.objectstore.checksums import BodyChecksum
from uploads.staging.disk import StagingFolder

SILENT_AFTER = timedelta(seconds=20)
"""A browser that has sent nothing for this long has probably stopped sending."""

QUOTA_REFUSAL_SHOWN = timedelta(minutes=1)
"""How long a transfer counts as waiting for space after the quota refused it space: its browser tries again."""

FORM_EXPIRY = timedelta(minutes=15)
"""A form upload of which nothing has arrived for this time has lost its browser or its web server: it is cancelled."""


def browser_is_silent() -> models.Q:
    """Transfers whose file has not arrived completely, and of which nothing has arrived lately.

    `Transfer.browser_is_silent` decides the same for one row.
    """
    now = timezone.now()
    silent = models.Q(received_at__lt=now - SILENT_AFTER)
    silent |= models.Q(received_at=None, created_at__lt=now - SILENT_AFTER)
    return models.Q(silent, all_received=False) & ~_refused_space()


def has_no_space() -> models.Q:
    """Transfers for whose next part staging had no space lately. `Transfer.has_no_space` decides it for one row."""
    return models.Q(_refused_space(), all_received=False)


def _refused_space() -> models.Q:
    since = timezone.now() - QUOTA_REFUSAL_SHOWN
    return models.Q(quota_refused_at__gte=since, quota_refused_at__isnull=False)


def store_is_failing() -> models.Q:
    """Transfers whose own requests fail, or all of their store. `Transfer.store_fails_since` decides it for one row."""
    stores = Store.objects.filter(failing()).values("pk")
    return models.Q(failing_since__isnull=False) | models.Q(store__in=stores)


def waiting_for_browser() -> models.Q:
    """Transfers in the shown state WAITING_FOR_BROWSER."""
    phases = (Phase.RECEIVING, Phase.SENDING)
    return models.Q(browser_is_silent(), phase__in=phases, desired_state=DesiredState.RUN)


def choices(states: type[StrEnum]) -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in states]


def parts_queue(node: str) -> str:
    """The queue of parts to be sent from a node's staging. Each part may take long."""
    return f"node.{node}"


def steps_queue(node: str) -> str:
    """The queue of a node's short work on its disk, which never waits behind parts."""
    return f"node.{node}.steps"


class StagedElsewhere(RuntimeError):
    """The bytes of a transfer are on the disk of another node, which this process cannot see."""


class Transfer(WorkFields):
    """A file that a browser sends to a store. What was received, the desired state and the phase are separate columns.

    `resumable`: the file arrives by tus, so a browser can resume it. `received_marks`: how many bytes of it had arrived
    at some recent times (`uploads.domain.pace`). `fingerprint` names the file's content: the same file, key and
    operator is one transfer. `upload_metadata` is the header Upload-Metadata of its creation, unchanged, for tus
    clients that ask for it. `quota_refused_at`: when staging last had no space for the next part.
    `progressed_at`: when bytes last arrived at the minimum rate, those before `progressed_bytes`, or when the next part
    was reserved. `gives_way`: a slower sender is to stop, because others wait for the space of its incomplete part.
    With `verify_sha256` the object is only completed if the SHA-256 of the received bytes (`sha256`) equals
    `expected_sha256`, which is empty until it is known.
    `forbid_overwrite`: no object with this key may be replaced. Otherwise `replaces` has the object that was there when
    the operator allowed it, as `{"object": {...} or None}`; without it (HEAD was not allowed, or an earlier version)
    any object may be replaced. See `replacement`.
    `create_sent_at`: set while it is unknown whether the store has created an upload for this transfer.
    `lost_creates`: requests whose uploads may be in the store, without an id, until an operator dismisses them; sent
    from `lost_create_at` until `lost_create_until`. `lost_create_reason` is the code that says why none was found.
    `complete_sent_at`: set while a completion that was requested may have had an effect. `completed_at`: the store has
    confirmed that the object is complete, with `complete_request_id` and the CRC-64 `complete_crc64`.
    `node_silent_since` is no column: pages set it for a transfer whose node has not been heard of lately.
    `verified`: HEAD has shown the object, and `proofs` (of `Proof`) say what was compared; rows of earlier versions
    have none. An error of a transfer that is done says why its object is not verified.
    `checksum` is what the store verifies its bytes by: that of the store when the transfer began.
    `crc64` is that of the whole object, as `nvme:<16 hex digits>` or `ecma:...`.
    `release_at`: since when its node is to remove what is staged, after its end; None once that is done.
    `access_token`: the token that began it, or resumed or retried it last, if any. Revoking it ends the transfer.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="transfers")
    access_token = models.ForeignKey(
        AccessToken, null=True, blank=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    store = models.ForeignKey(Store, on_delete=models.PROTECT, related_name="transfers")
    bucket = models.CharField(max_length=255)
    key = models.CharField(max_length=1024)
    filename = models.CharField(max_length=1024, blank=True, default="")
    content_type = models.CharField(max_length=255, blank=True, default="")
    storage_class = models.CharField(max_length=64, blank=True, default="")
    metadata = models.JSONField(default=dict, blank=True)
    forbid_overwrite = models.BooleanField(default=False)
    replaces = models.JSONField(default=dict, blank=True)

    checksum = models.CharField(max_length=16, choices=[(name, name) for name in CHECKSUMS], default="md5")
    size = models.BigIntegerField()
    part_size = models.BigIntegerField()
    part_count = models.IntegerField()

    node = models.CharField(max_length=255)
    resumable = models.BooleanField(default=False)
    fingerprint = models.CharField(max_length=128, blank=True, default="")
    upload_metadata = models.TextField(blank=True, default="")
    all_received = models.BooleanField(default=False)
    progressed_at = models.DateTimeField(null=True, blank=True)
    progressed_bytes = models.BigIntegerField(default=0)
    gives_way = models.BooleanField(default=False)
    quota_refused_at = models.DateTimeField(null=True, blank=True)
    desired_state = models.CharField(max_length=8, choices=choices(DesiredState), default=DesiredState.RUN.value)
    phase = models.CharField(max_length=12, choices=choices(Phase), default=Phase.RECEIVING.value)

    etag = models.CharField(max_length=128, blank=True, default="")
    verified = models.BooleanField(default=False)
    proofs = models.JSONField(default=list, blank=True)
    complete_request_id = models.CharField(max_length=200, blank=True, default="")
    complete_crc64 = models.CharField(max_length=32, blank=True, default="")
    crc64 = models.CharField(max_length=32, blank=True, default="")
    verify_sha256 = models.BooleanField(default=False)
    expected_sha256 = models.CharField(max_length=64, blank=True, default="")
    sha256 = models.CharField(max_length=64, blank=True, default="")

    created_at = models.DateTimeField(auto_now_add=True)
    received_at = models.DateTimeField(null=True, blank=True)
    received_marks = models.JSONField(default=list, blank=True)
    create_sent_at = models.DateTimeField(null=True, blank=True)
    lost_creates = models.PositiveIntegerField(default=0)
    lost_create_at = models.DateTimeField(null=True, blank=True)
    lost_create_until = models.DateTimeField(null=True, blank=True)
    lost_create_reason = models.CharField(max_length=64, blank=True, default="")
    sending_at = models.DateTimeField(null=True, blank=True)
    complete_sent_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    release_at = models.DateTimeField(null=True, blank=True)

    node_silent_since: datetime | None = None

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["phase", "desired_state"], name="transfer_by_phase"),
            # The orders of the list, and what it is filtered by most. The id makes each order unique.
            models.Index(fields=["created_at", "id"], name="transfer_by_age"),
            models.Index(fields=["size", "id"], name="transfer_by_size"),
            models.Index(fields=["key", "id"], name="transfer_in_order_of_keys"),
            models.Index(fields=["owner", "created_at", "id"], name="transfer_by_owner"),
            models.Index(fields=["phase", "created_at", "id"], name="transfer_by_phase_and_age"),
            models.Index(fields=["store", "created_at", "id"], name="transfer_by_store"),
            models.Index(fields=["owner", "fingerprint"], name="transfer_by_fingerprint"),
            # In the order of the rows: SQLite would read all transfers of the store to avoid sorting those of one key.
            models.Index(fields=["key", "bucket", "store", "created_at"], name="transfer_by_key"),
            models.Index(
                fields=["lost_create_at"], name="transfer_by_lost_create", condition=models.Q(lost_creates__gt=0)
            ),
            # What the watchdog looks for. Conditions without lists, and without columns that change often: SQLite
            # uses an index only if the query repeats its condition, and PostgreSQL updates it with each change.
            models.Index(
                fields=["phase", "desired_state"], name="transfer_idle", condition=models.Q(queued_at__isnull=True)
            ),
            models.Index(fields=["queued_at"], name="transfer_enqueued", condition=models.Q(queued_at__isnull=False)),
            models.Index(fields=["phase"], name="transfer_leased", condition=models.Q(lease_token__isnull=False)),
            models.Index(
                fields=["phase", "received_at"],
                name="transfer_silent_form",
                condition=models.Q(all_received=False, resumable=False),
            ),
            models.Index(
                fields=["phase", "received_at"],
                name="transfer_silent_tus",
                condition=models.Q(all_received=False, resumable=True),
            ),
            models.Index(
                fields=["release_at"], name="transfer_to_release", condition=models.Q(release_at__isnull=False)
            ),
            models.Index(
                fields=["quota_refused_at"],
                name="transfer_refused_space",
                condition=models.Q(quota_refused_at__isnull=False),
            ),
            models.Index(fields=["phase", "finished_at"], name="transfer_by_end"),
            models.Index(fields=["owner"], name="transfer_open", condition=models.Q(finished_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.bucket}/{self.key}"

    @property
    def plan(self) -> Plan:
        return Plan(self.size, self.part_size, self.part_count)

    @property
    def body_checksum(self) -> BodyChecksum:
        return "crc64nvme" if self.checksum == "crc64nvme" else "md5"

    @property
    def by_put_object(self) -> bool:
        """Whether the file goes by one PutObject instead of a multipart upload. Its bytes stay staged until it ends."""
        return self.part_count == 1

    @property
    def replacement(self) -> Replacement:
        """Which object with this key may be replaced. If there was none when it was allowed: none."""
        if self.forbid_overwrite:
            return NOTHING
        if "object" not in self.replaces:
            return ANYTHING
        seen = self.replaces["object"]
        return Replacement(SeenObject.from_json(seen)) if seen else NOTHING

    @property
    def state(self) -> TransferState:
        return shown_state(
            Phase(self.phase),
            DesiredState(self.desired_state),
            node_is_silent=self.node_silent_since is not None,
            browser_is_silent=self.browser_is_silent,
            has_no_space=self.has_no_space,
            store_is_failing=Phase(self.phase) in NEEDS_STORE and self.store_fails_since is not None,
        )

    @property
    def is_staged_here(self) -> bool:
        """Whether this node stages the bytes. No other node can say anything about them."""
        return self.node == settings.NODE_NAME

    @property
    def last_received_at(self) -> datetime:
        """When the last byte arrived; the start of the transfer if none has."""
        return self.received_at or self.created_at

    @property
    def browser_is_silent(self) -> bool:
        """Whether bytes of the file are missing, and none have arrived lately, though staging has space for them."""
        now = timezone.now()
        if self.all_received or self.last_received_at >= now - SILENT_AFTER:
            return False
        return not self.waits_for_space

    @property
    def waits_for_space(self) -> bool:
        """Whether staging had no space for the next part lately."""
        return self.quota_refused_at is not None and timezone.now() - self.quota_refused_at <= QUOTA_REFUSAL_SHOWN

    @property
    def has_no_space(self) -> bool:
        return self.waits_for_space and not self.all_received

    @property
    def store_fails_since(self) -> datetime | None:
        """Since when requests to the store fail, those of this transfer or all; None if they do not."""
        return self.store.known_to_fail_since or self.failing_since

    @property
    def folder(self) -> StagingFolder:
        """Where this transfer's bytes are staged. Raises StagedElsewhere on another node."""
        if not self.is_staged_here:
            raise StagedElsewhere(self.pk, self.node, settings.NODE_NAME)
        return StagingFolder(Path(settings.STAGING_DIR) / str(self.id))

    @property
    def expires_at(self) -> datetime | None:
        """When the staged bytes are removed if nothing more arrives; None once the whole file has arrived."""
        if self.all_received:
            return None
        expiry = timedelta(seconds=settings.STAGING_EXPIRY) if self.resumable else FORM_EXPIRY
        return self.last_received_at + expiry


class StoreUpload(models.Model):
    """A multipart upload in the store that a transfer created. It stays OPEN until the store confirms its end.

    `drop_at`: when it is aborted next, if its transfer has ended without the store's confirmation.
    """

    transfer = models.ForeignKey(Transfer, on_delete=models.CASCADE, related_name="store_uploads")
    upload_id = models.CharField(max_length=1024)
    state = models.CharField(max_length=10, choices=choices(StoreUploadState), default=StoreUploadState.OPEN.value)
    created_at = models.DateTimeField(auto_now_add=True)
    drop_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["upload_id"], name="store_upload_by_upload_id"),
            models.Index(fields=["state", "transfer"], name="store_upload_by_state_transfer"),
            models.Index(fields=["drop_at"], name="store_upload_to_drop", condition=models.Q(drop_at__isnull=False)),
            models.Index(fields=["id"], name="store_upload_suspect", condition=models.Q(state="suspect")),
        ]

    def __str__(self) -> str:
        return self.upload_id


class Part(WorkFields):
    """A part of a transfer. The row exists before the first byte of the part is staged.

    `reserved_bytes` is its share of the quota: its whole size, from before its first byte until its file is removed.
    `sha256_state` is the state of the SHA-256 of the whole file at the end of this part, if one is to be verified.
    `moved` bytes of it have been sent in the current attempt, as of `moved_at`; `mark_moved` of them as of `mark_at`, a
    little earlier.
    """

    transfer = models.ForeignKey(Transfer, on_delete=models.CASCADE, related_name="parts")
    number = models.IntegerField()
    size = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=choices(PartState), default=PartState.WAITING.value)
    received = models.BigIntegerField(default=0)
    moved = models.BigIntegerField(default=0)
    moved_at = models.DateTimeField(null=True, blank=True)
    mark_moved = models.BigIntegerField(default=0)
    mark_at = models.DateTimeField(null=True, blank=True)
    reserved_bytes = models.BigIntegerField(default=0)
    crc64 = models.CharField(max_length=16, blank=True, default="")
    sha256_state = models.BinaryField(null=True, blank=True)
    etag = models.CharField(max_length=128, blank=True, default="")
    store_upload = models.ForeignKey(StoreUpload, on_delete=models.CASCADE, null=True, blank=True, related_name="parts")
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["transfer", "number"], name="one_row_per_part")]
        indexes = [
            models.Index(fields=["transfer", "state", "number"], name="part_by_state"),
            models.Index(
                fields=["reserved_bytes"], name="part_by_reservation", condition=models.Q(reserved_bytes__gt=0)
            ),
            models.Index(fields=["transfer", "number"], name="part_unsent", condition=~models.Q(state="sent")),
            models.Index(fields=["transfer"], name="part_enqueued", condition=models.Q(queued_at__isnull=False)),
            models.Index(fields=["queued_at"], name="part_by_message", condition=models.Q(queued_at__isnull=False)),
            models.Index(fields=["transfer"], name="part_being_sent", condition=models.Q(state="sending")),
            models.Index(
                fields=["sent_at"], name="part_to_release", condition=models.Q(state="sent", reserved_bytes__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.transfer_id} part {self.number}"

    @property
    def staged_path(self) -> Path:
        return self.transfer.folder.whole(self.number)
