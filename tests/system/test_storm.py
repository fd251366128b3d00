"""The storm: processes are killed and requests fail, and every file is sent or fails with a reason.

STORM_SECONDS sets its duration, STORM_SEED selects another one.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.stores.postgresql import Cluster
from tests.system import stack as stacks
from tests.system import storm
from tests.system.fault_proxy import Fault, FaultProxy
from tests.system.stack import Stack
from tests.system.storm import VICTIMS, File, Sender, Stopped, Storm, add_transient_faults

SECONDS = float(os.environ.get("STORM_SECONDS", "25"))
SEED = int(os.environ.get("STORM_SEED", "1"))
COUNT = 30 * max(1, round(SECONDS / 60))
TIMEOUT = int(2 * SECONDS + 4 * storm.CALM_SECONDS)

EVERYTHING = (
    "CreateMultipartUpload",
    "UploadPart",
    "PutObject",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
    "ListParts",
    "ListMultipartUploads",
    "HeadObject",
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack for this test only, with short timeouts, because its processes are killed."""
    settings = dict(storm.SETTINGS)
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgresql_cluster")
        settings["DATABASE_URL"] = cluster.migrated_database()
    with stacks.running(tmp_path_factory.mktemp("storm"), settings) as running:
        yield running


@pytest.fixture
def proxy(stack: Stack) -> Iterator[FaultProxy]:
    with storm.proxied(stack, SEED) as proxy:
        yield proxy


@pytest.mark.timeout(TIMEOUT)
def test_transient_faults_lose_nothing(stack: Stack, proxy: FaultProxy, capsys: pytest.CaptureFixture[str]) -> None:
    storm_run = Storm(stack, proxy, SEED, SECONDS)
    victims = (*VICTIMS, storm.DATABASE) if stack.database == "postgresql" else VICTIMS
    sent = storm.files(storm_run.chance, COUNT, forms=COUNT // 5)
    add_transient_faults(proxy)
    try:
        storm_run.run(sent, victims)
        assert storm_run.stopped == {}
        assert {file.key: storm_run.row(file) for file in sent if storm_run.row(file)["phase"] != "done"} == {}
        storm_run.compare(sent)
        storm_run.assert_nothing_left()
        assert set(storm_run.states().values()) <= {"done", "cancelled"}
        # Otherwise it was no storm.
        assert set(storm_run.report.kills) >= set(victims)
        assert len(storm_run.report.faults) > 6
    finally:
        with capsys.disabled():
            sys.stdout.write(f"\n{storm_run.report}\n")


class PermanentFaults:
    """Permanent faults: uploads that another client aborts, then credentials that are revoked."""

    def __init__(self, storm_run: Storm) -> None:
        self.aborted: set[str] = set()
        self.revoked = False
        self._weather = storm_run

    def apply(self, share: float) -> None:
        if share > 0.2 and len(self.aborted) < 4:
            self._abort_one()
        if share > 0.7 and not self.revoked:
            self.revoked = True
            self._weather.proxy.clear()
            for operation in EVERYTHING:
                self._weather.proxy.always(operation, Fault.INVALID_ACCESS_KEY)

    def _abort_one(self) -> None:
        storm_run = self._weather
        for key, upload_id in storm_run.stack.uploads_in(storm_run.bucket):
            if key not in self.aborted:
                storm_run.stack.client.abort_multipart_upload(storm_run.bucket, key, upload_id)
                self.aborted.add(key)
                return


# On one database only, to save time: the first test uses both.
@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
@pytest.mark.timeout(TIMEOUT)
def test_permanent_faults_are_reported_and_keep_every_byte(
    stack: Stack, proxy: FaultProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    storm_run = Storm(stack, proxy, SEED + 1, SECONDS * 0.6)
    sent = storm.files(storm_run.chance, COUNT // 2, forms=0)
    add_transient_faults(proxy)
    faults = PermanentFaults(storm_run)
    try:
        storm_run.run(sent, ("worker", "sender", "beat", "watcher", "redis"), during=faults.apply)
        failed = [file for file in sent if storm_run.row(file)["phase"] == "failed"]
        storm_run.report.lines |= {
            "uploads aborted": len(faults.aborted),
            "failed with a reason": len(failed),
        }
        for file in failed:
            assert_reason_and_bytes(storm_run, faults, file)
        assert any(storm_run.row(file)["error_code"] == "InvalidAccessKeyId" for file in failed)
        repair(storm_run, faults, sent, failed)
        storm_run.assert_nothing_left()
    finally:
        with capsys.disabled():
            sys.stdout.write(f"\n{storm_run.report}\n")


def assert_reason_and_bytes(storm_run: Storm, faults: PermanentFaults, file: File) -> None:
    """The transfer failed with the expected code, and parts that are not in the store are staged."""
    row = storm_run.row(file)
    reasons = {"InvalidAccessKeyId"} | ({"NoSuchUpload"} if file.key in faults.aborted else set())
    assert row["error_code"] in reasons, row
    numbers = storm_run.stack.query(
        "SELECT number FROM uploads_part WHERE transfer_id = ? AND state IN ('staged', 'sending')",
        uuid.UUID(file.transfer_id).hex,
    )
    folder = storm_run.stack.staging / file.transfer_id
    assert all((folder / f"{number:05d}").exists() for (number,) in numbers), (file, numbers)


def repair(storm_run: Storm, faults: PermanentFaults, sent: list[File], failed: list[File]) -> None:
    """Restore the credentials and retry. Transfers that fail again are discarded and leave nothing.

    Only transfers whose upload was aborted with parts in it can fail again.
    """
    storm_run.proxy.clear()
    with storm_run.stack.signed_in() as operator:
        for file in failed:
            operator.post(f"/transfers/{file.transfer_id}/retry/")
        sender = Sender(storm_run.stack, operator, storm_run.bucket, storm_run.chance, slow=0)
        for file in sent:
            with suppress(Stopped):
                sender.send(file, storm_run.deadline())
        storm_run.wait_until_finished()
        lost = [file for file in sent if storm_run.row(file)["phase"] != "done"]
        for file in lost:
            assert storm_run.row(file)["error_code"] == "NoSuchUpload", storm_run.row(file)
            assert file.key in faults.aborted
            assert operator.post(f"/transfers/{file.transfer_id}/cancel/").status_code == 200
        storm_run.wait_until_finished()
    storm_run.report.lines["lost with their upload"] = len(lost)
    storm_run.compare([file for file in sent if file not in lost])
