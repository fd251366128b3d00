"""Several small files in one request: each has the result of a creation of its own, and all cost little more than one.

Its helpers encode such a request for other tests too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from dashboard.transfers import slots, still_allowed
from dashboard.transfers.tus import together
from tests.dashboard.transfers.test_tus import Tus, check_error
from tests.dashboard.transfers.test_work_per_file import cost_of, work_off
from uploads import access
from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import AuditEntry, Part, StagingNode, Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice
from uploads.problems import Code, Problem
from uploads.services.staging import quota
from uploads.services.transfers.receive import together as receiving
from uploads.staging import disk
from uploads.staging.body import Body

pytestmark = pytest.mark.django_db(transaction=True)

URL = "/files/together/"
Results = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class File:
    key: str
    content: bytes
    metadata: dict[str, str]


def encoded(files: Sequence[File]) -> bytes:
    entries = [{"size": len(file.content), "metadata": metadata_of(file)} for file in files]
    document = json.dumps({"files": entries}).encode()
    return len(document).to_bytes(4) + document + b"".join(file.content for file in files)


def metadata_of(file: File) -> str:
    named = {"key": file.key, **file.metadata}
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    StagingNode.objects.create(name="test-node")
    return tmp_path / "staging"


Make = Callable[..., File]
Send = Callable[..., Any]


@pytest.fixture
def make(store: Store, bucket: str) -> Make:
    def make_one(key: str, content: bytes | None = None, **metadata: str) -> File:
        content = f"the bytes of {key}".encode() if content is None else content
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        facts = {"store": store.name, "bucket": bucket, "fingerprint": f"print-{key}", "creation-id": f"id-{key}"}
        return File(key, content, facts | named)

    return make_one


@pytest.fixture
def client(operator_client: Client) -> Tus:
    return Tus(operator_client)


@pytest.fixture
def send(client: Tus) -> Send:
    def send_some(*files: File, body: bytes | None = None, **headers: str) -> Any:
        sent = encoded(files) if body is None else body
        given = {"Tus-Resumable": "", "Content-Type": together.CONTENT_TYPE} | headers
        return client.request("POST", URL, sent, **given)

    return send_some


@pytest.fixture
def results(send: Send) -> Callable[..., Results]:
    def results_of(*files: File) -> Results:
        response = send(*files)
        assert response.status_code == 200, response.content
        found: Results = response.json()["results"]
        return found

    return results_of


def check_received(file: File, result: dict[str, Any]) -> Transfer:
    assert (result["status"], result["offset"]) == (201, len(file.content)), result
    transfer = Transfer.objects.get(key=file.key)
    assert result["location"] == f"/files/{transfer.pk}"
    assert (transfer.phase, transfer.all_received) == (Phase.SENDING, True)
    part = transfer.parts.get()
    assert (part.state, part.received, part.reserved_bytes) == (PartState.STAGED, part.size, part.size)
    assert part.queued_at is not None
    assert transfer.folder.whole(1).read_bytes() == file.content
    return transfer


# --- What it does, and costs ------------------------------------------------------------------------------------------


def test_files_are_received_and_sent(
    results: Callable[..., Results],
    make: Make,
    messages: list[tuple[str, str]],
    object_store: ObjectStoreClient,
    bucket: str,
) -> None:
    files = [make(f"folder/{number}", bytes([number]) * (1 + 1000 * number)) for number in range(5)]
    for file, result in zip(files, results(*files), strict=True):
        transfer = check_received(file, result)
        assert transfer.upload_metadata == metadata_of(file)
        assert transfer.forbid_overwrite
        begun = AuditEntry.objects.get(transfer_id=transfer.pk)
        assert (begun.action, begun.actor, begun.key) == ("transfer.begun", transfer.owner, file.key)
        assert begun.detail == {"size": len(file.content), "replace": False}
    assert quota.reserved_bytes("test-node") == sum(len(file.content) for file in files)
    assert StagingNode.objects.get().reserved_at_most == quota.reserved_bytes("test-node")
    work_off(messages)
    assert set(Transfer.objects.values_list("phase", "verified")) == {(Phase.DONE, True)}
    assert [object_store.head_object(bucket, file.key).size for file in files] == [1, 1001, 2001, 3001, 4001]
    assert quota.reserved_bytes("test-node") == 0


def test_many_files_cost_the_statements_of_two(
    results: Callable[..., Results], make: Make, messages: list[tuple[str, str]]
) -> None:
    results(make("first"), make("second"))
    messages.clear()
    few = cost_of(lambda: results(make("a/1"), make("a/2")))
    assert len(messages) == 1
    many = cost_of(lambda: results(*(make(f"b/{number}") for number in range(together.MOST_FILES))))
    assert len(messages) == 2
    assert many == few
    assert few.statements <= 25
    assert few.writes == 2
    assert Part.objects.filter(state=PartState.STAGED).count() == together.MOST_FILES + 4


def test_many_files_that_replace_objects_cost_the_statements_of_two(
    results: Callable[..., Results], make: Make, messages: list[tuple[str, str]]
) -> None:
    """Each object names the transfer that has written it, which a repeated request would be given."""
    keys = [f"k/{number}" for number in range(10)]
    results(*map(make, keys))
    work_off(messages)
    Transfer.objects.update(finished_at=timezone.now() - timedelta(hours=2))
    again = [make(key, replace="on", fingerprint="new", creation_id=f"new {key}") for key in keys]
    few = cost_of(lambda: results(*again[:2]))
    many = cost_of(lambda: results(*again[2:]))
    assert many == few
    assert Transfer.objects.filter(fingerprint="new", all_received=True).count() == len(keys)


def test_store_gets_one_request_for_each_file(
    results: Callable[..., Results], make: Make, monkeypatch: pytest.MonkeyPatch, messages: list[tuple[str, str]]
) -> None:
    results(make("in/first"), make("in/second"))
    asked: list[str] = []
    head_object = ObjectStoreClient.head_object

    def counting(client: ObjectStoreClient, bucket: str, key: str, **more: Any) -> Any:
        asked.append(key)
        return head_object(client, bucket, key, **more)

    monkeypatch.setattr(ObjectStoreClient, "head_object", counting)
    monkeypatch.setattr(ObjectStoreClient, "check_writing", lambda *_: pytest.fail("the folder is known"))
    keys = [f"in/{number}" for number in range(10)]
    results(*map(make, keys))
    assert sorted(asked) == sorted(keys)


# --- One file does not affect another ---------------------------------------------------------------------------------


def test_each_file_has_its_own_result(
    results: Callable[..., Results],
    make: Make,
    client: Tus,
    object_store: ObjectStoreClient,
    bucket: str,
    tmp_path: Path,
    messages: list[tuple[str, str]],
) -> None:
    """What a creation by tus is answered, each file is here, with the same texts."""
    (tmp_path / "other").write_bytes(b"x")
    object_store.put_object(bucket, "exists", FileSlice(tmp_path / "other", 0, 1))
    results(make("busy", fingerprint="another file"))
    bad = [
        make("exists"),
        make("busy"),
        make("no-store", store="nowhere"),
        make("bad-type", content_type="nonsense"),
        make("bad\x00key"),
        make("", filename=""),
    ]
    good = [make(f"good-{number}") for number in range(len(bad))]
    found = results(*(each for pair in zip(bad, good, strict=True) for each in pair))
    for file, result in zip(good, found[1::2], strict=True):
        check_received(file, result)
    for file, result in zip(bad, found[::2], strict=True):
        headers = {"Content-Type": "application/offset+octet-stream"}
        named = {name.replace("-", "_"): value for name, value in file.metadata.items()}
        alone = client.create(len(file.content), file.content, headers=headers, key=file.key, **named)
        assert result.pop("status") == alone.status_code
        assert result.pop("retry_after", None) == (int(alone["Retry-After"]) if "Retry-After" in alone else None)
        assert result == alone.json()
    assert [each["error"]["code"] for each in found[::2]][:3] == ["ObjectExists", "KeyBusy", "InvalidMetadata"]
    assert Transfer.objects.count() == 1 + len(good)


def test_each_refused_file_is_in_the_audit_log(
    results: Callable[..., Results], make: Make, messages: list[tuple[str, str]]
) -> None:
    results(make("busy", fingerprint="another file"))
    results(make("a"), make("busy"), make("b"), make("busy"))
    refused = AuditEntry.objects.filter(action="transfer.refused")
    assert [each.detail for each in refused] == [{"page": "files-together", "status": 409}] * 2


def test_two_files_with_one_key(results: Callable[..., Results], make: Make, messages: list[tuple[str, str]]) -> None:
    first, second, third = make("k"), make("k", b"other bytes", fingerprint="other"), make("k")
    found = results(first, second, third)
    check_received(first, found[0])
    assert (found[1]["status"], found[1]["error"]["code"]) == (409, Code.KEY_BUSY)
    assert found[1]["transfer"]["id"] == str(Transfer.objects.get().pk)
    # The same file twice is the same transfer, which is received by then or has to be sent to once more.
    assert found[2]["status"] == 201
    assert found[2]["location"] == found[0]["location"]


def test_empty_and_verified_files(results: Callable[..., Results], make: Make, messages: list[tuple[str, str]]) -> None:
    """They take the ways of a file alone."""
    digest = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    files = [make("empty", b""), make("verified", b"hello\n", sha256=digest), make("wrong", b"hello!", sha256=digest)]
    for file, result in zip(files, results(*files), strict=True):
        assert (result["status"], result["offset"]) == (201, len(file.content))
    assert Transfer.objects.get(key="verified").sha256 == digest
    assert Transfer.objects.get(key="wrong").phase == Phase.FAILED
    work_off(messages)
    assert set(Transfer.objects.exclude(key="wrong").values_list("phase", flat=True)) == {Phase.DONE}


def test_file_above_the_limit_of_open_transfers(
    results: Callable[..., Results], make: Make, settings: Settings, messages: list[tuple[str, str]]
) -> None:
    settings.USER_OPEN_TRANSFERS = 3
    found = results(*(make(f"k{number}") for number in range(5)))
    assert [each["status"] for each in found] == [201, 201, 201, 429, 429]
    assert found[4]["retry_after"] == 30
    assert Transfer.objects.count() == 3


def test_files_without_space_wait(
    results: Callable[..., Results], make: Make, settings: Settings, messages: list[tuple[str, str]]
) -> None:
    """As after a creation: the upload exists, and its bytes are sent again later."""
    settings.STAGING_QUOTA = 2500
    found = results(*(make(f"k{number}", b"x" * 1000) for number in range(3)))
    assert [(each["status"], each["offset"]) for each in found] == [(201, 1000), (201, 1000), (201, 0)]
    assert quota.reserved_bytes("test-node") == 2000


# --- Repeated requests ------------------------------------------------------------------------------------------------


def test_repeated_request_gets_the_same_results(
    results: Callable[..., Results], make: Make, messages: list[tuple[str, str]]
) -> None:
    files = [make(f"k{number}") for number in range(3)]
    first = results(*files)
    assert results(*files) == first
    work_off(messages)
    # Its objects are those of its own files.
    assert results(*files) == first
    assert Transfer.objects.count() == 3
    assert not messages


def test_repeated_alone(
    results: Callable[..., Results], make: Make, client: Tus, messages: list[tuple[str, str]]
) -> None:
    """The response was lost, and the page goes on with requests of tus."""
    file = make("k")
    [first] = results(file)
    work_off(messages)
    headers = {"Content-Type": "application/offset+octet-stream"}
    named = {name.replace("-", "_"): value for name, value in file.metadata.items()}
    again = client.create(len(file.content), file.content, headers=headers, key=file.key, **named)
    assert (again.status_code, again["Location"]) == (201, first["location"])


def _cut_after(left: int) -> Callable[[Body, memoryview], int]:
    """Reads so many bytes of a body, and then the connection ends."""
    read = Body._read

    def read_some(body: Body, buffer: memoryview) -> int:
        nonlocal left
        count = read(body, buffer[:left]) if left else 0
        left -= count
        return count

    return read_some


def test_bytes_that_have_arrived_are_kept(
    results: Callable[..., Results],
    make: Make,
    send: Send,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[tuple[str, str]],
) -> None:
    """The connection ends in the second file: the first is handed over, and a repeated request continues."""
    files = [make(f"k{number}", bytes([number]) * 1000) for number in range(3)]
    whole = encoded(files)
    read = Body._read
    monkeypatch.setattr(Body, "_read", _cut_after(len(whole) - 1500))
    response = send(*files)
    monkeypatch.setattr(Body, "_read", read)
    check_error(response, 408, "BodyEnded")
    assert len(messages) == 1
    check_received(files[0], {"status": 201, "offset": 1000, "location": f"/files/{Transfer.objects.get(key='k0').pk}"})
    assert Transfer.objects.get(key="k1").folder.arrived(1) == 500
    assert Transfer.objects.count() == 3
    found = results(*files)
    # The rest of the second follows in a request of its own, as after a creation that comes again.
    assert [each["offset"] for each in found] == [1000, 500, 1000]
    check_received(files[2], found[2])


# --- What happens meanwhile -------------------------------------------------------------------------------------------


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Does something after the transfers were created, and before their bytes are received."""

    def do(act: Callable[[], object]) -> None:
        def acting(folders: Any) -> None:
            disk.make_folders(folders)
            act()

        monkeypatch.setattr(receiving, "make_folders", acting)

    return do


