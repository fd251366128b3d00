"""Scans while processes are killed: afterwards, the inventory equals what the test created.

By default on the store of the stack. `INVENTORY_STORE=ceph INVENTORY_UPLOADS=100000 INVENTORY_BUCKETS=50` repeats it
with more, and `INVENTORY_SEED` kills at other moments.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.services.inventory.many import PREFIXES, Facts, create
from tests.stores.postgresql import Cluster
from tests.stores.s3 import S3Store
from tests.system import made_up_store, storm
from tests.system import stack as stacks
from tests.system.bucket_pages import Confirmation
from tests.system.direct_store import DirectStore
from tests.system.stack import MIB, Stack, wait_for
from uploads.objectstore.types import Credentials, FileSlice, StoreConfig, UploadRef
from uploads.services.stores import pace

UPLOADS = int(os.environ.get("INVENTORY_UPLOADS", "150"))
BUCKETS = int(os.environ.get("INVENTORY_BUCKETS", "3"))
STORE = os.environ.get("INVENTORY_STORE", "")
SEED = int(os.environ.get("INVENTORY_SEED", "1"))
SECONDS = max(1.0, UPLOADS / 2500)
"""The longest time between two kills, which a scan needs several times."""

PATIENCE = 120 + UPLOADS // 20
VICTIMS = ("scanner", "redis", "database", "scanner", "watcher")
BODY = 1000
OURS = ("web", "sender", "worker", "watcher", "scanner", "beat")

SETTINGS = """
from uploads.models import InventorySettings, Store
store = Store.objects.get(name={store!r})
InventorySettings.objects.update_or_create(store=store, defaults={values!r})
"""
REQUEST = """
from uploads.models import Store
from uploads.services.inventory.scans.request import request_scan
request_scan(None, Store.objects.get(name={store!r}), "command", [(bucket, "") for bucket in {buckets!r}])
"""
FOUND = """
SELECT b.name, u.key, u.upload_id, u.parts, u.bytes FROM uploads_inventoryupload u
JOIN uploads_inventorybucket b ON b.id = u.bucket_id WHERE u.ended_at IS NULL
"""
UNFINISHED = "SELECT count(*) FROM uploads_scan WHERE finished_at IS NULL"
COUNTS = """
SELECT sum(b.refused), sum(b.listed), sum(b.checked), count(DISTINCT b.scan_id) FROM uploads_bucketscan b
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, postgresql_cluster: Cluster) -> Iterator[Stack]:
    """A stack for this test only, with short timeouts, because its processes are killed."""
    settings = storm.SETTINGS | {"DATABASE_URL": postgresql_cluster.migrated_database()}
    with stacks.running(tmp_path_factory.mktemp("kills"), settings) as running:
        yield running


@pytest.fixture
def store(stack: Stack, request: pytest.FixtureRequest) -> DirectStore:
    if not STORE:
        return stack.direct_store
    running: S3Store = request.getfixturevalue(f"{STORE}_store")
    keys = Credentials(running.access_key, running.secret_key)
    config = StoreConfig(running.endpoint_url, running.region, keys, provider=STORE)
    return stack.add_store(STORE, config, running.new_bucket)


@dataclass(slots=True)
class Truth:
    """What the store has. `touched` are uploads that changed during the first scan."""

    store: DirectStore
    buckets: list[str]
    body: FileSlice
    facts: Facts = field(default_factory=dict)
    touched: set[tuple[str, str, str]] = field(default_factory=set)

    def change(self, chance: random.Random) -> None:
        """An upload starts, one gets a part, and one ends."""
        client, bucket = self.store.client, chance.choice(self.buckets)
        new = f"new/{len(self.touched)}"
        self._set((bucket, new, client.create_multipart_upload(bucket, new)), (0, 0))
        getting, ending = chance.sample([each for each in self.facts if each not in self.touched], 2)
        client.upload_part(*getting, 7, self.body)
        parts, size = self.facts[getting]
        self._set(getting, ((parts or 0) + 1, (size or 0) + BODY))
        client.abort_multipart_upload(*ending)
        self.touched.add(ending)
        del self.facts[ending]

    def _set(self, upload: tuple[str, str, str], facts: tuple[int, int]) -> None:
        self.facts[upload] = facts
        self.touched.add(upload)

    def untouched(self, found: Facts) -> Facts:
        return {name: facts for name, facts in found.items() if name not in self.touched}


