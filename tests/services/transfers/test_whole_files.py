"""A small file whose bytes are there before its transfer: staged, and created as one that has arrived."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection
from django.utils import timezone
from pytest_django import Settings

from tests.grants import make_operator
from uploads.domain.replacement import ANYTHING
from uploads.domain.states import PartState, Phase
from uploads.models import AuditEntry, Part, StagingNode, Store, Transfer
from uploads.services.staging import quota
from uploads.services.transfers import whole_files
from uploads.services.transfers.start import NewTransfer, Started, start
from uploads.services.transfers.whole_files import WholeFile, is_possible, prepare
from uploads.services.upkeep.cleanup import sweep_staging
from uploads.services.work import queue
from uploads.staging.disk import StagingFolder

NODE = "test-node"
CONTENT = os.urandom(1000)

New = Callable[..., NewTransfer]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The messages, as if none of them were ever received."""
    messages: list[tuple[str, ...]] = []
    monkeypatch.setattr(queue, "_publish", lambda task, ids, *_: messages.append((task, *ids)))
    return messages


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_files._Pause, "until", 0.0)


@pytest.fixture(autouse=True)
def node(transactional_db: None) -> StagingNode:
    return StagingNode.objects.create(name=NODE, sender_heard_at=timezone.now())


@pytest.fixture
def new(user: User, settings: Settings) -> New:
    """A file of 1,000 bytes that may replace whatever is there, so that no store is asked."""
    settings.STAGING_QUOTA = 10**9
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")

    def new_one(key: str = "k", **values: Any) -> NewTransfer:
        facts: dict[str, Any] = {"owner": user, "size": len(CONTENT), "resumable": True, "with_bytes": True}
        replaces = {"replace": True, "replacement": ANYTHING}
        return NewTransfer(**{"store": store, "bucket": "photos", "key": key, **facts, **replaces, **values})

    return new_one


def create(new: NewTransfer) -> Started | None:
    file = prepare(new)
    assert isinstance(file, WholeFile)
    return file.create(memoryview(CONTENT))


def staged_folders(settings: Settings) -> list[str]:
    staging = Path(settings.STAGING_DIR)
    return sorted(path.name for path in staging.iterdir() if path.is_dir()) if staging.exists() else []


def test_file_is_created_staged_and_enqueued(new: New, published: list[tuple[str, ...]]) -> None:
    started = create(new())
    assert started is not None
    assert started.is_new
    transfer = Transfer.objects.get()
    assert transfer == started.transfer
    assert (transfer.phase, transfer.all_received, transfer.size) == (Phase.SENDING, True, 1000)
    assert None not in (transfer.received_at, transfer.progressed_at, transfer.sending_at)
    part = transfer.parts.get()
    assert (part.number, part.state, part.size, part.received) == (1, PartState.STAGED, 1000, 1000)
    assert part.queued_at is not None
    assert quota.reserved_bytes(NODE) == 1000
    assert StagingNode.objects.get().reserved_at_most == 1000
    assert transfer.folder.whole(1).read_bytes() == CONTENT
    assert published == [("send_small_files", NODE)]
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.transfer_id, entry.actor) == ("transfer.begun", transfer.pk, transfer.owner)
    assert entry.detail == {"size": 1000, "replace": True}


def test_part_waits_for_the_watchdog_if_the_queue_is_unavailable(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "is_paused", lambda: True)
    create(new())
    assert Part.objects.get().queued_at is None


# --- What is left to `start` ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"size": 0},
        {"size": whole_files.LARGEST + 1},
        {"verify_sha256": True},
        {"verify_sha256": True, "expected_sha256": "0" * 64},
    ],
    ids=str,
)
def test_other_files_are_left_to_start(new: New, values: dict[str, Any]) -> None:
    assert is_possible(new())
    assert not is_possible(new(**values))


def test_key_of_an_unfinished_transfer_is_left_to_start(
    new: New, settings: Settings, published: list[tuple[str, ...]]
) -> None:
    first = start(new(fingerprint="f")).transfer
    assert create(new(fingerprint="f")) is None
    assert Transfer.objects.get() == first
    assert staged_folders(settings) == []
    assert published == []


def test_transfer_above_the_limit_of_its_owner_is_left_to_start(new: New, settings: Settings) -> None:
    settings.USER_OPEN_TRANSFERS = 1
    assert create(new("a")) is not None
    assert create(new("b")) is None
    assert Transfer.objects.count() == 1
    assert len(staged_folders(settings)) == 1


def test_node_that_is_not_heard_is_left_to_start(new: New, node: StagingNode, settings: Settings) -> None:
    StagingNode.objects.update(sender_heard_at=timezone.now() - timedelta(hours=1))
    assert create(new()) is None
    assert staged_folders(settings) == []
    assert not Transfer.objects.exists()


def test_little_space_is_left_to_start_for_a_while(new: New, settings: Settings) -> None:
    """Bytes that were staged without space are removed, and for some seconds no others are staged like this."""
    settings.STAGING_QUOTA = 1500
    assert create(new("a")) is not None
    assert create(new("b")) is None
    assert quota.reserved_bytes(NODE) == 1000
    assert len(staged_folders(settings)) == 1
    assert not is_possible(new("c"))