@pytest.mark.parametrize("is_noticed", [True, False], ids=["while it arrives", "at the end"])
@pytest.mark.parametrize(
    ("desired", "status", "code"),
    [(DesiredState.PAUSE, 201, ""), (DesiredState.CANCEL, 410, Code.TRANSFER_CANCELLED)],
)
def test_stopped_file_does_not_stop_others(
    results: Callable[..., Results],
    make: Make,
    between: Callable[[Callable[[], object]], None],
    monkeypatch: pytest.MonkeyPatch,
    messages: list[tuple[str, str]],
    *,
    is_noticed: bool,
    desired: DesiredState,
    status: int,
    code: str,
) -> None:
    monkeypatch.setattr(receiving, "CHECK_SECONDS", 0 if is_noticed else 60)
    between(lambda: Transfer.objects.filter(key="b").update(desired_state=desired))
    a, b, c = make("a"), make("b"), make("c")
    found = results(a, b, c)
    check_received(a, found[0])
    check_received(c, found[2])
    assert found[1]["status"] == status
    assert found[1].get("error", {}).get("code", "") == code
    stopped = Transfer.objects.get(key="b")
    assert stopped.phase == Phase.RECEIVING
    assert stopped.parts.get().queued_at is None
    # A file that has arrived before it was found to be paused is whole, as a file alone would be.
    assert stopped.all_received == (desired == DesiredState.PAUSE and not is_noticed)