def found(stack: Stack) -> Facts:
    return {(bucket, key, upload_id): (parts, size) for bucket, key, upload_id, parts, size in stack.query(FOUND)}


def is_scanning(stack: Stack) -> bool:
    return bool(stack.query(UNFINISHED)[0][0])


def limit_requests(stack: Stack, store: str, per_second: int, **thresholds: int) -> None:
    """Wait until every process has read the limits: each remembers those that it has for some seconds."""
    values = {"requests_per_second": per_second, "requests_in_flight": 8} | thresholds
    stack.run_python(SETTINGS.format(store=store, values=values))
    time.sleep(pace.SETTINGS_SECONDS)


def request_scan(stack: Stack, store: DirectStore, buckets: list[str]) -> None:
    stack.run_python(REQUEST.format(store=store.name, buckets=buckets))


def strike(stack: Stack, victim: str) -> None:
    if victim == storm.DATABASE:
        stack.crash_database()
        return
    stack.kill(victim)
    stack.start(victim)


def restart_ended(stack: Stack) -> None:
    """As a supervisor does."""
    for name in stack.process_names:
        with suppress(psutil.NoSuchProcess):
            if stack.tree(name)[0].status() != psutil.STATUS_ZOMBIE:
                continue
        stack.kill(name)
        stack.start(name)


