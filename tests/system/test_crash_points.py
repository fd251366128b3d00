"""A process is killed at each crash point. All work still finishes, and nothing is left behind."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.system import stack as stacks
from tests.system.bucket_pages import Confirmation
from tests.system.stack import Operator, Stack, wait_for
from tests.system.tus import PART, Tus, checksum_header, content, content_digest, metadata_header
from uploads.objectstore.types import UploadRef

SIZE = 2 * PART + 7
A_LEASE = 150
A_DAY = 25 * 3600

SENDING = {
    "create.requested": "worker",
    "create.responded": "worker",
    "create.recorded": "worker",
    "part.taken": "sender",
    "part.responded": "sender",
    "part.recorded": "sender",
    "part.removed": "sender",
    "complete.requested": "worker",
    "complete.responded": "worker",
    "complete.recorded": "worker",
    "transfer.ended": "worker",
    "staging.removed": "worker",
}
"""Crash points while parts are sent, and the process that dies there."""

SENDING_ONE = ("part.taken", "part.responded", "part.recorded", "transfer.ended", "staging.removed")
"""Crash points while a file of one part is sent and proved, by one task of the sender."""

SENDING_SMALL = ("files.taken", "part.responded", "files.recorded", "part.recorded", "files.removed")
"""The same for files that are small enough to be sent together."""

RECEIVING = (
    "quota.reserved",
    "part.synced",
    "part.staged",
    "file.complete",
    "file.recorded",
    "queue.committed",
    "queue.published",
)
CHECKING = ("checksum.expected", "checksum.compared", "checksum.verified")
"""Crash points in the web server, without and with Upload-Checksum."""

TOGETHER = ("together.created", "together.synced", "together.recorded")
"""The same while several small files are received in one request."""

WHOLE = ("whole.staged", "whole.created")
"""The same while a small file is received that is in the request of its creation."""

CANCELLING = ("cancel.aborted", "orphan.aborted")
OPERATING = {"item.taken": "abort", "item.aborted": "abort", "item.completed": "complete"}
EXPIRING = ("expiry.recorded",)

CHECKING_STORE = ("check.created",)

SCANNING = ("scan.page-listed", "scan.parts-read")

SWEEPING = ("sweep.judged", "sweep.ordered", "sweep.aborted")
"""Tested in tests/services/sweeps/test_worker_lost.py."""

LOOKING_UP = ("objects.found",)
"""Tested in tests/services/inventory/test_objects.py."""

TESTED = (
    *dict.fromkeys((*SENDING, *SENDING_SMALL)),
    *RECEIVING,
    *CHECKING,
    *TOGETHER,
    *WHOLE,
    *CANCELLING,
    *OPERATING,
    *EXPIRING,
    *CHECKING_STORE,
    *SCANNING,
    *SWEEPING,
    *LOOKING_UP,
)

REQUEST_SCAN = """
from uploads.models import Store
from uploads.services.inventory.scans.request import request_scan
request_scan(None, Store.objects.get(name={store!r}), "command", [({bucket!r}, "")])
"""


@pytest.fixture(scope="module")
def crash_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, crash_dir: Path) -> Iterator[Stack]:
    """A stack whose processes read the crash points from a folder."""
    with stacks.running(tmp_path_factory.mktemp("stack"), {"PARTWAY_CRASH_DIR": str(crash_dir)}) as running:
        yield running


@pytest.fixture
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture
def bucket(stack: Stack) -> str:
    return stack.new_bucket()


Die = Callable[[str], Path]


@pytest.fixture
def die_at(crash_dir: Path) -> Iterator[Die]:
    """Sets a crash point: the next process that reaches it dies."""
    triggers: list[Path] = []

    def arm(point: str) -> Path:
        trigger = crash_dir / point
        trigger.touch()
        triggers.append(trigger)
        return trigger

    yield arm
    for trigger in triggers:
        trigger.unlink(missing_ok=True)


def id_of(path: str) -> str:
    """The transfer's id, with which the path of a tus upload ends."""
    return path.rsplit("/", maxsplit=1)[-1]


