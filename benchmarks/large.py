"""1 GiB by tus until it is done: staged, synced, sent in parts and verified, compared with other clients."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import rounds, stores, tus
from benchmarks.files import write_random
from benchmarks.peers import AWS, BOTO3, MINIO, PEERS, S5CMD, Peer, Target
from benchmarks.results import OURS, Comparison, Limit, Results
from benchmarks.usage import Usage, of_partway
from tests.stores import ceph, versity
from tests.system.direct_store import Boto
from tests.system.stack import MIB, Operator, Stack
from uploads.objectstore.types import Credentials, StoreConfig

SIZE = 1024 * MIB
ROUNDS = 5
LIMITS = (Limit(AWS.name, 0.5), Limit(BOTO3.name, 0.55), Limit(S5CMD.name, 1.3))
"""On a store that discards bodies. Partway sends Content-MD5."""

LIMITS_BY_CRC64 = (Limit(MINIO.name, 1.6), Limit(S5CMD.name, 1.0))
"""The same where the store computes and verifies the CRC-64/NVME of all that Partway sends. It verifies nothing of what
the others send."""

STORE_ROUNDS = 3
TRIAL_SIZE = 20 * MIB
"""Enough for several parts."""

PYTHON_PEERS = tuple(peer for peer in PEERS if peer.is_python)


def run(stack: Stack, scratch: Path, results: Results) -> None:
    file = scratch / "file"
    write_random(file, SIZE)
    with stack.signed_in() as operator:
        with stores.discarding(stack, "fast", by_crc64="by-crc64") as target:
            used = _measure(stack, operator, file, "fast", target, PEERS, ROUNDS)
            results.add(_comparison("1 GiB, bodies are discarded", used, LIMITS))
            used = _measure(stack, operator, file, "by-crc64", target, (MINIO, S5CMD), ROUNDS)
            results.add(_comparison("1 GiB, verified by CRC-64, bodies are discarded", used, LIMITS_BY_CRC64))
        with ExitStack() as running:
            for name, store, target in _real_stores(stack, scratch, running):
                peers = _able(target, scratch, name)
                used = _measure(stack, operator, file, store, target, peers, STORE_ROUNDS)
                results.add(_comparison(f"1 GiB, {name}", used, [Limit(_fastest(used), 1.0)]))


def _real_stores(stack: Stack, scratch: Path, running: ExitStack) -> Iterator[tuple[str, str, Target]]:
    """The name of each real store, its name in the dashboard, and where to send to. Each runs as long as `running`."""
    yield "Swift", stack.store, stores.embedded(stack)
    for name, provider, server in (("Ceph", "ceph", ceph.running), ("Versity", "generic", versity.running)):
        entry = name.lower()
        folder = scratch / entry
        folder.mkdir()
        store = running.enter_context(server(folder))
        yield name, entry, stores.added(stack, entry, store, provider)


def _able(target: Target, scratch: Path, name: str) -> list[Peer]:
    """The clients that the store accepts files from: some do not know the checksums that the CRT sends."""
    file = scratch / "trial"
    write_random(file, TRIAL_SIZE)
    able = [peer for peer in PYTHON_PEERS if _is_able(peer, target, file)]
    for peer in PYTHON_PEERS:
        if peer not in able:
            print(f"  {name} accepts no files from {peer.name}")
    return able


def _is_able(peer: Peer, target: Target, file: Path) -> bool:
    try:
        peer.send(target, file, f"trial-{peer.name}")
    except AssertionError:
        return False
    return True


def _measure(
    stack: Stack, operator: Operator, file: Path, store: str, target: Target, peers: Sequence[Peer], count: int
) -> dict[str, list[Usage]]:
    def through_partway(number: int) -> Usage:
        def send() -> None:
            transfer_id = tus.send(operator, file, store=store, bucket=target.bucket, key=f"{OURS}-{number}")
            done = tus.wait_for_end(operator, transfer_id)
            assert done["state"] == "done", done["error"]

        return of_partway(stack, send)

    def by_peer(peer: Peer, number: int) -> Usage:
        return peer.send(target, file, f"{peer.name}-{number}")

    def clean(number: int) -> None:
        client = Boto(StoreConfig(target.endpoint, target.region, _keys(target))).client
        for name in candidates:
            client.delete_object(Bucket=target.bucket, Key=f"{name}-{number}")

    candidates = {peer.name: partial(by_peer, peer) for peer in peers} | {OURS: through_partway}
    return rounds.measure(candidates, count, after=clean)


def _keys(target: Target) -> Credentials:
    return Credentials(target.access_key, target.secret_key)


def _comparison(work: str, used: dict[str, list[Usage]], limits: Sequence[Limit]) -> Comparison:
    return Comparison(work, used, limits, amount=SIZE / MIB, unit="MiB")


def _fastest(used: dict[str, list[Usage]]) -> str:
    """The name of the fastest other client."""
    medians = {name: statistics.median(each.seconds for each in usages) for name, usages in used.items()}
    return min((name for name in medians if name != OURS), key=medians.__getitem__)
