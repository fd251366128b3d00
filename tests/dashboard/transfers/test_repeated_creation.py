"""A creation with all bytes whose response was lost: the request comes again, and its object is there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from dashboard.transfers.tus import creation
from tests.dashboard.transfers.test_tus import Tus, check_error
from tests.grants import make_operator
from uploads import tasks
from uploads.domain.states import Phase
from uploads.models import Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import FileSlice
from uploads.services.transfers import start
from uploads.services.work.tasks import TASKS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("messages")]

BODY = b"all bytes of the file"
Create = Callable[..., Any]


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> None:
    settings.STAGING_DIR = tmp_path / "staging"


@pytest.fixture
def create(operator_client: Client, store: Store, bucket: str) -> Create:
    return creator(Tus(operator_client), store, bucket)


def creator(client: Tus, store: Store, bucket: str) -> Create:
    """Creates an upload together with all of its bytes."""

    def create_one(body: bytes = BODY, **changes: str) -> Any:
        named: Any = {"store": store.name, "bucket": bucket, "key": "a", "fingerprint": "print"} | changes
        return client.create(len(BODY), body, **named)

    return create_one


def finish(messages: list[tuple[str, str]]) -> None:
    while messages:
        task, row_id = messages.pop(0)
        (TASKS.get(task) or getattr(tasks, task))(row_id)
    assert set(Transfer.objects.values_list("phase", flat=True)) == {Phase.DONE}


def put(s3: ObjectStoreClient, bucket: str, tmp_path: Path, body: bytes) -> str:
    """Write the object as another program does. Returns its ETag."""
    path = tmp_path / "other"
    path.write_bytes(body)
    s3.put_object(bucket, "a", FileSlice(path, 0, len(body)))
    return s3.head_object(bucket, "a").etag


def test_repeated_request_gets_the_response_that_was_lost(create: Create, messages: list[tuple[str, str]]) -> None:
    lost = create()
    assert lost.status_code == 201
    finish(messages)
    again = create()
    assert again.status_code == 201, again.content
    headers = ("Location", "Upload-Offset", "Upload-Length")
    assert [again[name] for name in headers] == [lost[name] for name in headers]
    assert again["Upload-Offset"] == str(len(BODY))
    assert Transfer.objects.count() == 1
    assert not messages


def test_repeated_request_meets_its_transfer_before_the_end(create: Create, messages: list[tuple[str, str]]) -> None:
    lost, again = create(), create()
    assert (again.status_code, again["Location"]) == (201, lost["Location"])
    assert again["Upload-Offset"] == str(len(BODY))
    finish(messages)
    assert Transfer.objects.count() == 1


def test_request_that_came_twice_goes_on_after_the_bytes_of_the_first(
    create: Create, messages: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both found a transfer without bytes, and the first has received some before the second is the only writer."""
    first = create(BODY[:10])
    monkeypatch.setattr(creation, "offset_of", lambda _transfer: 0)
    second = create(BODY[:10])
    assert (second.status_code, second["Location"]) == (201, first["Location"])
    assert second["Upload-Offset"] == "10"
    assert not messages


def test_repeated_request_that_replaced_an_object_is_done_too(
    create: Create, messages: list[tuple[str, str]], object_store: ObjectStoreClient, bucket: str, tmp_path: Path
) -> None:
    leave = {"replace": "on", "replace_etag": put(object_store, bucket, tmp_path, b"to be replaced")}
    lost = create(**leave)
    assert lost.status_code == 201, lost.content
    finish(messages)
    again = create(**leave)
    assert (again.status_code, again["Location"]) == (201, lost["Location"])
    assert Transfer.objects.count() == 1


@pytest.mark.parametrize(
    "changes",
    [{"fingerprint": "other"}, {"fingerprint": ""}, {"content_type": "text/plain"}, {"filename": "other name"}],
    ids=["other bytes", "no fingerprint", "another type", "another name"],
)
def test_other_request_is_refused(create: Create, messages: list[tuple[str, str]], changes: dict[str, str]) -> None:
    create()
    finish(messages)
    check_error(create(**changes), 409, "ObjectExists")


def test_request_without_bytes_is_refused(create: Create, messages: list[tuple[str, str]]) -> None:
    """Whoever asks before the first byte has not sent them, and decides whether to replace the object."""
    create()
    finish(messages)
    check_error(create(b""), 409, "ObjectExists")


@pytest.mark.parametrize("leave", [{}, {"replace": "on"}], ids=["new", "replacing"])
@pytest.mark.parametrize("first", [BODY, b""], ids=["with bytes", "without"])
def test_creation_with_an_id_of_its_own_is_repeated_without_bytes_too(
    create: Create, messages: list[tuple[str, str]], first: bytes, leave: dict[str, str]
) -> None:
    """A page may repeat it without the bytes, because a proxy refuses them, and may have had leave to replace."""
    lost = create(first, creation_id="1", **leave)
    create(creation_id="1", **leave)
    finish(messages)
    for body in (b"", BODY):
        again = create(body, creation_id="1", **leave)
        assert (again.status_code, again["Location"]) == (201, lost["Location"]), again.content
        assert again["Upload-Offset"] == str(len(BODY))
    assert Transfer.objects.count() == 1
    assert not messages


def test_creation_with_another_id_is_another(create: Create, messages: list[tuple[str, str]]) -> None:
    """The same file is selected again: whether to replace the object is asked as for any other file."""
    create(creation_id="1")
    finish(messages)
    check_error(create(creation_id="2"), 409, "ObjectExists")
    again = create(creation_id="3", replace="on")
    assert again.status_code == 201
    assert Transfer.objects.count() == 2


def test_replacing_again_without_an_id_is_another(create: Create, messages: list[tuple[str, str]]) -> None:
    for count in (1, 2):
        assert create(replace="on").status_code == 201
        finish(messages)
        assert Transfer.objects.count() == count


def test_repeated_creation_recovers_the_end(create: Create, messages: list[tuple[str, str]]) -> None:
    """The process that had received the last byte stopped before it recorded that."""
    create()
    Transfer.objects.update(all_received=False)
    assert create()["Upload-Offset"] == str(len(BODY))
    assert Transfer.objects.get().all_received
    finish(messages)


def test_object_that_was_replaced_meanwhile_stays(
    create: Create, messages: list[tuple[str, str]], object_store: ObjectStoreClient, bucket: str, tmp_path: Path
) -> None:
    create()
    finish(messages)
    put(object_store, bucket, tmp_path, BODY)  # The same bytes, and so the same ETag.
    check_error(create(), 409, "ObjectExists")


def test_object_with_another_etag_is_another(create: Create, messages: list[tuple[str, str]]) -> None:
    """The metadata of an object can be copied together with its transfer's id."""
    create()
    finish(messages)
    Transfer.objects.update(etag="another")
    check_error(create(), 409, "ObjectExists")


def test_file_of_another_operator_is_refused(
    create: Create, messages: list[tuple[str, str]], store: Store, bucket: str
) -> None:
    create()
    finish(messages)
    other = Client()
    other.force_login(make_operator("otto"))
    check_error(creator(Tus(other), store, bucket)(), 409, "ObjectExists")


def test_same_file_is_asked_about_later(create: Create, messages: list[tuple[str, str]]) -> None:
    create()
    finish(messages)
    done = Transfer.objects.get()
    assert done.finished_at is not None
    Transfer.objects.update(finished_at=done.finished_at - start.REPEATED_WITHIN - timedelta(seconds=1))
    check_error(create(), 409, "ObjectExists")
