"""Receiving under failures: stalled senders, lost connections, crashes, full staging, cancellation, expiry."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.system import stack as stacks
from tests.system.sending import SlowForm
from tests.system.stack import MIB, Operator, Stack, staged_bytes, wait_for
from tests.system.tus import (
    PART,
    OpenPatch,
    Response,
    Tus,
    checksum_header,
    chunked,
    content,
    content_digest,
    transfer_id,
)

SMALL = 10_000
HUGE = 1024 * MIB
"""Announced but never sent."""

QUOTA = 2 * PART
STALL_SECONDS = 3
SLOTS = 8

A_SILENCE = 150
A_LOST_MESSAGE = 90
A_DAY = 25 * 3600

SEED = 20240607

BODIES = 18
"""Bodies of one operator: two fewer than the default of USER_RECEIVE_SLOTS, so that other files arrive."""


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture
def tus(stack: Stack, operator: Operator) -> Tus:
    """A client with its own bucket."""
    return Tus(stack, operator, stack.new_bucket())


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Partway with a quota of two parts, few senders at a time, and a short timeout for silent ones."""
    env = {"STAGING_QUOTA": QUOTA, "RECEIVE_STALL_SECONDS": STALL_SECONDS, "RECEIVE_SLOTS": SLOTS}
    env["USER_RESERVED_BYTES"] = QUOTA
    with stacks.running(tmp_path_factory.mktemp("tight"), {name: str(each) for name, each in env.items()}) as running:
        yield running


@pytest.fixture(scope="module")
def tight_operator(tight: Stack) -> Iterator[Operator]:
    with tight.signed_in() as operator:
        yield operator


@pytest.fixture(scope="module")
def other_operator(tight: Stack) -> Iterator[Operator]:
    with tight.signed_in(tight.other_login) as operator:
        yield operator


@pytest.fixture
def narrow(tight: Stack, tight_operator: Operator) -> Tus:
    return Tus(tight, tight_operator, tight.new_bucket())


@pytest.fixture
def other(narrow: Tus, other_operator: Operator) -> Tus:
    """Another operator's client, with the same bucket."""
    return Tus(narrow.stack, other_operator, narrow.bucket)


@contextmanager
def frozen(stack: Stack, part: str) -> Iterator[None]:
    stack.freeze(part)
    try:
        yield
    finally:
        stack.thaw(part)


def assert_pages_respond(operator: Operator) -> None:
    for path in ("/", "/transfers/", "/transfers/new/", "/audit/"):
        assert operator.session.get(operator.url + path).status_code == 200


def send_until_response(sending: OpenPatch, data: bytes) -> Response:
    """Byte by byte, because the server checks the desired state only when bytes arrive."""
    rest = iter(data)

    def has_responded() -> bool:
        if not sending.has_response():
            sending.send(bytes([next(rest)]))
        return sending.has_response()

    wait_for("a response in the middle of the body", has_responded)
    return sending.response()


def is_beyond(tus: Tus, path: str, offset: int) -> bool:
    return tus.offset(path) > offset


class Trickle:
    """Sends one byte on each connection in rounds, in a thread, and counts the connections that were closed."""

    def __init__(self, connections: list[OpenPatch]) -> None:
        self._connections = connections
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.rounds = 0
        self.closed = 0

    def __enter__(self) -> Self:
        self._thread.start()
        wait_for("a first round", lambda: self.rounds)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            for each in self._connections:
                try:
                    each.send(b".")
                except OSError:
                    self.closed += 1
            self.rounds += 1


class Watch:
    """Measures the size of all staged bytes repeatedly, in a thread."""

    def __init__(self, staging: Path) -> None:
        self._staging = staging
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.measurements = 0
        self.peak = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.005):
            self.peak = max(self.peak, staged_bytes(self._staging))
            self.measurements += 1


# --- Stalled and slow senders -----------------------------------------------------------------------------------------


def test_stalled_bodies_do_not_freeze_the_pages(tus: Tus, operator: Operator) -> None:
    """They do not freeze other uploads either."""
    with ExitStack() as opened:
        paths = [tus.start(SMALL, key=f"stalled/{number}") for number in range(BODIES)]
        for path in paths:
            opened.enter_context(tus.open_patch(path, 0, SMALL)).send(content(0, 100))
        for path in paths:
            wait_for("the first bytes", partial(is_beyond, tus, path, 99))
        assert_pages_respond(operator)
        tus.assert_arrived(tus.upload(PART + SMALL, key="passing"), PART + SMALL, "passing")


