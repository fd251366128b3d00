"""A storm over a whole installation: files come in by tus and by form while processes are killed and the line to the
store misbehaves. What happens is drawn from one seed; what came of it is looked at in the store, past everything.
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
"""Everything that waits for somebody who is dead waits seconds, not minutes."""

RESTED = ("done", "failed", "cancelled")
VICTIMS = ("worker", "sender", "sender", "web", "beat", "redis")
DATABASE = "database"
"""One more victim, where it is a server."""

CALM_SECONDS = 150
"""How long after the storm everything may take to come to its end; far beyond what it takes."""

LOST = (OSError, http.client.HTTPException, requests.RequestException)
"""What a client sees of a server that was killed, or that is not up yet."""

ANSWERS = ("CreateMultipartUpload", "CompleteMultipartUpload", "ListParts", "ListMultipartUploads")
"""Operations whose answers have a body that can be cut short."""


def brew(proxy: FaultProxy) -> None:
    """Faults that all pass by themselves, each at a chance of its own."""
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
        proxy.plan.sprinkle(fault, probability)
    proxy.plan.sprinkle(Fault.TRUNCATED, 0.05, *ANSWERS)
    proxy.plan.sprinkle(Fault.ERROR_INSIDE, 0.1, "CompleteMultipartUpload")
    # Those that matter most, more often than their few requests would meet them.
    proxy.plan.sprinkle(Fault.RESPONSE_LOST, 0.2, "CreateMultipartUpload", "CompleteMultipartUpload", "PutObject")


# --- Files ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class File:
    """A file that is sent until it is taken, whatever happens; no two have a byte sequence in common."""

    number: int
    size: int
    by_form: bool
    identity: str = ""
    again: int = 0

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
    """Empty, tiny, of one part, of a few: of `count` files the first in a shuffled order go by form."""
    sizes = [0, 1, PART, PART + 1, 2 * PART]
    sizes += [chance.randrange(PART // 4, PART) for _ in range((count - 5) // 3)]
    sizes += [chance.randrange(PART, 5 * PART) for _ in range(count - len(sizes))]
    chance.shuffle(sizes)
    return [File(number, size, by_form=number % (count // max(1, forms)) == 0) for number, size in enumerate(sizes, 1)]


class Stopped(Exception):
    """The transfer rests as failed, or the storm is over: no more bytes are taken."""


class Sender:
    """Sends one file as a patient person does: again and again, from where the server stands."""

    def __init__(self, stack: Stack, operator: Operator, bucket: str, chance: random.Random, slow: float) -> None:
        self._tus = Tus(stack, operator, bucket)
        self._stack, self._operator, self._bucket = stack, operator, bucket
        self._chance = chance
        self._slow = slow

    def send(self, file: File, deadline: float) -> None:
        """Until all of it is taken. Raises Stopped."""
        step = self._step_of_form if file.by_form else self._step_of_tus
        while not self._patiently(step, file):
            if time.monotonic() > deadline:
                raise Stopped(f"{file.key} is still not taken")
            time.sleep(self._chance.uniform(0.1, 0.5))

    def _patiently(self, step: Callable[[File], bool], file: File) -> bool:
        try:
            return step(file)
        except LOST:
            file.again += 1
            return False

    # --- tus ----------------------------------------------------------------------------------------------------------

    def _step_of_tus(self, file: File) -> bool:
        """One body. Whether that was all."""
        if not file.identity:
            answer = self._tus.create(file.size, key=file.key, fingerprint=f"storm-{file.number}", replace="1")
            if answer.status != 201:
                return self._not_now(file, answer.status, answer.body)
            file.identity = transfer_id(answer.headers["location"])
        path = f"/files/{file.identity}"
        head = self._tus.head(path)
        if head.status != 200:
            return self._not_now(file, head.status, b"")
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
            answer = sending.answer()
        if answer.status != 204:
            self._not_now(file, answer.status, answer.body)

    # --- The form -----------------------------------------------------------------------------------------------------

    def _step_of_form(self, file: File) -> bool:
        """A whole form. What an earlier one left half-way is cancelled first: a form cannot be resumed."""
        if not self._earlier_is_over(file):
            return False
        if file.identity:
            return True
        fields = {"store": self._stack.store, "bucket": self._bucket, "key": file.key, "part-size": PART}
        form = SlowForm(self._operator, {**fields, "replace": "on"}, file.size)
        with form:
            status, body = self._post(form, file)
        if status != 201:
            return self._not_now(file, status, body)
        file.identity = json.loads(body)["id"]
        return True

    def _post(self, form: SlowForm, file: File) -> tuple[int, bytes]:
        for block in file.blocks(0, file.size):
            form._connection.send(block)
            time.sleep(self._slow)
        form._connection.send(FORM_TAIL)
        answer = form.answer()
        return answer.status, answer.read()

    def _earlier_is_over(self, file: File) -> bool:
        """Nothing to this key is half-way any more; one that was taken whole, unheard, is the file's."""
        rows = self._stack.query(
            "SELECT id, all_received, phase, wanted FROM uploads_transfer WHERE bucket = ? AND key = ?",
            self._bucket,
            file.key,
        )
        for identity, received, phase, wanted in rows:
            if received and wanted != "cancel":
                file.identity = str(uuid.UUID(identity))
            elif phase != "cancelled":
                if wanted != "cancel":
                    self._operator.post(f"/transfers/{uuid.UUID(identity)}/cancel/")
                return False
        return True

    # --- Answers ------------------------------------------------------------------------------------------------------

    def _is_received(self, file: File) -> bool:
        identity = uuid.UUID(file.identity).hex
        [(received,)] = self._stack.query("SELECT all_received FROM uploads_transfer WHERE id = ?", identity)
        return bool(received)

    def _not_now(self, file: File, status: int, body: bytes) -> bool:
        """An answer after which one comes back. Anything else is a bug."""
        file.again += 1
        if b'"Failed"' in body:
            raise Stopped(body.decode())
        assert status in (408, 409, 423, 502, 503) or status >= 500, (file.key, status, body[:500])
        return False


