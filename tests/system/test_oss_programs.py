"""Partway and the programs of the OSS guide (Go) share a bucket: each sees, completes and aborts the other's uploads.

The programs are stopped after each step, with SIGKILL or while they go on. Partway's processes are those of `make run`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.oss.guide import Document, Guide, Refused
from tests.oss.vendor import MIN_PART
from tests.stores.oss import OssStore
from tests.stores.servers import KINDS, Server
from tests.system.bucket_pages import BucketPages, only_item
from tests.system.direct_store import DirectStore
from tests.system.stack import Operator, Stack, wait_for
from tests.system.tus import PART, Tus, content, content_digest, transfer_id
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import UploadRef

KEY = "from go/ü+ %2F.bin"
STORE = "oss-of-programs"


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture(scope="module")
def direct_store(stack: Stack, oss_store: OssStore) -> DirectStore:
    """The OSS test server as a store of the dashboard."""
    assert "oss" in KINDS
    return stack.add_store(STORE, Server("oss", oss_store, lambda quirk: None).config(), oss_store.new_bucket)


@pytest.fixture(params=["v1", "v4"])
def guide(request: pytest.FixtureRequest, direct_store: DirectStore, oss_store: OssStore) -> Guide:
    return Guide(oss_store, direct_store.new_bucket(), request.param)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that the guide's program divides into three parts."""
    path = tmp_path / "file"
    path.write_bytes(b"".join(hashlib.sha512(b"%d" % number).digest() for number in range(5_000)))
    assert path.stat().st_size > 3 * MIN_PART
    return path


@pytest.fixture
def dashboard(operator: Operator, guide: Guide) -> BucketPages:
    return BucketPages(operator, STORE, guide.bucket)


def as_parts(documents: list[Document]) -> list[tuple[int, int, str]]:
    return [(part["PartNumber"], part["Size"], part["ETag"].strip('"')) for part in documents]


def listed_by(guide: Guide) -> list[tuple[str, str]]:
    return [(each["Key"], each["UploadId"]) for page in guide.run("uploads", all=True) for each in page["Uploads"]]


def exists(direct_store: DirectStore, bucket: str, key: str) -> bool:
    """Whether the store has an object with that key."""
    try:
        direct_store.client.head_object(bucket, key)
    except ObjectStoreError as error:
        if error.reason is not Reason.NO_SUCH_KEY:
            raise
        return False
    return True


def gone_for(guide: Guide, upload: UploadRef) -> bool:
    """Whether the program finds neither the upload nor a part of it."""
    with pytest.raises(Refused) as caught:
        guide.run("parts", key=upload.key, upload_id=upload.upload_id)
    return caught.value.code == (404, "NoSuchUpload") and listed_by(guide) == []


# --- Started by the program, ended by Partway -------------------------------------------------------------------------


def stopped_after(guide: Guide, file: Path, parts: int, **flags: object) -> tuple[UploadRef, list[Document]]:
    """An upload of the program, which was killed after that many parts, and the parts that it sent."""
    with guide.steps("upload", key=KEY, file=file, **flags) as steps:
        started = steps.read()
        sent = [steps.go_on() for _ in range(parts)]
    return UploadRef(KEY, started["UploadId"]), sent


@pytest.mark.parametrize("parts", range(4))
def test_stopped_upload_is_judged_and_completed(
    guide: Guide, dashboard: BucketPages, direct_store: DirectStore, file: Path, parts: int
) -> None:
    """Killed after Initiate, after some parts, before Complete: listed, judged, and completed if it has a part."""
    upload, sent = stopped_after(guide, file, parts)
    (page,) = guide.run("uploads")
    (listed,) = dashboard.uploads()
    assert (listed["Key"], listed["UploadId"]) == (KEY, upload.upload_id)
    assert listed["Initiated"][:19] == page["Uploads"][0]["Initiated"][:19]
    assert as_parts(dashboard.parts(upload)) == as_parts(sent)
    asked = dashboard.ask("complete", upload)
    assert ("within the last hour" in asked.text) == bool(sent)
    if not sent:
        assert not asked.is_offered
        assert only_item(dashboard.ask("abort", upload).submit())["state"] == "done"
        assert gone_for(guide, upload)
        return
    assert asked.is_offered
    item = only_item(asked.submit())
    assert (item["state"], item["error"]) == ("done", None)
    bytes_sent = file.read_bytes()[: sum(part["Size"] for part in sent)]
    assert direct_store.object_digest(guide.bucket, KEY) == (len(bytes_sent), hashlib.sha256(bytes_sent).hexdigest())
    assert gone_for(guide, upload)
    assert dashboard.uploads() == []