def test_slow_bodies_do_not_freeze_the_pages(tus: Tus, operator: Operator) -> None:
    with ExitStack() as opened:
        paths = [tus.start(SMALL, key=f"trickling/{number}") for number in range(BODIES)]
        connections = [opened.enter_context(tus.open_patch(path, 0, SMALL)) for path in paths]
        with Trickle(connections) as trickle:
            for path in paths:
                wait_for("the first bytes", partial(is_beyond, tus, path, 0))
            assert_pages_respond(operator)
            tus.assert_arrived(tus.upload(PART + SMALL, key="passing"), PART + SMALL, "passing")
            assert trickle.closed == 0


def test_refused_bodies_do_not_freeze_the_pages(tus: Tus, operator: Operator) -> None:
    """There are more of them than threads. Each gets a response at once, and its sender continues regardless."""
    path = tus.start(SMALL)
    with ExitStack() as opened:
        refused = [opened.enter_context(tus.open_patch(path, 7, SMALL - 7)) for _ in range(100)]
        for sending in refused:
            assert sending.response().status in (409, 423)
        with Trickle(refused) as trickle:
            assert_pages_respond(operator)
            assert trickle.closed == 0


def test_silent_connections_do_not_freeze_the_pages(tus: Tus, operator: Operator) -> None:
    """Browsers open such connections in advance."""
    with ExitStack() as opened:
        silent = [opened.enter_context(tus.connect()) for _ in range(100)]
        assert_pages_respond(operator)
        # They are still open: the pages did not wait for their timeout.
        for connection in silent:
            connection.send_head("GET", "/healthz", {})
            assert connection.response().status == 200


def test_stalled_bodies_release_their_slots(narrow: Tus) -> None:
    """There are more of them than slots. The others are refused and can retry."""
    path = narrow.start(SMALL)
    forms: list[SlowForm] = []
    with ExitStack() as opened:

        def refused() -> Response | None:
            """One form after the other, faster than they time out."""
            forms.extend(opened.enter_context(slow_form(narrow, f"stalled/{len(forms)}/{n}")) for n in range(SLOTS))
            response = narrow.patch(path, 0, b"")
            return response if response.status == 503 else None

        busy = wait_for("all slots to be occupied", refused)
        assert busy.code == "Busy"
        assert int(busy.headers["retry-after"]) > 0
        assert_pages_respond(narrow.operator)
        narrow.send_rest(path, SMALL)
        assert {form.response_status() for form in forms} <= {400, 503}
    narrow.assert_arrived(path, SMALL)


def slow_form(tus: Tus, key: str, size: int = SMALL) -> SlowForm:
    """A form that has sent its fields and nothing of its file."""
    return SlowForm(tus.operator, {"store": tus.stack.store, "bucket": tus.bucket, "key": key}, size)


def test_silent_writer_is_replaced(narrow: Tus) -> None:
    path = narrow.start(PART + SMALL)
    with narrow.open_patch(path, 0, PART + SMALL) as silent:
        silent.send(content(0, SMALL))
        wait_for("the bytes of the silent writer", lambda: narrow.offset(path) == SMALL)
        assert narrow.patch(path, SMALL, content(SMALL, PART)).status == 423
        assert narrow.send_rest(path, PART + SMALL) > 0
        assert silent.response().status == 408
    narrow.assert_arrived(path, PART + SMALL)


def test_slow_writer_is_replaced(narrow: Tus) -> None:
    path = narrow.start(SMALL)
    with narrow.open_patch(path, 0, SMALL) as slow:
        assert send_until_response(slow, content(0, SMALL)).status == 408
    assert 0 < narrow.offset(path) < SMALL
    narrow.send_rest(path, SMALL)
    narrow.assert_arrived(path, SMALL)


