"""A process dies by SIGKILL at each point between two effects; everything still ends, and nothing is left behind."""

from __future__ import annotations

import http.client
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system import stack as stacks
from tests.system.stack import Operator, Stack, wait_for
from tests.system.tus import PART, Tus, checksum_header, content, content_digest

SIZE = 2 * PART + 7
A_LEASE = 150
A_DAY = 25 * 3600

SENDING = {
    "create.asked": "worker",
    "create.answered": "worker",
    "create.written": "worker",
    "part.taken": "sender",
    "part.answered": "sender",
    "part.written": "sender",
    "part.removed": "sender",
    "complete.asked": "worker",
    "complete.answered": "worker",
    "complete.written": "worker",
    "transfer.ended": "worker",
    "staging.removed": "worker",
}
"""Points on the way to the store, with the process that dies there."""

RECEIVING = (
    "quota.reserved",
    "part.synced",
    "part.staged",
    "file.whole",
    "file.written",
    "queue.committed",
    "queue.published",
)
CHECKING = ("checksum.expected", "checksum.seen", "checksum.verified")
"""Points in the web server, without and with Upload-Checksum."""

CANCELLING = ("cancel.aborted", "twin.aborted")
OPERATING = {"item.taken": "abort", "item.aborted": "abort", "item.completed": "complete"}
EXPIRING = ("expiry.noted",)

CHECKING_STORE = ("check.made",)

TRIED = (*SENDING, *RECEIVING, *CHECKING, *CANCELLING, *OPERATING, *EXPIRING, *CHECKING_STORE)


@pytest.fixture(scope="module")
def crash_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("crash")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, crash_dir: Path) -> Iterator[Stack]:
    """A stack of its own, whose processes know where to look for the points at which they are to die."""
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
    """Have the next process that comes to a point die there."""
    set_: list[Path] = []

    def arm(point: str) -> Path:
        trigger = crash_dir / point
        trigger.touch()
        set_.append(trigger)
        return trigger

    yield arm
    for trigger in set_:
        trigger.unlink(missing_ok=True)


def id_of(path: str) -> str:
    """The transfer's id, in which the path of its upload ends."""
    return path.rsplit("/", maxsplit=1)[-1]


def revive(stack: Stack, part: str) -> None:
    """Start a part again whose process, or one of whose children, has died."""
    stack.kill(part)
    stack.start(part)


def wait_for_death(trigger: Path) -> None:
    wait_for(f"death at {trigger.name}", lambda: not trigger.exists())


def assert_done(stack: Stack, operator: Operator, bucket: str, transfer_id: str) -> None:
    ended = operator.wait_for_state(transfer_id, "done", "failed")
    assert ended["state"] == "done", ended["error"]
    assert stack.object_digest(bucket, "file") == (SIZE, content_digest(SIZE))
    assert_nothing_left(stack, bucket, transfer_id)


def assert_nothing_left(stack: Stack, bucket: str, transfer_id: str) -> None:
    assert stack.uploads_in(bucket) == []
    wait_for("an empty staging", lambda: not (stack.staging / transfer_id).exists() or sweep(stack, transfer_id))
    [(held,)] = stack.query(
        "SELECT coalesce(sum(held), 0) FROM uploads_part WHERE transfer_id = ?", transfer_id.replace("-", "")
    )
    assert held == 0


def sweep(stack: Stack, transfer_id: str) -> bool:
    """What a start of the web server does: a folder that a dead process left goes."""
    stack.run_python("from uploads.services.upkeep.cleanup import sweep_staging\nsweep_staging()")
    return not (stack.staging / transfer_id).exists()


@pytest.mark.parametrize(("point", "part"), SENDING.items())
def test_on_the_way_to_the_store(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str, part: str
) -> None:
    trigger = die_at(point)
    tus = Tus(stack, operator, bucket)
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, content(0, SIZE)).status == 204
    wait_for_death(trigger)
    revive(stack, part)
    stack.let_time_pass(A_LEASE)
    stack.let_time_pass(A_LEASE)
    assert_done(stack, operator, bucket, id_of(path))