# --- Killing ----------------------------------------------------------------------------------------------------------


class Killer:
    """Kills parts of the installation at random and starts them again, one at a time; also sends the store away."""

    def __init__(self, stack: Stack, proxy: FaultProxy, chance: random.Random, victims: tuple[str, ...]) -> None:
        self.kills: Counter[str] = Counter()
        self._stack, self._proxy, self._chance, self._victims = stack, proxy, chance, victims
        # Each once, in any order, before the dice alone decide.
        self._first = chance.sample(sorted(set(victims)), len(set(victims)))

    def strike(self) -> None:
        """One kill, or the store away for a moment, and the part up again."""
        time.sleep(self._chance.uniform(0.5, 2.5))
        if self._chance.random() < 0.15:
            self._proxy.disconnect()
            time.sleep(self._chance.uniform(0.5, 2.0))
            self._proxy.reconnect()
            self.kills["store away"] += 1
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

    def revive(self) -> None:
        """Start what has ended by itself, as a supervisor would."""
        for name in self._stack.part_names:
            process = self._stack._processes.get(name)
            if process is None or process.poll() is not None:
                self.kills[f"{name} ended by itself"] += 1
                self._stack.start(name)


class Watcher:
    """Looks at the database all the time: how often work was taken, and how often from somebody who was dead."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._tokens: set[tuple[str, str, str]] = set()
        self._expired: set[tuple[str, str, str]] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def takings(self) -> int:
        return len(self._tokens)

    @property
    def takeovers(self) -> int:
        return len(self._expired)

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            with suppress(Exception):  # Locked for a moment: the next look sees as much.
                self._look()

    def _look(self) -> None:
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
    """What happened, for people."""

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
            told = ", ".join(f"{kind} {count}" for kind, count in sorted(counter.items()))
            lines.append(f"  {name} ({sum(counter.values())}): {told}")
        return "\n".join(lines)


class Storm:
    """One storm over a stack whose store is reached through `proxy`."""

    def __init__(self, stack: Stack, proxy: FaultProxy, seed: int, seconds: float) -> None:
        self.stack, self.proxy, self.seed, self.seconds = stack, proxy, seed, seconds
        self.chance = random.Random(seed)
        self.bucket = stack.new_bucket()
        self.report = Report(seed)
        self.stopped: dict[str, str] = {}
        self._failures: list[BaseException] = []
        reach_store_at(stack, proxy.url)

    def blow(
        self, sent: list[File], victims: tuple[str, ...], *, during: Callable[[float], None] | None = None
    ) -> None:
        """Send all files while the storm lasts and as long as it takes; `during` is called all the time with the share
        of the storm that is over."""
        begun = time.monotonic()
        killer = Killer(self.stack, self.proxy, random.Random(self.seed + 1), victims)
        with self.stack.signed_in() as operator, Watcher(self.stack) as watcher:
            try:
                self._blow(operator, sent, killer, during)
            finally:
                self._tell(sent, killer, watcher, time.monotonic() - begun)

    def _blow(
        self, operator: Operator, sent: list[File], killer: Killer, during: Callable[[float], None] | None
    ) -> None:
        begun = time.monotonic()
        threads = [threading.Thread(target=self._send, args=[operator, file, begun], daemon=True) for file in sent]
        for thread in threads:
            thread.start()
        while time.monotonic() - begun < self.seconds and not self._failures:
            killer.strike()
            killer.revive()
            if during:
                during((time.monotonic() - begun) / self.seconds)
        if during is None:
            self.proxy.clear()
        for thread in threads:
            thread.join(CALM_SECONDS)
        self._raise_failures()
        self.wait_for_rest(killer.revive)

    def _tell(self, sent: list[File], killer: Killer, watcher: Watcher, seconds: float) -> None:
        self.report.kills, self.report.seconds = killer.kills, seconds
        self.report.faults, self.report.requests = self.proxy.faults, self.proxy.requests
        self.report.lines |= {
            "transfers": len(self.states()),
            "files": len(sent),
            "sent again by clients": sum(file.again for file in sent),
            "bodies sent again": self._bodies_sent_again(),
            "twins aborted": self._count("uploads_auditentry WHERE action = 'transfer.twin-aborted'"),
            "uploads begun anew": self._count("uploads_auditentry WHERE action = 'transfer.begun-anew'"),
            "work taken": watcher.takings,
            "takeovers from the dead": watcher.takeovers,
        }

    def _send(self, operator: Operator, file: File, begun: float) -> None:
        """The files begin one after the other over most of the storm, each in its own time."""
        chance = random.Random(self.seed * 1000 + file.number)
        time.sleep(chance.uniform(0, self.seconds * 0.7))
        sender = Sender(self.stack, operator, self.bucket, chance, slow=chance.uniform(0.0, 0.3))
        try:
            sender.send(file, begun + self.seconds + CALM_SECONDS)
        except Stopped as reason:
            self.stopped[file.key] = str(reason)
        except BaseException as error:
            self._failures.append(error)

    @staticmethod
    def deadline() -> float:
        """Until when a client that begins now is patient."""
        return time.monotonic() + CALM_SECONDS

    def _raise_failures(self) -> None:
        if self._failures:
            raise self._failures[0]

    def wait_for_rest(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        def rest() -> bool:
            meanwhile()
            return all(state in RESTED for state in self.states().values())

        wait_for("every transfer at rest", rest, CALM_SECONDS)

    # --- What came of it ----------------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        """Every transfer's phase by id; one that is being cancelled is not at rest."""
        rows = self.stack.query("SELECT id, phase, wanted FROM uploads_transfer WHERE bucket = ?", self.bucket)
        return {
            str(uuid.UUID(identity)): "cancelling" if wanted == "cancel" and phase != "cancelled" else phase
            for identity, phase, wanted in rows
        }

    def row(self, file: File) -> dict[str, Any]:
        names = ("phase", "error_code", "error_message", "all_received", "tries", "verified")
        sql = f"SELECT {', '.join(names)} FROM uploads_transfer WHERE id = ?"
        [values] = self.stack.query(sql, uuid.UUID(file.identity).hex)
        return dict(zip(names, values, strict=True))

    def compare(self, done: list[File]) -> None:
        """Every object is its file, byte by byte."""
        for file in done:
            found = self.stack.object_digest(self.bucket, file.key)
            assert found == (file.size, file.digest), (file, self.row(file))
        self.report.lines["bytes compared"] = sum(file.size for file in done)

    def assert_nothing_left(self) -> None:
        """Not in the store, not in staging, not in the database."""
        assert self.stack.uploads_in(self.bucket) == []
        assert self._count("uploads_part WHERE held > 0") == 0
        assert self._count("uploads_part WHERE state = 'sending' OR lease_token IS NOT NULL") == 0
        assert self._count("uploads_storeupload WHERE state IN ('open', 'suspect')") == 0
        wait_for("staging empty", lambda: not self.stack.staged_files())

    def _bodies_sent_again(self) -> int:
        """Requests with a part or an object beyond one for each that arrived."""
        sql = (
            "SELECT count(*) FROM uploads_part JOIN uploads_transfer ON uploads_transfer.id = transfer_id"
            " WHERE state = 'sent' AND bucket = ?"
        )
        [(arrived,)] = self.stack.query(sql, self.bucket)
        return self.proxy.requests["UploadPart"] + self.proxy.requests["PutObject"] - int(arrived)

    def _count(self, rows: str) -> int:
        [(count,)] = self.stack.query(f"SELECT count(*) FROM {rows}")
        return int(count)


def reach_store_at(stack: Stack, url: str) -> None:
    """Have Partway reach its store at another endpoint."""
    stack.run_python(
        f"from uploads.models import Store\nStore.objects.filter(name={stack.store!r}).update(endpoint_url={url!r})"
    )


@contextmanager
def in_front_of(stack: Stack, seed: int) -> Iterator[FaultProxy]:
    """A proxy before the stack's store; afterwards Partway reaches it directly again."""
    with FaultProxy(stack.swift.endpoint_url, seed=seed) as proxy:
        yield proxy
    reach_store_at(stack, stack.swift.endpoint_url)