def test_silent_writer_in_chunks_is_replaced(narrow: Tus) -> None:
    """Also if it keeps sending bytes that belong to no chunk."""
    path = narrow.start(SMALL)
    with narrow.open_chunked(path, 0) as silent:
        silent.send(chunked(content(0, 100), end=False) + b"5;")
        wait_for("the bytes of the silent writer", lambda: narrow.offset(path) == 100)
        assert send_until_response(silent, b"x" * SMALL).status == 408
    narrow.send_rest(path, SMALL)
    narrow.assert_arrived(path, SMALL)


def test_slow_writer_in_chunks_is_replaced(narrow: Tus) -> None:
    path = narrow.start(SMALL)
    with narrow.open_chunked(path, 0) as slow:
        assert send_until_response(slow, chunked(content(0, SMALL), 1)).status == 408
    assert 0 < narrow.offset(path) < SMALL
    narrow.send_rest(path, SMALL)
    narrow.assert_arrived(path, SMALL)


def test_stalled_form_is_cancelled(narrow: Tus) -> None:
    """A form cannot be resumed."""
    with slow_form(narrow, "form", PART + SMALL) as form:
        form.send(PART + 100)
        assert form.response_status() == 400
    [(identity,)] = narrow.stack.query("SELECT id FROM uploads_transfer WHERE bucket = ?", narrow.bucket)
    ended = narrow.operator.wait_for_state(str(uuid.UUID(identity)), "cancelled")
    assert ended["error"]["code"] == "IncompleteBody"
    narrow.assert_nothing_left(f"/files/{uuid.UUID(identity)}")


# --- Lost connections -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 4095, PART - 1, PART, PART + 1, 2 * PART + 12_345])
def test_body_that_ends_early_keeps_every_byte(tus: Tus, count: int) -> None:
    size = 3 * PART
    path = tus.start(size)
    with tus.open_patch(path, 0, size) as sending:
        sending.send(content(0, count))
    wait_for("every byte", lambda: tus.offset(path) == count)
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_reset_keeps_every_byte_that_arrived(tus: Tus) -> None:
    size = 2 * PART
    path = tus.start(size)
    sending = tus.open_patch(path, 0, size)
    sending.send(content(0, PART + 777))
    wait_for("the bytes", lambda: tus.offset(path) == PART + 777)
    sending.reset()
    wait_for("the server to notice it", lambda: tus.patch(path, PART + 777, b"").status == 204)
    assert tus.offset(path) == PART + 777
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


# --- Crashes of the web server ----------------------------------------------------------------------------------------