def restart(stack: Stack, process: str) -> None:
    """Restart a process that has died, or one of whose children has died."""
    stack.kill(process)
    stack.start(process)


def wait_for_death(trigger: Path) -> None:
    wait_for(f"death at {trigger.name}", lambda: not trigger.exists())


def assert_done(stack: Stack, operator: Operator, bucket: str, transfer_id: str, size: int = SIZE) -> None:
    ended = operator.wait_for_state(transfer_id, "done", "failed")
    assert ended["state"] == "done", ended["error"]
    assert stack.object_digest(bucket, "file") == (size, content_digest(size))
    assert_nothing_left(stack, bucket, transfer_id)


def assert_nothing_left(stack: Stack, bucket: str, transfer_id: str) -> None:
    assert stack.uploads_in(bucket) == []
    wait_for("an empty staging folder", lambda: not (stack.staging / transfer_id).exists() or sweep(stack, transfer_id))
    [(reserved,)] = stack.query(
        "SELECT coalesce(sum(reserved_bytes), 0) FROM uploads_part WHERE transfer_id = ?", transfer_id.replace("-", "")
    )
    assert reserved == 0


def sweep(stack: Stack, transfer_id: str) -> bool:
    """Do what the web server does at its start: remove folders that dead processes have left."""
    stack.run_python("from uploads.services.upkeep.cleanup import sweep_staging\nsweep_staging()")
    return not (stack.staging / transfer_id).exists()


@pytest.mark.parametrize(("point", "process"), SENDING.items())
def test_crash_while_parts_are_sent(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str, process: str
) -> None:
    trigger = die_at(point)
    tus = Tus(stack, operator, bucket)
    path = tus.start(SIZE)
    assert tus.patch(path, 0, content(0, SIZE)).status == 204
    wait_for_death(trigger)
    restart(stack, process)
    stack.let_time_pass(A_LEASE)
    stack.let_time_pass(A_LEASE)
    assert_done(stack, operator, bucket, id_of(path))


@pytest.mark.parametrize(
    ("point", "size"), [*((point, PART) for point in SENDING_ONE), *((point, 1000) for point in SENDING_SMALL)]
)
def test_crash_while_a_file_of_one_part_is_sent(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str, size: int
) -> None:
    trigger = die_at(point)
    tus = Tus(stack, operator, bucket)
    path = tus.start(size)
    assert tus.patch(path, 0, content(0, size)).status == 204
    wait_for_death(trigger)
    restart(stack, "sender")
    stack.let_time_pass(A_LEASE)
    stack.let_time_pass(A_LEASE)
    assert_done(stack, operator, bucket, id_of(path), size)


@pytest.mark.parametrize("checksum", [False, True])
def test_crash_while_bytes_are_received(stack: Stack, operator: Operator, die_at: Die, checksum: bool) -> None:
    """All points in one test, because the web server takes long to start."""
    for point in CHECKING if checksum else RECEIVING:
        bucket = stack.new_bucket()
        tus = Tus(stack, operator, bucket)
        path = tus.start(SIZE)
        data = content(0, SIZE)
        trigger = die_at(point)
        with pytest.raises((OSError, http.client.HTTPException)):
            tus.patch(path, 0, data, Upload_Checksum=checksum_header("sha1", data) if checksum else None)
        wait_for_death(trigger)
        restart(stack, "web")
        offset = tus.offset(path)
        assert 0 <= offset <= SIZE
        if checksum and point != "checksum.verified":
            assert offset == 0
        # The server's cleanup at its start may hold the lock for a moment.
        tus.send_rest(path, SIZE)
        stack.let_time_pass(A_LEASE)
        assert_done(stack, operator, bucket, id_of(path))