def test_unknown_bound_of_the_reservations_is_read_again(new: New) -> None:
    """The heartbeat forgets it."""
    create(new("a"))
    StagingNode.objects.update(reserved_at_most=None)
    assert create(new("b")) is not None
    assert StagingNode.objects.get().reserved_at_most == 2000


def test_disk_that_cannot_be_written_leaves_nothing(
    new: New, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="No space left"):
        create(new())
    assert staged_folders(settings) == []
    assert not Transfer.objects.exists()
    assert not is_possible(new()), "the next files do not try it again for some seconds"


# --- Several at the same time -----------------------------------------------------------------------------------------


def create_at_the_same_time(news: Sequence[NewTransfer], monkeypatch: pytest.MonkeyPatch) -> list[Started | None]:
    """The first transaction begins when all others wait for it. They share the next one."""
    insert, begun = whole_files._create, threading.Event()

    def create_some(files: Sequence[Any]) -> None:
        if not begun.is_set():
            begun.set()
            while len(whole_files._creating._waiting) < len(news) - 1:
                pass
        insert(files)

    monkeypatch.setattr(whole_files._creating, "_act", create_some)

    def create_one(each: NewTransfer) -> Started | None:
        try:
            return create(each)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(news)) as pool:
        first = pool.submit(create_one, news[0])
        assert begun.wait(30)
        return [first.result(30) for first in [first, *[pool.submit(create_one, each) for each in news[1:]]]]


def test_requests_at_the_same_time_share_a_transaction(
    new: New, published: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_operator("other")
    news = [new(f"k{number}", owner=other) if number % 2 else new(f"k{number}") for number in range(6)]
    started = create_at_the_same_time(news, monkeypatch)
    assert [each.transfer.key if each else None for each in started] == [each.key for each in news]
    assert {each.key: each.owner_id for each in Transfer.objects.all()} == {each.key: each.owner.pk for each in news}
    assert {each.transfer_id for each in AuditEntry.objects.all()} == {each.pk for each in Transfer.objects.all()}
    assert len(published) == 2
    assert quota.reserved_bytes(NODE) == 6000


def test_of_two_files_with_one_key_the_first_is_created(
    new: New, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = create_at_the_same_time([new("a"), new("b"), new("b")], monkeypatch)
    assert sorted(each.key for each in Transfer.objects.all()) == ["a", "b"]
    assert sum(each is not None for each in started) == 2
    assert len(staged_folders(settings)) == 2


def test_owner_at_the_limit_does_not_keep_others_from_it(
    new: New, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.USER_OPEN_TRANSFERS = 2
    other = make_operator("other")
    news = [new("a"), new("b"), new("c"), new("d", owner=other)]
    started = create_at_the_same_time(news, monkeypatch)
    assert [each is not None for each in started] == [True, False, False, True]


def test_file_that_cannot_be_inserted_does_not_keep_others_from_it(
    new: New, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = whole_files._insert

    def insert_some(files: Sequence[Any]) -> None:
        if any(file.row.key == "bad" for file in files):
            raise DatabaseError("bad")
        insert(files)

    monkeypatch.setattr(whole_files, "_insert", insert_some)
    with pytest.raises(DatabaseError, match="bad"):
        create_at_the_same_time([new("a"), new("bad"), new("b")], monkeypatch)
    assert sorted(each.key for each in Transfer.objects.all()) == ["a", "b"]
    assert sorted(staged_folders(settings)) == sorted(str(each.pk) for each in Transfer.objects.all())


def test_transaction_that_was_committed_and_reported_as_failed(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as after a connection to the database was lost. The files are created once, and keep their bytes."""
    insert, failures = whole_files._create, iter([False, True])

    def create_some(files: Sequence[Any]) -> None:
        insert(files)
        for file in files:
            if next(failures, False):
                file.is_created = False
                raise DatabaseError("connection lost")

    monkeypatch.setattr(whole_files, "_create", create_some)
    started = create_at_the_same_time([new("a"), new("b"), new("c")], monkeypatch)
    assert all(started)
    for transfer in Transfer.objects.all():
        assert transfer.folder.whole(1).read_bytes() == CONTENT
    assert Transfer.objects.count() == 3


# --- Cleaning up at the start of the node -----------------------------------------------------------------------------


def test_bytes_without_a_transfer_are_removed(settings: Settings) -> None:
    """Their process died before the transaction."""
    unknown = StagingFolder(Path(settings.STAGING_DIR) / str(uuid.uuid4()))
    with unknown.holding_whole_file(memoryview(CONTENT)):
        sweep_staging()
        assert unknown.whole(1).read_bytes() == CONTENT, "its process is alive"
    sweep_staging()
    assert staged_folders(settings) == []


def test_file_that_is_created_during_the_cleanup_keeps_its_bytes(new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cleanup has found no transfer for its folder, and one is created before it has the lock."""
    started = create(new())
    assert started is not None
    folder = started.transfer.folder
    rows, looks = Transfer.objects.select_related("store"), iter([True])
    monkeypatch.setattr(
        Transfer.objects, "select_related", lambda *_: rows.none() if next(looks, False) else rows, raising=True
    )
    sweep_staging()
    assert folder.whole(1).read_bytes() == CONTENT
    assert next(looks, None) is None
