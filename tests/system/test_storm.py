"""The storm: everything is killed, everything goes wrong, and every file arrives or fails with the reason.

STORM_SECONDS makes it longer than a build can wait for, STORM_SEED makes it another one.
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
from tests.system.storm import VICTIMS, File, Sender, Stopped, Storm, brew

SECONDS = float(os.environ.get("STORM_SECONDS", "40"))
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
    """A stack of its own: nothing else is to be there when it is killed, and it waits for the dead for seconds only."""
    settings = dict(storm.SETTINGS)
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgresql_cluster")
        settings["DATABASE_URL"] = cluster.new_database()
    with stacks.running(tmp_path_factory.mktemp("storm"), settings) as running:
        yield running


@pytest.fixture
def proxy(stack: Stack) -> Iterator[FaultProxy]:
    with storm.in_front_of(stack, SEED) as proxy:
        yield proxy


@pytest.mark.timeout(TIMEOUT)
def test_what_passes_by_itself_loses_nothing(
    stack: Stack, proxy: FaultProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    weather = Storm(stack, proxy, SEED, SECONDS)
    victims = (*VICTIMS, storm.DATABASE) if stack.database == "postgresql" else VICTIMS
    sent = storm.files(weather.chance, COUNT, forms=COUNT // 5)
    brew(proxy)
    try:
        weather.blow(sent, victims)
        assert weather.stopped == {}
        assert {file.key: weather.row(file) for file in sent if weather.row(file)["phase"] != "done"} == {}
        weather.compare(sent)
        weather.assert_nothing_left()
        assert set(weather.states().values()) <= {"done", "cancelled"}
        # Else it was no storm.
        assert set(weather.report.kills) >= set(victims)
        assert len(weather.report.faults) > 6
    finally:
        with capsys.disabled():
            sys.stdout.write(f"\n{weather.report}\n")


class Misfortune:
    """What does not pass by itself: uploads that somebody drops, then credentials that are revoked."""

    def __init__(self, weather: Storm) -> None:
        self.dropped: set[str] = set()
        self.revoked = False
        self._weather = weather

    def befall(self, share: float) -> None:
        if share > 0.2 and len(self.dropped) < 4:
            self._drop_one()
        if share > 0.7 and not self.revoked:
            self.revoked = True
            self._weather.proxy.clear()
            for operation in EVERYTHING:
                self._weather.proxy.always(operation, Fault.INVALID_ACCESS_KEY)

    def _drop_one(self) -> None:
        weather = self._weather
        for key, upload_id in weather.stack.uploads_in(weather.bucket):
            if key not in self.dropped:
                weather.stack.client.abort_multipart_upload(weather.bucket, key, upload_id)
                self.dropped.add(key)
                return


# On one database, to be done in time: the first storm has shown by now that both do.
@pytest.mark.parametrize("stack", ["sqlite"], indirect=True)
@pytest.mark.timeout(TIMEOUT)
def test_what_does_not_pass_is_said_and_keeps_every_byte(
    stack: Stack, proxy: FaultProxy, capsys: pytest.CaptureFixture[str]
) -> None:
    weather = Storm(stack, proxy, SEED + 1, SECONDS * 0.6)
    sent = storm.files(weather.chance, COUNT // 2, forms=0)
    brew(proxy)
    misfortune = Misfortune(weather)
    try:
        weather.blow(sent, ("worker", "sender", "beat", "redis"), during=misfortune.befall)
        failed = [file for file in sent if weather.row(file)["phase"] == "failed"]
        weather.report.lines |= {
            "uploads dropped": len(misfortune.dropped),
            "failed with the reason": len(failed),
        }
        for file in failed:
            assert_reason_and_bytes(weather, misfortune, file)
        assert any(weather.row(file)["error_code"] == "InvalidAccessKeyId" for file in failed)
        mend(weather, misfortune, sent, failed)
        weather.assert_nothing_left()
    finally:
        with capsys.disabled():
            sys.stdout.write(f"\n{weather.report}\n")


def assert_reason_and_bytes(weather: Storm, misfortune: Misfortune, file: File) -> None:
    """It failed with what was done to it, and what is not in the store is staged."""
    row = weather.row(file)
    reasons = {"InvalidAccessKeyId"} | ({"NoSuchUpload"} if file.key in misfortune.dropped else set())
    assert row["error_code"] in reasons, row
    numbers = weather.stack.query(
        "SELECT number FROM uploads_part WHERE transfer_id = ? AND state IN ('staged', 'sending')",
        uuid.UUID(file.identity).hex,
    )
    folder = weather.stack.staging / file.identity
    assert all((folder / f"{number:05d}").exists() for (number,) in numbers), (file, numbers)


def mend(weather: Storm, misfortune: Misfortune, sent: list[File], failed: list[File]) -> None:
    """New credentials and a retry, and what can arrive arrives; what cannot is discarded, and leaves nothing.

    Only of an upload that somebody dropped, with bytes in it, can nothing arrive: it says so now or once it is retried.
    """
    weather.proxy.clear()
    with weather.stack.signed_in() as operator:
        for file in failed:
            operator.post(f"/transfers/{file.identity}/retry/")
        sender = Sender(weather.stack, operator, weather.bucket, weather.chance, slow=0)
        for file in sent:
            with suppress(Stopped):
                sender.send(file, weather.deadline())
        weather.wait_for_rest()
        lost = [file for file in sent if weather.row(file)["phase"] != "done"]
        for file in lost:
            assert weather.row(file)["error_code"] == "NoSuchUpload", weather.row(file)
            assert file.key in misfortune.dropped
            assert operator.post(f"/transfers/{file.identity}/cancel/").status_code == 200
        weather.wait_for_rest()
    weather.report.lines["lost with their upload, in words"] = len(lost)
    weather.compare([file for file in sent if file not in lost])