def test_nothing_is_left_of_a_file_that_has_ended(
    results: Callable[..., Results],
    make: Make,
    between: Callable[[Callable[[], object]], None],
    messages: list[tuple[str, str]],
) -> None:
    ended = {"desired_state": DesiredState.CANCEL, "phase": Phase.CANCELLED}
    between(lambda: Transfer.objects.filter(key="b").update(**ended))
    found = results(make("a"), make("b"))
    assert [each["status"] for each in found] == [201, 410]
    assert not Transfer.objects.get(key="b").folder.exists()


def test_file_that_another_request_has_begun_is_left_to_it(
    results: Callable[..., Results],
    make: Make,
    between: Callable[[Callable[[], object]], None],
    messages: list[tuple[str, str]],
) -> None:
    between(lambda: Transfer.objects.get(key="b").folder.partial(1).write_bytes(b"the"))
    a, b = make("a"), make("b")
    found = results(a, b)
    check_received(a, found[0])
    assert (found[1]["status"], found[1]["offset"]) == (201, 0)
    assert Transfer.objects.get(key="b").folder.partial(1).read_bytes() == b"the"


def test_senders_activity_is_recorded_for_all(
    results: Callable[..., Results], make: Make, monkeypatch: pytest.MonkeyPatch, messages: list[tuple[str, str]]
) -> None:
    """One statement, also for files that have not begun to arrive."""
    monkeypatch.setattr(receiving, "CHECK_SECONDS", 0)
    with CaptureQueriesContext(connection) as captured:
        results(make("a"), make("b"), make("c"))
    active = [each["sql"] for each in captured if each["sql"].startswith("UPDATE") and '"gives_way"' in each["sql"]]
    assert len(active) == 6  # At the beginning and after the only block of each file.


