"""A storm over a whole installation: files arrive by tus and by form while processes are killed and the connection to
the store fails. One seed decides what happens. The result is checked in the store directly.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

import psutil
import requests

from tests.system.fault_proxy import Fault, FaultProxy
from tests.system.sending import FORM_TAIL, SlowForm, file_blocks
from tests.system.stack import MIB, Operator, Stack, wait_for
from tests.system.tus import OFFSET_STREAM, Tus, transfer_id

PART = 5 * MIB
SETTINGS = {
    "STORE_STALL_SECONDS": "3",
    "LEASE_SECONDS": "8",
    "LOST_MESSAGE_SECONDS": "5",
    "WATCH_SECONDS": "2",
    "RECEIVE_STALL_SECONDS": "10",
}
"""Short timeouts, so that the work of dead processes is taken over after seconds."""

FINISHED = ("done", "failed", "cancelled")
VICTIMS = ("worker", "sender", "sender", "web", "beat", "watcher", "redis")
DATABASE = "database"
"""One more victim if the database is a server."""

CALM_SECONDS = 150
"""How long all transfers may take to finish after the storm: far longer than they need."""

LOST = (OSError, http.client.HTTPException, requests.RequestException)
"""What a client sees of a server that was killed or has not started yet."""

WITH_RESPONSE_BODY = ("CreateMultipartUpload", "CompleteMultipartUpload", "ListParts", "ListMultipartUploads")
"""Operations whose responses have a body that can be truncated."""

ACTING = (
    "CreateMultipartUpload",
    "UploadPart",
    "PutObject",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
)
"""Operations whose success proves something, which a proxy's page or an empty response does not."""

UNUSABLE = (
    Fault.EMPTY_SUCCESS,
    Fault.PAGE,
    Fault.PAGE_AFTER,
    Fault.REDIRECT_AFTER,
    Fault.NOT_FOUND_EMPTY,
    Fault.UNAVAILABLE_AFTER,
)
"""Responses of a proxy, some of them after the store acted."""

UNUSUAL_HEADS = (
    Fault.NO_SUCH_KEY,
    Fault.NO_SUCH_BUCKET,
    Fault.NOT_FOUND_PAGE,
    Fault.NOT_FOUND_EMPTY,
    Fault.BAD_REQUEST_PAGE,
    Fault.REDIRECT,
    Fault.EMPTY_SUCCESS,
    Fault.WITHOUT_LENGTH,
)

WITH_TEXTS = ("UploadPart", "PutObject", "CompleteMultipartUpload", "ListParts", "HeadObject")
"""Not ListMultipartUploads: of an upload whose start is not known, an operator has to decide."""


def add_transient_faults(proxy: FaultProxy) -> None:
    """Add all transient faults, each with its own probability."""
    proxy.latency = 0.3
    for fault, probability in {
        Fault.LATENCY: 0.08,
        Fault.STALL: 0.01,
        Fault.RESET_BEFORE_BODY: 0.03,
        Fault.RESET_DURING_BODY: 0.03,
        Fault.RESET_AFTER_BODY: 0.03,
        Fault.RESPONSE_LOST: 0.05,
        Fault.DUPLICATED: 0.03,
        Fault.FLIPPED_BYTE: 0.03,
        Fault.INTERNAL_ERROR: 0.03,
        Fault.BAD_GATEWAY: 0.02,
        Fault.SLOW_DOWN: 0.02,
        Fault.TOO_MANY_REQUESTS: 0.02,
    }.items():
        proxy.plan.add_chance(fault, probability)
    proxy.plan.add_chance(Fault.TRUNCATED, 0.05, *WITH_RESPONSE_BODY)
    proxy.plan.add_chance(Fault.ERROR_INSIDE, 0.1, "CompleteMultipartUpload")
    for fault in UNUSABLE:
        proxy.plan.add_chance(fault, 0.03, *ACTING)
    for fault in UNUSUAL_HEADS:
        proxy.plan.add_chance(fault, 0.05, "HeadObject")
    proxy.plan.add_chance(Fault.STRANGE_VALUES, 0.1, *WITH_TEXTS)
    # The most important faults, more often than the few requests of these operations would meet them.
    proxy.plan.add_chance(Fault.RESPONSE_LOST, 0.2, "CreateMultipartUpload", "CompleteMultipartUpload", "PutObject")


