"""The page of an operation that is paused and stopped, and the confirmation of a bulk abort."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dashboard.shared.parameters import write_upload
from tests.dashboard.conftest import Start
from tests.dashboard.pages import Page, Site
from tests.grants import grant
from uploads.domain.roles import Role
from uploads.domain.states import ItemState
from uploads.models import InventoryBucket, InventoryUpload, Operation, OperationItem, Store
from uploads.models.inventory import upload_identity
from uploads.objectstore.types import UploadRef


@pytest.fixture
def operation(store: Store, bucket: str, operator: User) -> Operation:
    operation = Operation.objects.create(kind="abort", actor=operator, store=store, bucket=bucket)
    now = timezone.now()
    ended = {"state": ItemState.DONE, "finished_at": now - timedelta(seconds=5)}
    OperationItem.objects.create(operation=operation, key="done", upload_id="1", **ended)
    for number in range(3):
        name = f"waits {number}"
        OperationItem.objects.create(operation=operation, key=name, upload_id="u", active_key=name, not_before=now)
    Operation.objects.update(created_at=now - timedelta(seconds=30))
    return operation


def steps(page: Page) -> list[str]:
    return [each.text for each in page.find("button", "btn-sm", type="submit")]


def step(site: Site, operation: Operation, name: str, *, json: bool = False) -> Page:
    return site.post(reverse(f"operation-{name}", args=[operation.pk]), {}, json=json)


def test_page_offers_the_steps_of_its_state(site: Site, operation: Operation) -> None:
    url = reverse("operation", args=[operation.pk])
    page = site.get(url)
    assert steps(page) == ["Pause", "Stop"]
    assert re.search(r"\d per minute, about \d min( \d+ s)? left", page.words)
    assert step(site, operation, "pause").status == 303
    page = site.get(url)
    assert steps(page) == ["Resume", "Stop"]
    assert "paused" in page.words
    assert "per minute" not in page.words
    assert step(site, operation, "stop").status == 303
    page = site.get(url)
    assert not steps(page)
    assert "3 were not begun and are left as they were." in page.words


def test_steps_as_json(site: Site, operation: Operation) -> None:
    paused = step(site, operation, "pause", json=True).json
    assert (paused["state"], paused["desired_state"], paused["items"]["active"]) == ("paused", "pause", 3)
    stopped = step(site, operation, "stop", json=True).json
    assert (stopped["state"], stopped["items"]["left"]) == ("halted", 3)
    refused = step(site, operation, "resume", json=True)
    assert (refused.status, refused.json["error"]["code"]) == (409, "OperationNotPossibleNow")
    assert step(site, operation, "pause").status == 409


def test_who_may_only_look_gets_no_steps(store: Store, bucket: str, operation: Operation, db: None) -> None:
    viewer = User.objects.create(username="vera")
    grant(viewer, Role.VIEWER)
    client = Client()
    client.force_login(viewer)
    site = Site(client, store.name, bucket)
    assert not steps(site.get(reverse("operation", args=[operation.pk])))
    assert step(site, operation, "stop").status == 403


# --- The confirmation -------------------------------------------------------------------------------------------------


def confirmation(site: Site, names: list[UploadRef], **fields: str) -> Page:
    return site.post(site.links.abort_form, {"upload": [*map(write_upload, names)], **fields})


def test_every_upload_is_shown_and_exported(site: Site) -> None:
    names = [UploadRef(f"key {number}", f"id-{number}") for number in range(120)]
    page = confirmation(site, [*names, UploadRef("=danger", "x")], ask="1")
    assert len(page.find("th", scope="row")) == 121
    (box,) = page.find("input", name="spare-hours")
    assert box.has("checked")
    rows = list(csv.reader(io.StringIO(exported(site, [*names, UploadRef("=danger", "x")]))))
    assert rows[0] == ["Store", "Bucket", "Key", "UploadId", "Parts", "Bytes", "LastPart", "CheckedAt"]
    assert {tuple(row[4:]) for row in rows[1:]} == {("", "", "", "")}
    assert [row[2] for row in rows[1:]] == [name.key for name in names] + ["'=danger"]
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ("3,6000,0\r\n0,0,none", [["3", "6000", "1970-01-01T00:00:00.000Z"], ["0", "0", ""]]),
        (",,\n2,,", [["", "", ""], ["2", "", ""]]),
        ("=1,+2,x\n1,2,999999999999", [["", "", ""], ["1", "2", ""]]),
        ("1,2,3", [["", "", ""]] * 2),
        ("1,2,3,4\n5", [["", "", ""]] * 2),
    ],
)
def test_export_has_what_the_page_knows(facts: str, expected: list[list[str]], site: Site) -> None:
    rows = csv.reader(io.StringIO(exported(site, [UploadRef("a", "1"), UploadRef("b", "2")], facts)))
    assert [row[4:7] for row in rows][1:] == expected


def test_export_has_what_a_scan_knows_and_the_page_does_not(site: Site) -> None:
    store, at = Store.objects.get(name=site.store), datetime(2026, 1, 31, tzinfo=UTC)
    place = InventoryBucket.objects.create(store=store, name=site.bucket)
    for number in range(3):
        InventoryUpload.objects.create(
            store=store,
            bucket=place,
            identity=upload_identity(place.pk, f"key {number}", f"id-{number}"),
            key=f"key {number}",
            upload_id=f"id-{number}",
            parts=2,
            bytes=30,
            last_part_at=at,
            checked_at=at if number < 2 else None,
            **dict.fromkeys(("first_seen_at", "last_seen_at", "started_at", "active_at"), at),
        )
    names = [UploadRef(f"key {number}", f"id-{number}") for number in range(3)]
    rows = list(csv.reader(io.StringIO(exported(site, names, "5,50,0\n,,\n,,"))))
    time = "2026-01-31T00:00:00.000Z"
    assert [row[4:] for row in rows[1:]] == [
        ["5", "50", "1970-01-01T00:00:00.000Z", ""],
        ["2", "30", time, time],
        ["", "", "", ""],
    ]


def exported(site: Site, names: list[UploadRef], facts: str = "") -> str:
    token = site.get(reverse("stores")).find("input", name="csrfmiddlewaretoken")[0].get("value")
    fields = {"upload": [*map(write_upload, names)], "export": "csv", "facts": facts, "csrfmiddlewaretoken": token}
    return site.client.post(site.links.abort_form, fields).getvalue().decode()


def test_recent_uploads_are_left_out_if_requested(site: Site, start: Start) -> None:
    names = [start("a", {1: 10}), start("b")]
    confirmation(site, names, **{"spare-hours": "24"})
    spared = Operation.objects.get().spare_after
    assert spared is not None
    assert timedelta(hours=23, minutes=50) < timezone.now() - spared < timedelta(hours=24, minutes=10)
    for wrong in ("-1", "x", "99999"):
        assert confirmation(site, names, **{"spare-hours": wrong}).status == 400
    assert Operation.objects.count() == 1