def test_token_or_role_that_ends_meanwhile(
    results: Callable[..., Results], make: Make, monkeypatch: pytest.MonkeyPatch, messages: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(still_allowed, "INTERVAL_SECONDS", -1)
    monkeypatch.setattr(access, "transfer_to_send", _refuse)
    found = results(make("a"), make("b"))
    assert [each["status"] for each in found] == [401, 401]


def _refuse(*_: object, **__: object) -> None:
    raise access.NotVisible(Problem(Code.NO_SUCH_TRANSFER))


# --- Requests that are refused as a whole -----------------------------------------------------------------------------


def test_request_without_a_token_of_the_site_is_refused(send: Send, make: Make) -> None:
    assert send(make("a"), **{"X-CSRFToken": "x" * 32}).status_code == 403
    assert not Transfer.objects.exists()


def test_request_without_a_session_is_refused(make: Make) -> None:
    response = Client().generic("POST", URL, encoded([make("a")]), content_type=together.CONTENT_TYPE)
    check_error(response, 401, Code.NOT_SIGNED_IN)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\0\0\0", id="no document"),
        pytest.param(b"\xff\xff\xff\xff{}", id="long document"),
        pytest.param(b"\0\0\0\x02[]", id="no object"),
        pytest.param(b"\0\0\0\x03{\xff}", id="no text"),
        pytest.param((2000).to_bytes(4) + b"[" * 2000, id="nested"),
        pytest.param(encoded([]), id="no files"),
        pytest.param(encoded([File("k", b"x", {"fingerprint": "f"})]) + b"x", id="too long"),
        pytest.param(encoded([File("k", b"x", {"fingerprint": "f"})])[:-1], id="too short"),
        pytest.param(encoded([File("k", b"", {"fingerprint": "f"})] * (together.MOST_FILES + 1)), id="too many"),
    ],
)
def test_invalid_request_is_refused(send: Send, body: bytes) -> None:
    check_error(send(body=body), 400, "InvalidRequest")
    assert not Transfer.objects.exists()