# --- Files ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class File:
    """A file that is sent until it has been received. Different files have different bytes everywhere."""

    number: int
    size: int
    by_form: bool
    transfer_id: str = ""
    repeats: int = 0

    @property
    def key(self) -> str:
        return f"storm/{self.number:04}-{'form' if self.by_form else 'tus'}"

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        base = self.number << 40
        return file_blocks(base + start, base + end)

    @property
    def digest(self) -> str:
        digest = hashlib.sha256()
        for block in self.blocks(0, self.size):
            digest.update(block)
        return digest.hexdigest()


def files(chance: random.Random, count: int, forms: int) -> list[File]:
    """`count` files in random order: empty, tiny, of one part and of several. `forms` of them are sent by form."""
    sizes = [0, 1, PART, PART + 1, 2 * PART]
    sizes += [chance.randrange(PART // 4, PART) for _ in range((count - 5) // 3)]
    sizes += [chance.randrange(PART, 5 * PART) for _ in range(count - len(sizes))]
    chance.shuffle(sizes)
    return [File(number, size, by_form=number % (count // max(1, forms)) == 0) for number, size in enumerate(sizes, 1)]


class Stopped(Exception):
    """The transfer has failed or the storm is over, so that the server accepts no more bytes."""


class Sender:
    """Sends one file until it has been received, each time from the server's offset."""

    def __init__(self, stack: Stack, operator: Operator, bucket: str, chance: random.Random, slow: float) -> None:
        self._tus = Tus(stack, operator, bucket)
        self._stack, self._operator, self._bucket = stack, operator, bucket
        self._chance = chance
        self._slow = slow

    def send(self, file: File, deadline: float) -> None:
        """Send the file until all of it has been received. Raises Stopped."""
        step = self._send_by_form if file.by_form else self._send_by_tus
        while not self._attempt(step, file):
            if time.monotonic() > deadline:
                raise Stopped(f"{file.key} has still not been received")
            time.sleep(self._chance.uniform(0.1, 0.5))

    def _attempt(self, step: Callable[[File], bool], file: File) -> bool:
        try:
            return step(file)
        except LOST:
            file.repeats += 1
            return False

    # --- tus ----------------------------------------------------------------------------------------------------------

    def _send_by_tus(self, file: File) -> bool:
        """Send one request. Returns whether the whole file has been received."""
        if not file.transfer_id:
            response = self._tus.create(file.size, key=file.key, fingerprint=f"storm-{file.number}", replace="1")
            if response.status != 201:
                return self._check_can_repeat(file, response.status, response.body)
            file.transfer_id = transfer_id(response.headers["location"])
        path = f"/files/{file.transfer_id}"
        head = self._tus.head(path)
        if head.status != 200:
            return self._check_can_repeat(file, head.status, b"")
        if head.offset < file.size:
            self._patch(file, path, head.offset)
            return False
        return self._is_received(file)

    def _patch(self, file: File, path: str, offset: int) -> None:
        length = min(file.size - offset, self._chance.randrange(MIB // 2, 4 * MIB))
        headers = {"Content_Type": OFFSET_STREAM, "Upload_Offset": str(offset), "Content_Length": str(length)}
        with self._tus.open("PATCH", path, **headers) as sending:
            for block in file.blocks(offset, offset + length):
                sending.send(block)
                time.sleep(self._slow)
            response = sending.response()
        if response.status != 204:
            self._check_can_repeat(file, response.status, response.body)

    # --- The form -----------------------------------------------------------------------------------------------------

    def _send_by_form(self, file: File) -> bool:
        """Send a whole form. An incomplete transfer of an earlier form is cancelled first: a form cannot be resumed."""
        if not self._earlier_has_ended(file):
            return False
        if file.transfer_id:
            return True
        fields = {"store": self._stack.store, "bucket": self._bucket, "key": file.key, "part-size": PART}
        form = SlowForm(self._operator, {**fields, "replace": "on", "replace-etag": "*"}, file.size)
        with form:
            status, body = self._post(form, file)
        if status != 201:
            return self._check_can_repeat(file, status, body)
        file.transfer_id = json.loads(body)["id"]
        return True

    def _post(self, form: SlowForm, file: File) -> tuple[int, bytes]:
        for block in file.blocks(0, file.size):
            form._connection.send(block)
            time.sleep(self._slow)
        form._connection.send(FORM_TAIL)
        response = form.response()
        return response.status, response.read()

    def _earlier_has_ended(self, file: File) -> bool:
        """Whether no incomplete transfer to this key is left. A transfer whose response was lost becomes the file's."""
        rows = self._stack.query(
            "SELECT id, all_received, phase, desired_state FROM uploads_transfer WHERE bucket = ? AND key = ?",
            self._bucket,
            file.key,
        )
        for identity, received, phase, desired_state in rows:
            if received and desired_state != "cancel":
                file.transfer_id = str(uuid.UUID(identity))
            elif phase != "cancelled":
                if desired_state != "cancel":
                    self._operator.post(f"/transfers/{uuid.UUID(identity)}/cancel/")
                return False
        return True

    # --- Responses ----------------------------------------------------------------------------------------------------

    def _is_received(self, file: File) -> bool:
        identity = uuid.UUID(file.transfer_id).hex
        [(received,)] = self._stack.query("SELECT all_received FROM uploads_transfer WHERE id = ?", identity)
        return bool(received)

    def _check_can_repeat(self, file: File, status: int, body: bytes) -> bool:
        """Count a response after which the client tries again. Any other response is a bug."""
        file.repeats += 1
        if b'"Failed"' in body:
            raise Stopped(body.decode())
        assert status in (408, 409, 423, 429, 502, 503) or status >= 500, (file.key, status, body[:500])
        return False


# --- Killing ----------------------------------------------------------------------------------------------------------


class Killer:
    """Kills and restarts random processes, one at a time, and makes the store unreachable at times."""

    def __init__(self, stack: Stack, proxy: FaultProxy, chance: random.Random, victims: tuple[str, ...]) -> None:
        self.kills: Counter[str] = Counter()
        self._stack, self._proxy, self._chance, self._victims = stack, proxy, chance, victims
        # Each victim is killed once in random order, then at random.
        self._first = chance.sample(sorted(set(victims)), len(set(victims)))

    @property
    def has_killed_each(self) -> bool:
        return not self._first

    def kill_one(self) -> None:
        """Kill and restart one process, or make the store unreachable for a moment."""
        time.sleep(self._chance.uniform(0.5, 2.5))
        if self._chance.random() < 0.15:
            self._proxy.disconnect()
            time.sleep(self._chance.uniform(0.5, 2.0))
            self._proxy.reconnect()
            self.kills["store unreachable"] += 1
            return
        if self._chance.random() < 0.1:
            with self._proxy.frozen():
                time.sleep(self._chance.uniform(1.0, 4.0))
            self.kills["store frozen"] += 1
            return
        name = self._first.pop() if self._first else self._chance.choice(self._victims)
        if name == DATABASE:
            self._stack.crash_database()
            self.kills[name] += 1
            return
        with suppress(psutil.NoSuchProcess):
            self._stack.kill(name)
            self.kills[name] += 1
        time.sleep(self._chance.uniform(0.0, 1.0))
        self._stack.start(name)

    def restart_ended(self) -> None:
        """Start processes that have ended by themselves, as a supervisor would."""
        for name in self._stack.process_names:
            process = self._stack._processes.get(name)
            if process is None or process.poll() is not None:
                self.kills[f"{name} ended by itself"] += 1
                self._stack.start(name)


class LeaseWatcher:
    """Reads the database continuously and counts the leases that were taken and those that expired."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._tokens: set[tuple[str, str, str]] = set()
        self._expired: set[tuple[str, str, str]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def leases_taken(self) -> int:
        return len(self._tokens)

    @property
    def leases_expired(self) -> int:
        return len(self._expired)

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            with suppress(Exception):  # The database may be locked for a moment.
                self._read_leases()

    def _read_leases(self) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        for table in ("part", "transfer"):
            sql = f"SELECT id, lease_token, lease_until FROM uploads_{table} WHERE lease_token IS NOT NULL"
            for identity, token, until in self._stack.query(sql):
                self._tokens.add((table, str(identity), token))
                if until < now:
                    self._expired.add((table, str(identity), token))


# --- The storm --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Report:
    """What happened in a storm, as text."""

    seed: int
    seconds: float = 0
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[Fault] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    lines: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"storm with seed {self.seed}, {self.seconds:.0f} s"]
        lines += [f"  {name}: {value}" for name, value in self.lines.items()]
        for name, counter in (("kills", self.kills), ("faults", self.faults), ("requests", self.requests)):
            counts = ", ".join(f"{kind} {count}" for kind, count in sorted(counter.items()))
            lines.append(f"  {name} ({sum(counter.values())}): {counts}")
        return "\n".join(lines)


class Storm:
    """One storm over a stack that reaches its store through `proxy`."""

    def __init__(self, stack: Stack, proxy: FaultProxy, seed: int, seconds: float) -> None:
        self.stack, self.proxy, self.seed, self.seconds = stack, proxy, seed, seconds
        self.chance = random.Random(seed)
        self.bucket = stack.new_bucket()
        self.report = Report(seed)
        self.stopped: dict[str, str] = {}
        self._failures: list[BaseException] = []
        set_endpoint(stack, proxy.url)

    def run(self, sent: list[File], victims: tuple[str, ...], *, during: Callable[[float], None] | None = None) -> None:
        """Send all files, during and after the storm. `during` is called with the part of the storm that is over."""
        started = time.monotonic()
        killer = Killer(self.stack, self.proxy, random.Random(self.seed + 1), victims)
        with self.stack.signed_in() as operator, LeaseWatcher(self.stack) as watcher:
            try:
                self._run(operator, sent, killer, during)
            finally:
                self._report(sent, killer, watcher, time.monotonic() - started)

    def _run(
        self, operator: Operator, sent: list[File], killer: Killer, during: Callable[[float], None] | None
    ) -> None:
        started = time.monotonic()
        threads = [threading.Thread(target=self._send, args=[operator, file, started], daemon=True) for file in sent]
        for thread in threads:
            thread.start()
        while not self._failures and (time.monotonic() - started < self.seconds or not killer.has_killed_each):
            killer.kill_one()
            killer.restart_ended()
            if during:
                during((time.monotonic() - started) / self.seconds)
        if during is None:
            self.proxy.clear()
        for thread in threads:
            thread.join(CALM_SECONDS)
        self._raise_failures()
        self.wait_until_finished(killer.restart_ended)

    def _report(self, sent: list[File], killer: Killer, watcher: LeaseWatcher, seconds: float) -> None:
        self.report.kills, self.report.seconds = killer.kills, seconds
        self.report.faults, self.report.requests = self.proxy.faults, self.proxy.requests
        self.report.lines |= {
            "transfers": len(self.states()),
            "files": len(sent),
            "requests repeated by clients": sum(file.repeats for file in sent),
            "bodies repeated": self._repeated_bodies(),
            "own uploads of lost responses aborted": self._count(
                "uploads_auditentry WHERE action = 'transfer.twin-aborted'"
            ),
            "uploads started again": self._count("uploads_auditentry WHERE action = 'transfer.begun-anew'"),
            "leases taken": watcher.leases_taken,
            "leases expired": watcher.leases_expired,
        }

    def _send(self, operator: Operator, file: File, started: float) -> None:
        """Send one file. The files start at random times in the first part of the storm."""
        chance = random.Random(self.seed * 1000 + file.number)
        time.sleep(chance.uniform(0, self.seconds * 0.7))
        sender = Sender(self.stack, operator, self.bucket, chance, slow=chance.uniform(0.0, 0.3))
        try:
            sender.send(file, started + self.seconds + CALM_SECONDS)
        except Stopped as reason:
            self.stopped[file.key] = str(reason)
        except BaseException as error:
            self._failures.append(error)

    @staticmethod
    def deadline() -> float:
        """Until when a client that starts now keeps trying."""
        return time.monotonic() + CALM_SECONDS

    def _raise_failures(self) -> None:
        if self._failures:
            raise self._failures[0]

    def wait_until_finished(self, each_check: Callable[[], None] = lambda: None) -> None:
        def finished() -> bool:
            each_check()
            return all(state in FINISHED for state in self.states().values())

        wait_for("the end of every transfer", finished, CALM_SECONDS)

    # --- Results ------------------------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        """The phase of every transfer by id, or `cancelling`, which has not finished."""
        rows = self.stack.query("SELECT id, phase, desired_state FROM uploads_transfer WHERE bucket = ?", self.bucket)
        return {
            str(uuid.UUID(identity)): "cancelling" if desired_state == "cancel" and phase != "cancelled" else phase
            for identity, phase, desired_state in rows
        }

    def row(self, file: File) -> dict[str, Any]:
        names = (
            "phase",
            "error_code",
            "error_reason",
            "error_params",
            "error_message",
            "all_received",
            "tries",
            "verified",
        )
        sql = f"SELECT {', '.join(names)} FROM uploads_transfer WHERE id = ?"
        [values] = self.stack.query(sql, uuid.UUID(file.transfer_id).hex)
        return dict(zip(names, values, strict=True))

    def compare(self, done: list[File]) -> None:
        """Assert that every object has the bytes of its file."""
        for file in done:
            actual = self.stack.object_digest(self.bucket, file.key)
            assert actual == (file.size, file.digest), (file, self.row(file))
        self.report.lines["bytes compared"] = sum(file.size for file in done)

    def assert_nothing_left(self) -> None:
        """Assert that the store, staging and the database have no remains."""
        assert self.stack.uploads_in(self.bucket) == []
        assert self._count("uploads_part WHERE reserved_bytes > 0") == 0
        assert self._count("uploads_part WHERE state = 'sending' OR lease_token IS NOT NULL") == 0
        assert self._count("uploads_storeupload WHERE state IN ('open', 'suspect')") == 0
        try:
            wait_for("an empty staging folder", lambda: not self.stack.staged_files())
        except AssertionError as failure:
            left = [str(path.relative_to(self.stack.staging)) for path in self.stack.staged_files()]
            raise AssertionError(f"{failure}: {left}") from failure

    def _repeated_bodies(self) -> int:
        """Requests with a part or an object, minus one for each part that was sent."""
        sql = (
            "SELECT count(*) FROM uploads_part JOIN uploads_transfer ON uploads_transfer.id = transfer_id"
            " WHERE state = 'sent' AND bucket = ?"
        )
        [(sent_parts,)] = self.stack.query(sql, self.bucket)
        return self.proxy.requests["UploadPart"] + self.proxy.requests["PutObject"] - int(sent_parts)

    def _count(self, rows: str) -> int:
        [(count,)] = self.stack.query(f"SELECT count(*) FROM {rows}")
        return int(count)


def set_endpoint(stack: Stack, url: str) -> None:
    """Change the endpoint of the store in Partway's settings."""
    stack.run_python(
        f"from uploads.models import Store\nStore.objects.filter(name={stack.store!r}).update(endpoint_url={url!r})"
    )


@contextmanager
def proxied(stack: Stack, seed: int) -> Iterator[FaultProxy]:
    """A proxy in front of the stack's store. Afterwards Partway reaches the store directly again."""
    with FaultProxy(stack.server.endpoint_url, seed=seed) as proxy:
        yield proxy
    set_endpoint(stack, stack.server.endpoint_url)