@pytest.mark.parametrize("point", WHOLE)
def test_crash_while_a_whole_file_is_created(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str
) -> None:
    """The same request, repeated, has one transfer and one object, and no bytes of the first are left."""
    tus = Tus(stack, operator, bucket)
    size = 1000
    named = {"fingerprint": "f", "creation_id": "1"}
    trigger = die_at(point)
    with pytest.raises((OSError, http.client.HTTPException)):
        tus.create(size, content(0, size), **named)
    wait_for_death(trigger)
    restart(stack, "web")
    response = tus.create(size, content(0, size), **named)
    assert (response.status, response.headers["upload-offset"]) == (201, str(size))
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(id_of(response.headers["location"]), "done")
    assert stack.object_digest(bucket, "file") == (size, content_digest(size))
    assert stack.query("SELECT count(*) FROM uploads_transfer WHERE bucket = ?", bucket) == [(1,)]
    wait_for("the staged bytes to be removed", lambda: not stack.staged_files())


@pytest.mark.parametrize("point", TOGETHER)
def test_crash_while_files_are_received_together(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str
) -> None:
    """The same request, repeated, has a result for each, and each object is there once."""
    sizes = {f"k{number}": 1000 * (number + 1) for number in range(3)}
    trigger = die_at(point)
    with pytest.raises((OSError, http.client.HTTPException)):
        send_together(stack, operator, bucket, sizes)
    wait_for_death(trigger)
    restart(stack, "web")
    results = send_together(stack, operator, bucket, sizes)
    assert [(each["status"], each["offset"]) for each in results] == [(201, size) for size in sizes.values()]
    stack.let_time_pass(A_LEASE)
    for result, (key, size) in zip(results, sizes.items(), strict=True):
        operator.wait_for_state(id_of(result["location"]), "done")
        assert stack.object_digest(bucket, key) == (size, content_digest(size))
    assert stack.query("SELECT count(*) FROM uploads_transfer WHERE bucket = ?", bucket) == [(3,)]