@pytest.mark.parametrize("checksum", [False, True])
def test_while_bytes_arrive(stack: Stack, operator: Operator, die_at: Die, checksum: bool) -> None:
    """One after the other on one stack: the web server is what takes longest to start."""
    for point in CHECKING if checksum else RECEIVING:
        bucket = stack.new_bucket()
        tus = Tus(stack, operator, bucket)
        path = tus.begin(SIZE)
        data = content(0, SIZE)
        trigger = die_at(point)
        with pytest.raises((OSError, http.client.HTTPException)):
            tus.patch(path, 0, data, Upload_Checksum=checksum_header("sha1", data) if checksum else None)
        wait_for_death(trigger)
        revive(stack, "web")
        offset = tus.offset(path)
        assert 0 <= offset <= SIZE
        if checksum and point != "checksum.verified":
            assert offset == 0
        # The server's own sweep of what it finds at its start may be the writer for a moment.
        tus.send_rest(path, SIZE)
        stack.let_time_pass(A_LEASE)
        assert_done(stack, operator, bucket, id_of(path))


@pytest.mark.parametrize("point", CANCELLING)
def test_while_it_is_cancelled(stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str) -> None:
    if point == "twin.aborted":
        lost = die_at("create.answered")
    tus = Tus(stack, operator, bucket)
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, content(0, PART + 1)).status == 204
    if point == "twin.aborted":
        wait_for_death(lost)
        revive(stack, "worker")
    else:
        wait_for("a part in the store", lambda: operator.transfer(id_of(path))["parts"]["sent"])
    trigger = die_at(point)
    assert tus.delete(path).status == 204
    stack.let_time_pass(A_LEASE)
    wait_for_death(trigger)
    revive(stack, "worker")
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(id_of(path), "cancelled")
    assert_nothing_left(stack, bucket, id_of(path))


@pytest.mark.parametrize(("point", "kind"), OPERATING.items())
def test_while_an_operation_is_done(
    stack: Stack, operator: Operator, bucket: str, die_at: Die, tmp_path: Path, point: str, kind: str
) -> None:
    upload_id = stack.create_upload(bucket, "file", {1: PART, 2: 9}, tmp_path / "scratch")
    trigger = die_at(point)
    ordered = operator.post(f"/stores/{stack.store}/{bucket}/uploads/{kind}/", {"key": "file", "upload-id": upload_id})
    assert ordered.status_code in (200, 202)
    wait_for_death(trigger)
    revive(stack, "worker")
    stack.let_time_pass(A_LEASE)
    url = f"/operations/{ordered.json()['id']}/"
    wait_for("the end of the operation", lambda: operator.get_json(url)["state"] == "done")
    assert stack.uploads_in(bucket) == []
    if kind == "complete":
        assert stack.object_digest(bucket, "file")[0] == PART + 9


@pytest.mark.parametrize("point", EXPIRING)
def test_while_it_expires(stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str) -> None:
    tus = Tus(stack, operator, bucket)
    path = tus.begin(SIZE)
    assert tus.patch(path, 0, content(0, PART)).status == 204
    trigger = die_at(point)
    with pytest.raises(subprocess.CalledProcessError):
        stack.let_time_pass(A_DAY)
    wait_for_death(trigger)
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(id_of(path), "cancelled")
    assert_nothing_left(stack, bucket, id_of(path))


@pytest.mark.parametrize("point", CHECKING_STORE)
def test_while_a_store_is_checked(stack: Stack, operator: Operator, bucket: str, die_at: Die, point: str) -> None:
    trigger = die_at(point)
    ordered = operator.post(f"/stores/{stack.store}/check/", {"bucket": bucket, "consent": "on"})
    assert ordered.status_code == 202
    wait_for_death(trigger)
    revive(stack, "worker")
    stack.let_time_pass(A_LEASE)
    url = ordered.json()["url"]
    wait_for("the end of the check", lambda: operator.get_json(url)["state"] == "done")
    assert operator.get_json(url)["leftovers"] == []
    assert stack.uploads_in(bucket) == []
    assert stack.s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
