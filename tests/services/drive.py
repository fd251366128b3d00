"""Does the work of the browser and the workers: sends a file, and runs the tasks of all rows that wait."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from uploads.domain.confirmation import Confirmation
from uploads.domain.replacement import Replacement, SeenObject
from uploads.domain.states import DesiredState, ItemState, PartState, Phase
from uploads.models import Operation, OperationItem, Part, Store, Transfer
from uploads.objectstore.types import UploadRef
from uploads.services.browse.preflight import preflight_complete
from uploads.services.operations.order import request_complete
from uploads.services.operations.run import run_item
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.receive import Receiver
from uploads.services.transfers.send import send_part
from uploads.services.transfers.start import NewTransfer, start_transfer

MIB = 1024**2


class Drive:
    def __init__(self, user: User, store: Store, bucket: str) -> None:
        self.user, self.store, self.bucket = user, store, bucket

    def start(self, size: int, key: str = "a/key", **more: Any) -> Transfer:
        values = {"owner": self.user, "store": self.store, "bucket": self.bucket, "filename": "f", **more}
        return start_transfer(NewTransfer(key=key, size=size, **values))

    def receive(self, transfer: Transfer, data: bytes, block: int = 1_000_003) -> None:
        with Receiver(transfer) as receiver:
            for start in range(0, len(data), block):
                receiver.write(data[start : start + block])
            receiver.end()

    def upload(self, data: bytes, key: str = "a/key", **more: Any) -> Transfer:
        transfer = self.start(len(data), key, **more)
        self.receive(transfer, data)
        return transfer

    def send(self, transfer: Transfer, *, parts: int | None = None) -> None:
        """Open the upload in the store and send at most `parts` parts, in order."""
        open_store_upload(transfer.pk)
        staged = Part.objects.filter(transfer=transfer, state=PartState.STAGED).order_by("number")
        for part_id in list(staged.values_list("pk", flat=True))[:parts]:
            send_part(part_id)

    def finish(self, transfer: Transfer, rounds: int = 5) -> Transfer:
        """Run the steps of a transfer until it has finished. Delays after failed attempts are skipped."""
        for _ in range(rounds):
            self.release(transfer)
            if transfer.desired_state == DesiredState.CANCEL:
                cancel_transfer(transfer.pk)
            self.send(transfer)
            complete_transfer(transfer.pk)
            transfer.refresh_from_db()
            if transfer.phase in (Phase.DONE, Phase.FAILED, Phase.CANCELLED):
                return transfer
        return transfer

    def release(self, transfer: Transfer) -> None:
        now = timezone.now()
        Transfer.objects.filter(pk=transfer.pk).update(not_before=now)
        Part.objects.filter(transfer=transfer).update(not_before=now)
        transfer.refresh_from_db()

    def confirm(self, upload: UploadRef, *, gaps: bool = False, replace: bool = False) -> Confirmation:
        """What an operator confirms who looks at the page of a completion now."""
        return confirm(self.store, self.bucket, upload, gaps=gaps, replace=replace)

    def complete(self, upload: UploadRef, *, gaps: bool = False, replace: bool = False) -> Operation:
        """Look at an upload, and request its completion at once."""
        confirmation = self.confirm(upload, gaps=gaps, replace=replace)
        return request_complete(self.user, self.store, self.bucket, upload, confirmation)

    def work_off(self, rounds: int = 10) -> None:
        """Run all requested items until none is left."""
        for _ in range(rounds):
            OperationItem.objects.filter(state=ItemState.ORDERED).update(not_before=None)
            ids = list(OperationItem.objects.filter(state=ItemState.ORDERED).values_list("pk", flat=True))
            if not ids:
                return
            for item_id in ids:
                run_item(item_id)


def confirm(store: Store, bucket: str, upload: UploadRef, *, gaps: bool = False, replace: bool = False) -> Confirmation:
    """What an operator confirms: the gaps, and the object to be replaced, only if asked for."""
    seen = preflight_complete(store, bucket, upload)
    facts = seen.existing.facts if seen.existing else None
    return Confirmation(
        seen.seen_parts,
        seen.gaps if gaps else "",
        Replacement(
            SeenObject.of(facts) if replace and facts else None,
            any_object=replace and seen.existing is not None and seen.existing.refusal is not None,
        ),
    )


def staged_names(transfer: Transfer) -> list[str]:
    """The names of a transfer's part files, complete and partial."""
    folder = transfer.folder.path
    return sorted(path.name for path in folder.iterdir() if path.name[0].isdigit()) if folder.exists() else []