def send_together(stack: Stack, operator: Operator, bucket: str, sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    """Send a file for each key in one request. Returns their results."""
    named = {"store": stack.store, "bucket": bucket}
    entries = [
        {"size": size, "metadata": metadata_header(named | {"key": key, "fingerprint": key, "creation-id": key})}
        for key, size in sizes.items()
    ]
    document = json.dumps({"files": entries}).encode()
    body = len(document).to_bytes(4) + document + b"".join(content(0, size) for size in sizes.values())
    headers = {
        "Content-Type": "application/octet-stream",
        "Cookie": operator.cookies,
        "X-CSRFToken": operator.csrf_token,
    }
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=60)
    try:
        connection.request("POST", "/files/together/", body, headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        results: list[dict[str, Any]] = json.loads(response.read())["results"]
        return results
    finally:
        connection.close()


@pytest.mark.parametrize("point", CANCELLING)
def test_crash_while_a_transfer_is_cancelled(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str
) -> None:
    if point == "orphan.aborted":
        lost = die_at("create.responded")
    tus = Tus(stack, operator, bucket)
    path = tus.start(SIZE)
    assert tus.patch(path, 0, content(0, PART + 1)).status == 204
    if point == "orphan.aborted":
        wait_for_death(lost)
        restart(stack, "worker")
    else:
        wait_for("a part in the store", lambda: operator.transfer(id_of(path))["parts"]["sent"])
    trigger = die_at(point)
    assert tus.delete(path).status == 204
    stack.let_time_pass(A_LEASE)
    wait_for_death(trigger)
    restart(stack, "worker")
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(id_of(path), "cancelled")
    assert_nothing_left(stack, bucket, id_of(path))


@pytest.mark.parametrize(("point", "kind"), OPERATING.items())
def test_crash_during_an_operation(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, tmp_path: Path, point: str, kind: str
) -> None:
    upload_id = stack.create_upload(bucket, "file", {1: PART, 2: 9}, tmp_path / "scratch")
    trigger = die_at(point)
    form = Confirmation(operator, kind, stack.store, bucket, UploadRef("file", upload_id)).form
    response = operator.post(form.action, dict(form.fields))
    assert response.status_code in (200, 202)
    wait_for_death(trigger)
    restart(stack, "worker")
    stack.let_time_pass(A_LEASE)
    url = f"/operations/{response.json()['id']}/"
    wait_for("the end of the operation", lambda: operator.get_json(url)["state"] == "done")
    assert stack.uploads_in(bucket) == []
    if kind == "complete":
        assert stack.object_digest(bucket, "file")[0] == PART + 9


@pytest.mark.parametrize("point", ["item.taken", "item.aborted"])
def test_crash_while_uploads_are_aborted_together(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str
) -> None:
    create = stack.s3.create_multipart_upload
    uploads = [(f"k{number}", create(Bucket=bucket, Key=f"k{number}")["UploadId"]) for number in range(30)]
    trigger = die_at(point)
    selected = [("upload", f"{key}/{quote(upload_id, safe='')}") for key, upload_id in uploads]
    response = operator.post(f"/stores/{stack.store}/{bucket}/uploads/abort/", selected)
    assert response.status_code in (200, 202)
    wait_for_death(trigger)
    restart(stack, "worker")
    stack.let_time_pass(A_LEASE)
    url = f"/operations/{response.json()['id']}/"
    wait_for("the end of the operation", lambda: operator.get_json(url)["state"] == "done")
    items = operator.get_json(url)["Uploads"]
    assert {item["state"] for item in items} == {"done"}
    # What died may have aborted them: none of them counts as one that somebody else has ended.
    assert not any(item["outcome"]["already_gone"] for item in items)
    assert stack.uploads_in(bucket) == []


@pytest.mark.parametrize("point", EXPIRING)
def test_crash_while_a_transfer_expires(stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str) -> None:
    tus = Tus(stack, operator, bucket)
    path = tus.start(SIZE)
    assert tus.patch(path, 0, content(0, PART)).status == 204
    trigger = die_at(point)
    with pytest.raises(subprocess.CalledProcessError):
        stack.let_time_pass(A_DAY)
    wait_for_death(trigger)
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(id_of(path), "cancelled")
    assert_nothing_left(stack, bucket, id_of(path))


@pytest.mark.parametrize("point", CHECKING_STORE)
def test_crash_during_a_store_check(stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str) -> None:
    trigger = die_at(point)
    response = operator.post(f"/stores/{stack.store}/check/", {"bucket": bucket, "consent": "on"})
    assert response.status_code == 202
    wait_for_death(trigger)
    restart(stack, "worker")
    stack.let_time_pass(A_LEASE)
    url = response.json()["url"]
    wait_for("the end of the check", lambda: operator.get_json(url)["state"] == "done")
    assert operator.get_json(url)["leftovers"] == []
    assert stack.uploads_in(bucket) == []
    assert stack.s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("point", SCANNING)
def test_crash_during_a_scan(stack: Stack, bucket: str, die_at: Die, point: str) -> None:
    """What was requested and not written is requested again, and the inventory is exact."""
    truth = set()
    for number in range(3):
        key = f"k{number}"
        upload_id = stack.s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        stack.s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=b"x" * number * 10)
        truth.add((upload_id, 1, number * 10))
    trigger = die_at(point)
    stack.run_python(REQUEST_SCAN.format(store=stack.store, bucket=bucket))
    wait_for_death(trigger)
    restart(stack, "scanner")
    stack.let_time_pass(A_LEASE)
    found = """
        SELECT u.upload_id, u.parts, u.bytes FROM uploads_inventoryupload u JOIN uploads_inventorybucket b
        ON b.id = u.bucket_id WHERE b.name = ? AND u.ended_at IS NULL
    """
    wait_for("the end of the scan", lambda: set(stack.query(found, bucket)) == truth)