def test_gap_is_named_and_completed_only_on_request(
    guide: Guide, dashboard: BucketPages, direct_store: DirectStore, file: Path
) -> None:
    """The program left out part 2: OSS would join parts 1 and 3 without an error."""
    upload, sent = stopped_after(guide, file, 2, skip=2)
    assert [part["PartNumber"] for part in sent] == [1, 3]
    asked = dashboard.ask("complete", upload)
    assert "2 of 3" in " ".join(asked.text.split())
    assert asked.form.boxes["gaps"] == "2"
    refused = asked.submit()
    assert "error" in refused or only_item(refused)["error"] is not None
    assert as_parts(guide.run("parts", key=KEY, upload_id=upload.upload_id)) == as_parts(sent)
    item = only_item(dashboard.ask("complete", upload).submit(ticked=["gaps"]))
    assert item["state"] == "done"
    whole = file.read_bytes()
    size = len(whole) // 3
    assert direct_store.object_digest(guide.bucket, KEY)[0] == len(whole) - size
    assert (
        direct_store.object_digest(guide.bucket, KEY)[1] == hashlib.sha256(whole[:size] + whole[2 * size :]).hexdigest()
    )


@pytest.mark.parametrize("parts", range(4))
def test_live_upload_is_aborted(guide: Guide, dashboard: BucketPages, file: Path, parts: int) -> None:
    """The program goes on after the abort: it gets NoSuchUpload, and nothing is left."""
    with guide.steps("upload", key=KEY, file=file) as steps:
        upload = UploadRef(KEY, steps.read()["UploadId"])
        for _ in range(parts):
            steps.go_on()
        asked = dashboard.ask("abort", upload)
        assert ("within the last hour" in asked.text) == bool(parts)
        item = only_item(asked.submit())
        assert (item["state"], item["error"]) == ("done", None)
        assert steps.go_on()["Code"] == "NoSuchUpload"
    assert gone_for(guide, upload)
    assert dashboard.uploads() == []
    assert dashboard.status(upload) == 404


def test_program_sends_a_part_while_the_page_is_open(guide: Guide, dashboard: BucketPages, file: Path) -> None:
    """The completion was confirmed for two parts, and there are three now: it is refused, and the program goes on."""
    with guide.steps("upload", key=KEY, file=file) as steps:
        upload = UploadRef(KEY, steps.read()["UploadId"])
        sent = [steps.go_on(), steps.go_on()]
        asked = dashboard.ask("complete", upload)
        sent.append(steps.go_on())
        refused = asked.submit()
        assert "error" in refused or only_item(refused)["error"] is not None
        assert as_parts(dashboard.parts(upload)) == as_parts(sent)
        assert steps.go_on()["Key"] == KEY
    assert gone_for(guide, upload)