def peak_memory(stack: Stack, name: str) -> int:
    """MiB of the process since it started."""
    status = Path(f"/proc/{stack.tree(name)[0].pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 // MIB


def wait_for_end(stack: Stack) -> None:
    def ended() -> bool:
        restart_ended(stack)
        return not is_scanning(stack)

    wait_for("the end of the scan", ended, PATIENCE)


@pytest.mark.timeout(3 * PATIENCE)
def test_the_inventory_is_exact_although_processes_are_killed(
    stack: Stack, store: DirectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    (tmp_path / "body").write_bytes(b"x" * BODY)
    truth = Truth(store, [store.new_bucket() for _ in range(BUCKETS)], FileSlice(tmp_path / "body", 0, BODY))
    prefixes = [each for each in PREFIXES if not (STORE in ("", "versity") and "//" in each)]
    started = time.monotonic()
    truth.facts = create(store.client, truth.buckets, UPLOADS, truth.body, prefixes)
    created = time.monotonic()
    # At this rate, no scan ends before the last kill.
    rate = 100_000 if UPLOADS > 10_000 else max(10, round(UPLOADS / (SECONDS * (len(VICTIMS) + 1))))
    limit_requests(stack, store.name, rate)
    request_scan(stack, store, truth.buckets)
    kills = []
    for victim in chance.sample(VICTIMS, len(VICTIMS)):
        time.sleep(chance.uniform(0.1, SECONDS))
        truth.change(chance)
        if is_scanning(stack):
            kills.append(victim)
            strike(stack, victim)
    wait_for_end(stack)
    scanned = time.monotonic()
    assert sorted(kills) == sorted(VICTIMS)
    assert truth.untouched(found(stack)) == truth.untouched(truth.facts)

    request_scan(stack, store, truth.buckets)
    wait_for_end(stack)
    ended = time.monotonic()
    with capsys.disabled():
        sys.stdout.write(
            f"\n{STORE}: {UPLOADS} uploads in {BUCKETS} buckets created in {created - started:.0f} s, scanned with "
            f"{', '.join(kills)} killed in {scanned - created:.0f} s, again in {ended - scanned:.0f} s; "
            f"peak memory of the scanner {peak_memory(stack, 'scanner')} MiB\n"
        )
    assert found(stack) == truth.facts
    refused, *_ = stack.query(COUNTS)[0]
    assert refused == 0


def test_an_abort_does_not_wait_for_a_scanner(stack: Stack, tmp_path: Path) -> None:
    """The scanner is frozen in the middle of a scan, so that nothing of its queue moves on."""
    bucket = stack.new_bucket()
    ids = {key: stack.client.create_multipart_upload(bucket, key) for key in map(str, range(40))}
    limit_requests(stack, stack.store, 2)
    request_scan(stack, stack.direct_store, [bucket])
    wait_for("uploads that are listed", lambda: len([each for each in found(stack) if each[0] == bucket]) == len(ids))
    stack.freeze("scanner")
    try:
        with stack.signed_in() as operator:
            outcome = Confirmation(operator, "abort", stack.store, bucket, UploadRef("7", ids.pop("7"))).submit()
        assert outcome["state"] == "done"
        assert {key for key, _ in stack.uploads_in(bucket)} == set(ids)
        assert is_scanning(stack)
    finally:
        stack.thaw("scanner")
    limit_requests(stack, stack.store, 100_000)
    request_scan(stack, stack.direct_store, [bucket])
    wait_for_end(stack)
    assert {key for name, key, _ in found(stack) if name == bucket} == set(ids)


MANY_UPLOADS = int(os.environ.get("SCAN_MEMORY_UPLOADS", "1000"))
MANY_BUCKETS = int(os.environ.get("SCAN_MEMORY_BUCKETS", "10"))
MANY_READ = int(os.environ.get("SCAN_MEMORY_READ", "100"))
"""Of so many uploads the parts are read before the scan is cancelled."""

MEMORY_LIMIT = 150
SCAN_MANY = """
from uploads.models import InventorySettings, Store
from uploads.services.inventory.scans.request import request_scan
store = Store.objects.create(name="many", endpoint_url={url!r}, access_key="a", secret_key="s")
InventorySettings.objects.create(store=store, requests_per_second=100_000, requests_in_flight=8)
request_scan(None, store, "command")
"""
CANCEL_MANY = """
from uploads.models import Scan
from uploads.services.inventory.scans.cancel import cancel_scan
cancel_scan(None, Scan.objects.get(store__name="many"))
"""
MANY = """
SELECT count(s.listed_at), coalesce(sum(b.listed), 0), coalesce(sum(b.checked), 0) FROM uploads_scan s
JOIN uploads_store t ON t.id = s.store_id LEFT JOIN uploads_bucketscan b ON b.scan_id = s.id WHERE t.name = 'many'
"""


@pytest.mark.timeout(600 + MANY_UPLOADS // 100)
def test_memory_of_every_process_is_bounded(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    patience = 240 + MANY_UPLOADS // 200
    with made_up_store.running(MANY_BUCKETS, MANY_UPLOADS // MANY_BUCKETS) as url, stack.signed_in() as operator:
        started = time.monotonic()
        stack.run_python(SCAN_MANY.format(url=url))
        wait_for("uploads that are listed", lambda: stack.query(MANY)[0][0], patience)
        listed = time.monotonic()
        wait_for("uploads that are read", lambda: stack.query(MANY)[0][2] >= MANY_READ, patience)
        read = time.monotonic()
        for path in ("/", "/inventory/", "/inventory/?group=bucket", "/inventory/scans/"):
            assert operator.session.get(operator.url + path).status_code == 200, path
        stack.run_python(CANCEL_MANY)
    _, all_listed, all_read = stack.query(MANY)[0]
    peaks = {name: peak_memory(stack, name) for name in OURS}
    with capsys.disabled():
        sys.stdout.write(
            f"\n{all_listed} uploads in {MANY_BUCKETS} buckets listed in {listed - started:.0f} s, parts of {all_read} "
            f"read in {read - listed:.0f} s; peak memory in MiB: {peaks}\n"
        )
    assert all_listed == MANY_UPLOADS // MANY_BUCKETS * MANY_BUCKETS
    assert max(peaks.values()) < MEMORY_LIMIT, peaks


# --- A sweep ----------------------------------------------------------------------------------------------------------

SWEPT = int(os.environ.get("SWEEP_UPLOADS", "12"))
SWEEP_VICTIMS = ("scanner", "redis", "scanner", "watcher", "database")
DEAD_AT_ONCE = {"alive_hours": 0, "dead_days": 0}
ITEMS = """
SELECT i.key, i.upload_id, i.state, i.proof, i.bytes, i.error_reason FROM uploads_sweepitem i
JOIN uploads_sweep s ON s.id = i.sweep_id WHERE s.bucket = ?
"""
ORDERED = "SELECT key, count(*) FROM uploads_auditentry WHERE action = 'abort.ordered' AND bucket = ? GROUP BY key"


def test_a_sweep_has_true_results_although_processes_are_killed(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part that arrives after the approval spares its upload. The others are aborted once, and proved."""
    chance, bucket = random.Random(SEED), stack.new_bucket()
    ids = {
        f"k{number}": stack.create_upload(bucket, f"k{number}", {2: BODY}, tmp_path / "scratch")
        for number in range(SWEPT)
    }
    limit_requests(stack, stack.store, 500, **DEAD_AT_ONCE)
    stack.manage("scan", "--store", stack.store, "--bucket", bucket, "--wait")
    with stack.signed_in() as operator:
        sweep = operator.post("/sweeps/new/", {"verdict": "dead", "store": stack.store, "bucket": bucket}).json()["url"]
        wait_for("the plan", lambda: operator.get_json(sweep)["state"] == "planned")
        assert operator.post(f"{sweep}approve/", {"digest": operator.get_json(sweep)["digest"]}).status_code == 200
        (tmp_path / "body").write_bytes(b"y" * BODY)
        stack.client.upload_part(bucket, "k3", ids["k3"], 3, FileSlice(tmp_path / "body", 0, BODY))
        # At this rate, the run does not end before the last kill.
        limit_requests(stack, stack.store, max(2, SWEPT // 6), **DEAD_AT_ONCE)
        assert operator.post(f"{sweep}run/", {"confirm": "on"}).status_code == 200
    state = f"SELECT finished_at IS NULL FROM uploads_sweep WHERE bucket = '{bucket}'"
    kills = []
    for victim in SWEEP_VICTIMS:
        time.sleep(chance.uniform(0.5, 2.0))
        if stack.query(state)[0][0]:
            kills.append(victim)
            strike(stack, victim)

    def ended() -> bool:
        restart_ended(stack)
        return not stack.query(state)[0][0]

    wait_for("the end of the sweep", ended, 3 * PATIENCE)
    items = stack.query(ITEMS, bucket)
    outcomes = sorted((key, state, proof) for key, _id, state, proof, _size, _reason in items)
    with capsys.disabled():
        sys.stdout.write(f"\n{SWEPT} uploads swept with {', '.join(kills)} killed\n")
    assert len(kills) >= 3
    assert outcomes == sorted((key, *(("spared", "") if key == "k3" else ("done", "gone"))) for key in ids)
    assert stack.uploads_in(bucket) == [("k3", ids["k3"])]
    # An item whose worker was killed is attempted again, but ordered once.
    assert dict(stack.query(ORDERED, bucket)) == {key: 1 for key in ids if key != "k3"}
    freed = stack.query(f"SELECT freed_bytes FROM uploads_sweep WHERE bucket = '{bucket}'")[0][0]
    assert freed == BODY * (SWEPT - 1)