def test_files_need_a_fingerprint(send: Send, make: Make) -> None:
    """Nothing else finds a transfer whose response was lost."""
    check_error(send(make("a"), make("b", fingerprint="")), 400, "InvalidRequest")
    assert not Transfer.objects.exists()


def test_size_of_a_request_is_limited(send: Send, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "MOST_BYTES", 20)
    check_error(send(make("a", b"x" * 10), make("b", b"x" * 11)), 400, "InvalidRequest")
    monkeypatch.setattr(together, "MOST_DOCUMENT", 20)
    check_error(send(make("a", b"x" * 10)), 413, "TooLarge")
    assert not Transfer.objects.exists()


def test_request_holds_one_slot(
    send: Send,
    results: Callable[..., Results],
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    messages: list[tuple[str, str]],
) -> None:
    for name in ("receiving", "creating"):
        monkeypatch.setattr(getattr(slots, name), "each", 1)
    assert [each["status"] for each in results(make("a"), make("b"), make("c", b""))] == [201, 201, 201]
    for name, code in (("receiving", Code.USER_RECEIVING), ("creating", Code.USER_CREATING)):
        with getattr(slots, name).taken_by(Transfer.objects.all()[0].owner_id):
            response = send(make("d"))
        check_error(response, 429, code)
        assert response["Retry-After"]
    assert Transfer.objects.count() == 3
    assert not slots.receiving._taken
