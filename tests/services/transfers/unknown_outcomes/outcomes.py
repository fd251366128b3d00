"""What the tests of unknown outcomes share.

Partway sends its requests through a proxy that injects faults. The tests read the store directly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

from tests.services.drive import MIB, Drive
from tests.system.fault_proxy import Fault, FaultProxy
from uploads.domain.states import Phase
from uploads.models import AuditEntry, Part, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.services.transfers.send import send_part

PART = 5 * MIB
KEY = "a/key"
Reader = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Truth:
    """The store, without the proxy in between."""

    client: ObjectStoreClient
    bucket: str

    def uploads(self) -> list[str]:
        pages = self.client.iter_multipart_uploads(self.bucket)
        return [upload.upload_id for page in pages for upload in page.uploads]

    def create_upload(self, key: str = KEY) -> str:
        """Create an upload as another program does."""
        return self.client.create_multipart_upload(self.bucket, key)


def bytes_of(transfer: Transfer) -> bytes:
    """The staged bytes, before any part is sent."""
    return b"".join(part.staged_path.read_bytes() for part in transfer.parts.order_by("number"))


def due(transfer: Transfer) -> None:
    Transfer.objects.filter(pk=transfer.pk).update(not_before=None)
    Part.objects.filter(transfer=transfer).update(not_before=None)
    transfer.refresh_from_db()


def actions(transfer: Transfer) -> list[str]:
    entries = AuditEntry.objects.filter(transfer_id=transfer.pk).order_by("pk")
    return [action.removeprefix("transfer.") for action in entries.values_list("action", flat=True)]


def states(transfer: Transfer) -> dict[str, str]:
    """The state of each recorded upload, by upload id."""
    return dict(transfer.store_uploads.values_list("upload_id", "state"))


def assert_done(drive: Drive, transfer: Transfer, truth: Truth, read_object: Reader, data: bytes) -> None:
    drive.finish(transfer)
    assert (transfer.phase, transfer.error_code, transfer.verified) == (Phase.DONE, "", True)
    assert read_object(transfer.key) == data
    assert not transfer.folder.exists()
    assert truth.uploads() == []


def first_part(transfer: Transfer) -> Part:
    return transfer.parts.get(number=1)


def at_once(works: list[Callable[[], object]]) -> None:
    """Run all of them in threads that start together. Raises what one of them raises."""
    gate = threading.Barrier(len(works))
    failed: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        gate.wait()
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def send_unproved(proxy: FaultProxy, transfer: Transfer) -> None:
    """Send a file of one part to a store that does not show its object at once."""
    proxy.next("HeadObject", Fault.INTERNAL_ERROR)
    send_part(first_part(transfer).pk)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.COMPLETING