def test_web_server_killed_at_any_moment_loses_nothing_it_has_confirmed(tus: Tus) -> None:
    """The SHA-256 of the file is verified in the end too."""
    stack, moments, size = tus.stack, random.Random(SEED), 6 * PART
    path = tus.start(size, sha256=content_digest(size))
    for _ in range(4):
        offset = tus.offset(path)
        reported = send_and_kill(tus, path, offset, moments.randrange(1, PART * 3 // 2), size)
        stack.start("web")
        assert reported <= tus.offset(path)
    tus.send_rest(path, size)
    stack.let_time_pass(A_LOST_MESSAGE)
    tus.assert_arrived(path, size)


def send_and_kill(tus: Tus, path: str, offset: int, count: int, size: int) -> int:
    """Send bytes and kill the server while it receives them. Returns the last offset it has reported."""
    end = min(size, offset + count)
    with tus.open_patch(path, offset, size - offset) as sending:
        sending.send(content(offset, end))
        reported = tus.offset(path)
        tus.stack.kill("web")
    assert offset <= reported <= end
    return reported


def test_web_server_killed_before_a_checksum_is_verified_keeps_nothing_of_the_body(tus: Tus) -> None:
    size = 3 * PART
    path = tus.start(size)
    tus.patch(path, 0, content(0, SMALL))
    body = content(SMALL, size)
    with tus.open_patch(path, SMALL, len(body), Upload_Checksum=checksum_header("sha256", body)) as sending:
        sending.send(body[: PART + SMALL])
        wait_for("a staged part", lambda: staged_bytes(tus.stack.staging / transfer_id(path)) > PART)
        tus.stack.kill("web")
    tus.stack.start("web")
    assert tus.offset(path) == SMALL
    assert tus.stack.uploads_in(tus.bucket) == []
    assert tus.patch(path, SMALL, body, Upload_Checksum=checksum_header("sha256", body)).status == 204
    tus.assert_arrived(path, size)


def test_web_server_that_is_stopped_keeps_the_bytes(tus: Tus) -> None:
    size = 3 * PART
    path = tus.start(size)
    with tus.open_patch(path, 0, size) as sending:
        sending.send(content(0, PART + 999))
        wait_for("the bytes", lambda: tus.offset(path) == PART + 999)
        tus.stack.terminate("web")
        tus.stack.wait_for_end("web")
    tus.stack.start("web")
    assert tus.offset(path) == PART + 999
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_remains_of_a_crash_are_recovered_or_removed(tus: Tus) -> None:
    """Bytes that were not recorded, a part that is already in the store, and folders without a transfer."""
    stack, size = tus.stack, 4 * PART
    path = tus.start(size)
    tus.patch(path, 0, content(0, PART + 100))
    wait_for("a part in the store", lambda: tus.operator.transfer(transfer_id(path))["parts"]["sent"])
    unknown, foreign = stack.staging / str(uuid.uuid4()), stack.staging / "not-ours"
    stack.kill("web")
    try:
        ours = stack.staging / transfer_id(path)
        (ours / "00001").write_bytes(b"long in the store")
        with (ours / "00002.partial").open("ab") as file:
            file.write(content(PART + 100, 2 * PART))
        (ours / "00003").write_bytes(content(2 * PART, 3 * PART))
        for folder in (unknown, foreign):
            folder.mkdir()
            (folder / "00001.partial").write_bytes(b"stray")
    finally:
        stack.start("web")
    try:
        wait_for("the removal of the unknown folder", lambda: not unknown.exists())
        wait_for("the recovered parts", lambda: tus.operator.transfer(transfer_id(path))["parts"]["sent"] == 3)
        assert not (ours / "00001").exists()
        assert (foreign / "00001.partial").exists()
    finally:
        (foreign / "00001.partial").unlink()
        foreign.rmdir()
    assert tus.offset(path) == 3 * PART
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


def test_complete_file_that_was_not_recorded_is_recovered(tus: Tus) -> None:
    """All bytes have arrived, the server crashed before it recorded that, and no further byte is sent."""
    path = tus.start(SMALL)
    tus.patch(path, 0, content(0, SMALL - 1))
    with (tus.stack.staging / transfer_id(path) / "00001.partial").open("ab") as file:
        file.write(content(SMALL - 1, SMALL))
    assert tus.offset(path) == SMALL
    tus.assert_arrived(path, SMALL)


# --- The quota of staging ---------------------------------------------------------------------------------------------


def test_file_of_twenty_times_the_quota_arrives(narrow: Tus) -> None:
    size = 20 * QUOTA
    path = narrow.start(size)
    with Watch(narrow.stack.staging) as watch:
        narrow.send_rest(path, size, most=64 * MIB)
        narrow.wait_for_state(path, "done")
    assert PART < watch.peak <= QUOTA
    narrow.assert_arrived(path, size)


def test_form_of_several_times_the_quota_arrives(narrow: Tus) -> None:
    size = 4 * QUOTA
    with Watch(narrow.stack.staging) as watch, slow_form(narrow, "file", size) as form:
        assert form.finish() == 201
        [(identity,)] = narrow.stack.query("SELECT id FROM uploads_transfer WHERE bucket = ?", narrow.bucket)
        path = f"/files/{uuid.UUID(identity)}"
        narrow.wait_for_state(path, "done")
    assert PART <= watch.peak <= QUOTA
    narrow.assert_arrived(path, size)


def test_several_files_at_once_stay_within_the_quota(narrow: Tus, other: Tus) -> None:
    clients = [(narrow if number % 2 else other, f"at-once/{number}", 3 * PART + number) for number in range(5)]

    def upload(client: Tus, key: str, size: int) -> str:
        return client.upload(size, key=key)

    with Watch(narrow.stack.staging) as watch, ThreadPoolExecutor(5) as pool:
        sent = [(client, key, size, pool.submit(upload, client, key, size)) for client, key, size in clients]
        for client, key, size, path in sent:
            client.wait_for_state(path.result(), "done")
            assert narrow.stack.object_digest(client.bucket, key)[0] == size
    assert watch.peak <= QUOTA
    for client, key, size, path in sent:
        client.assert_arrived(path.result(), size, key)


def test_full_staging_refuses_a_body_before_it_is_read(narrow: Tus, other: Tus) -> None:
    """The page shows why the transfer waits, and a client that waits resumes automatically."""
    full, waiting = narrow.start(QUOTA), other.start(PART, key="waiting")
    with frozen(narrow.stack, "sender"), ThreadPoolExecutor(1) as pool:
        narrow.send_rest(full, QUOTA)
        with other.open_patch(waiting, 0, PART) as sending:
            response = sending.response()
        assert (response.status, response.code) == (503, "NoRoom")
        assert int(response.headers["retry-after"]) > 0
        assert other.offset(waiting) == 0
        assert other.operator.transfer(transfer_id(waiting))["waiting"]
        resuming = pool.submit(other.send_rest, waiting, PART)
        narrow.stack.thaw("sender")
        resuming.result()
    narrow.wait_for_state(full, "done")
    other.assert_arrived(waiting, PART, "waiting")
    assert other.operator.transfer(transfer_id(waiting))["waiting"] is None


def test_creation_succeeds_while_staging_is_full(narrow: Tus) -> None:
    full = narrow.start(QUOTA)
    with frozen(narrow.stack, "sender"):
        narrow.send_rest(full, QUOTA)
        created = narrow.create(SMALL, content(0, SMALL), key="created")
        assert (created.status, created.offset) == (201, 0)
    narrow.send_rest(created.headers["location"], SMALL)
    narrow.wait_for_state(full, "done")
    narrow.assert_arrived(created.headers["location"], SMALL, "created")


def test_huge_file_does_not_starve_a_small_one(narrow: Tus, other: Tus) -> None:
    size = 12 * QUOTA
    huge, small = narrow.start(size), other.start(PART, key="small")
    with ThreadPoolExecutor(2) as pool:
        with frozen(narrow.stack, "sender"):
            pool.submit(narrow.send_rest, huge, size)
            wait_for("full staging", lambda: narrow.offset(huge) == QUOTA)
            assert other.patch(small, 0, content(0, PART)).status == 503
        other.send_rest(small, PART)
        assert narrow.offset(huge) < size
    narrow.wait_for_state(huge, "done")
    other.assert_arrived(small, PART, "small")


def test_partial_parts_of_silent_senders_are_reclaimed(narrow: Tus, other: Tus) -> None:
    silent = [narrow.start(PART + SMALL, key=f"silent/{number}") for number in range(2)]
    for path in silent:
        narrow.patch(path, 0, content(0, PART // 2))
    small = other.start(SMALL, key="small")
    assert other.patch(small, 0, content(0, SMALL)).code == "NoRoom"
    assert [narrow.offset(path) for path in silent] == [PART // 2] * 2
    narrow.stack.let_time_pass(A_SILENCE)
    other.send_rest(small, SMALL)
    assert 0 in [narrow.offset(path) for path in silent]
    for path in silent:
        narrow.send_rest(path, PART + SMALL)
    for path in silent:
        narrow.wait_for_state(path, "done")
    for number, path in enumerate(silent):
        narrow.assert_arrived(path, PART + SMALL, f"silent/{number}")
    other.assert_arrived(small, SMALL, "small")


# --- Paused, cancelled, expired ---------------------------------------------------------------------------------------


def test_pause_stops_the_writer_until_a_resume(tus: Tus) -> None:
    size = 2 * PART
    path = tus.start(size)
    with tus.open_patch(path, 0, size) as sending:
        sending.send(content(0, SMALL))
        wait_for("the first bytes", lambda: tus.offset(path) == SMALL)
        tus.request_step(path, "pause")
        response = send_until_response(sending, content(SMALL, 2 * SMALL))
        assert (response.status, response.code) == (423, "Paused")
    assert tus.offset(path) >= SMALL
    tus.request_step(path, "resume")
    tus.send_rest(path, size)
    tus.assert_arrived(path, size)


@pytest.mark.parametrize("method", ["delete", "cancel"])
def test_cancellation_stops_the_writer(tus: Tus, method: str) -> None:
    path = tus.start(2 * PART)
    with tus.open_patch(path, 0, 2 * PART) as sending:
        sending.send(content(0, PART + SMALL))
        wait_for("the first bytes", lambda: tus.offset(path) == PART + SMALL)
        cancel(tus, path, method)
        assert send_until_response(sending, content(SMALL, 2 * SMALL)).status == 410
    tus.assert_cancelled(path)


def cancel(tus: Tus, path: str, method: str) -> bool:
    """Cancel an upload. Returns whether that was still possible."""
    if method == "delete":
        return tus.delete(path).status == 204
    return tus.operator.post(f"/transfers/{transfer_id(path)}/cancel/").status_code == 200


def test_cancellation_at_any_moment_leaves_nothing(stack: Stack, operator: Operator) -> None:
    """On both legs: before the first byte, while bytes arrive, while they are sent, at the very end."""
    moments = random.Random(SEED)
    attempts = [(Tus(stack, operator, stack.new_bucket()), moments.random(), moments.random()) for _ in range(16)]

    def attempt(number: int) -> bool:
        tus, fraction, wait = attempts[number]
        return cancel_at(tus, int(fraction * 1.2 * 3 * PART), wait / 2, "delete" if number % 2 else "cancel")

    with ThreadPoolExecutor(4) as pool:
        cancelled = list(pool.map(attempt, range(len(attempts))))
    assert sum(cancelled) > len(attempts) // 2


def cancel_at(tus: Tus, count: int, wait: float, method: str) -> bool:
    """Cancel after `count` bytes and `wait` seconds. Returns whether that was still possible."""
    size = 3 * PART
    path = tus.start(size)
    with tus.open_patch(path, 0, size) as sending:
        sending.send(content(0, min(size, count)))
        time.sleep(wait)
        possible = cancel(tus, path, method)
        with suppress(OSError):
            sending.send(content(min(size, count), size))
    if possible:
        tus.assert_cancelled(path)
    else:
        tus.assert_arrived(path, size)
    return possible


def test_cancelling_transfer_accepts_no_bytes(tus: Tus) -> None:
    """Clients that retry repeatedly during a cancellation leave no folder behind."""
    path = tus.start(3 * PART)
    tus.patch(path, 0, content(0, PART + SMALL))
    stopped = threading.Event()

    def retry() -> list[int]:
        statuses = []
        while not stopped.is_set():
            statuses.append(tus.patch(path, PART + SMALL, content(PART + SMALL, PART + 2 * SMALL)).status)
        return statuses

    with ThreadPoolExecutor(3) as pool:
        retrying = [pool.submit(retry) for _ in range(3)]
        assert cancel(tus, path, "delete")
        tus.wait_for_state(path, "cancelled")
        stopped.set()
        statuses = {status for each in retrying for status in each.result()}
    assert statuses <= {204, 409, 410, 423}
    tus.assert_cancelled(path)


def test_silent_transfer_expires_after_a_day(tus: Tus) -> None:
    path = tus.start(2 * PART)
    tus.patch(path, 0, content(0, PART + SMALL))
    wait_for("a part in the store", lambda: tus.operator.transfer(transfer_id(path))["parts"]["sent"])
    tus.stack.let_time_pass(A_DAY)
    response = tus.patch(path, PART + SMALL, b"x")
    assert (response.status, response.code) == (410, "Expired")
    tus.assert_cancelled(path)


def test_silent_transfer_does_not_expire_before_a_day(tus: Tus) -> None:
    path = tus.start(2 * PART)
    tus.patch(path, 0, content(0, PART + SMALL))
    tus.stack.let_time_pass(A_DAY - 2 * 3600)
    tus.send_rest(path, 2 * PART)
    tus.assert_arrived(path, 2 * PART)


# --- Concurrency ------------------------------------------------------------------------------------------------------


def test_five_files_at_once_arrive(tus: Tus) -> None:
    sizes = {f"at-once/{number}": 2 * PART + number for number in range(5)}

    def upload(key: str) -> str:
        return tus.upload(sizes[key], key=key)

    with ThreadPoolExecutor(5) as pool:
        paths = dict(zip(sizes, pool.map(upload, sizes), strict=True))
    for path in paths.values():
        tus.wait_for_state(path, "done")
    for key, path in paths.items():
        tus.assert_arrived(path, sizes[key], key)