def test_program_completes_while_the_page_is_open(
    guide: Guide, dashboard: BucketPages, direct_store: DirectStore, file: Path
) -> None:
    """Neither an abort nor a completion that is confirmed afterwards changes the object, or claims to be its cause."""
    with guide.steps("upload", key=KEY, file=file) as steps:
        upload = UploadRef(KEY, steps.read()["UploadId"])
        for _ in range(3):
            steps.go_on()
        pages = [dashboard.ask("abort", upload), dashboard.ask("complete", upload)]
        done = steps.go_on()
    outcomes = [only_item(page.submit()) for page in pages]
    assert [item["outcome"] for item in outcomes].count("completed") == 0, outcomes
    assert direct_store.object_digest(guide.bucket, KEY) == (
        file.stat().st_size,
        hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    assert direct_store.client.head_object(guide.bucket, KEY).etag.strip('"') == done["ETag"].strip('"')
    assert gone_for(guide, upload)


# --- Started by Partway, ended by the program -------------------------------------------------------------------------

SIZE = 2 * PART + 12_345
one_version = pytest.mark.parametrize("guide", ["v4"], indirect=True)
"""The programs only read and end uploads here, which the tests above do with both versions."""


@dataclass(frozen=True)
class Sent:
    """A transfer of three parts that Partway is sending."""

    tus: Tus
    path: str

    @property
    def id(self) -> str:
        return transfer_id(self.path)

    @property
    def values(self) -> dict[str, Any]:
        return self.tus.operator.transfer(self.id)

    @property
    def upload(self) -> UploadRef:
        return UploadRef("file", self.values["upload_id"])

    def wait_for_parts(self, count: int) -> None:
        wait_for(f"{count} parts in the store", lambda: self.values["parts"]["sent"] == count)

    def send_rest(self) -> None:
        self.tus.send_rest(self.path, SIZE)


@pytest.fixture
def sent(stack: Stack, operator: Operator, guide: Guide) -> Sent:
    """A transfer of which two of three parts were received and sent."""
    tus = Tus(stack, operator, guide.bucket)
    started = Sent(tus, tus.start(SIZE, store=STORE))
    assert tus.patch(started.path, 0, content(0, 2 * PART)).status == 204
    started.wait_for_parts(2)
    return started


@pytest.fixture
def idle_worker(stack: Stack, sent: Sent) -> Iterator[None]:
    """All parts were sent, and Partway has not completed the upload yet: its worker is stopped."""
    stack.stop("worker")
    sent.send_rest()
    sent.wait_for_parts(3)
    yield
    if not stack.is_running("worker"):
        stack.start("worker")


@one_version
def test_program_lists_an_upload_of_partway(guide: Guide, dashboard: BucketPages, sent: Sent) -> None:
    """Key, id, start and parts are those that Partway shows. Partway goes on, and the upload ends as it should."""
    (page,) = guide.run("uploads")
    (listed,) = dashboard.uploads()
    assert [(each["Key"], each["UploadId"]) for each in page["Uploads"]] == [(sent.upload.key, sent.upload.upload_id)]
    assert (listed["Key"], listed["UploadId"]) == (sent.upload.key, sent.upload.upload_id)
    assert listed["Initiated"][:19] == page["Uploads"][0]["Initiated"][:19]
    parts = guide.run("parts", key="file", upload_id=sent.upload.upload_id)
    assert as_parts(dashboard.parts(sent.upload)) == as_parts(parts)
    assert [(part["PartNumber"], part["Size"]) for part in parts] == [(1, PART), (2, PART)]
    sent.send_rest()
    sent.tus.wait_for_state(sent.path, "done")
    assert listed_by(guide) == []


@one_version
def test_program_completes_a_transfer_that_is_still_received(
    guide: Guide, direct_store: DirectStore, sent: Sent
) -> None:
    """The object has two parts of three. Partway says that the upload was ended by others, never that it is done."""
    guide.run("complete", key="file", upload_id=sent.upload.upload_id)
    two_parts = direct_store.object_digest(guide.bucket, "file")
    assert two_parts == (2 * PART, content_digest(2 * PART))
    sent.send_rest()
    values = sent.tus.wait_for_state(sent.path, "failed")
    assert values["error"]["code"] == "NoSuchUpload"
    assert direct_store.object_digest(guide.bucket, "file") == two_parts
    assert listed_by(guide) == []


@one_version
def test_program_aborts_a_transfer_that_is_still_received(guide: Guide, direct_store: DirectStore, sent: Sent) -> None:
    """The sent bytes are lost, so the transfer fails, and no object or upload is left."""
    guide.run("abort", key="file", upload_id=sent.upload.upload_id)
    sent.send_rest()
    values = sent.tus.wait_for_state(sent.path, "failed")
    assert values["error"]["code"] == "NoSuchUpload"
    assert not exists(direct_store, guide.bucket, "file")
    assert listed_by(guide) == []


@one_version
@pytest.mark.usefixtures("idle_worker")
def test_program_completes_before_partway_does(
    guide: Guide, stack: Stack, direct_store: DirectStore, sent: Sent
) -> None:
    """The object is the file: Partway finds it, verifies it and is done."""
    guide.run("complete", key="file", upload_id=sent.upload.upload_id)
    stack.start("worker")
    sent.tus.wait_for_state(sent.path, "done")
    assert direct_store.object_digest(guide.bucket, "file") == (SIZE, content_digest(SIZE))
    assert listed_by(guide) == []


@one_version
@pytest.mark.usefixtures("idle_worker")
def test_program_aborts_before_partway_completes(
    guide: Guide, stack: Stack, direct_store: DirectStore, sent: Sent
) -> None:
    guide.run("abort", key="file", upload_id=sent.upload.upload_id)
    stack.start("worker")
    values = sent.tus.wait_for_state(sent.path, "failed")
    assert values["error"]["code"] == "NoSuchUpload"
    assert not exists(direct_store, guide.bucket, "file")
    assert listed_by(guide) == []


@one_version
def test_cancelled_transfer_is_gone_for_the_program(guide: Guide, sent: Sent) -> None:
    upload = sent.upload
    sent.tus.request_step(sent.path, "cancel")
    sent.tus.wait_for_state(sent.path, "cancelled")
    assert gone_for(guide, upload)
