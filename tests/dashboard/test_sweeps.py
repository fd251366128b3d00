"""The pages of sweeps: a plan by one user, its approval by another one, exports and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils.html import strip_tags
from pytest_django import Settings

from tests.grants import grant, make_operator
from tests.services.sweeps.make import upload_row
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Role
from uploads.models import RepeatingSweep, Store, Sweep
from uploads.objectstore.types import UploadRef
from uploads.services.sweeps.drive import drive_sweep
from uploads.services.sweeps.plan import request_sweep
from uploads.services.sweeps.repeat import Repetition, add_repeating, change_repeating, version_of

JSON = {"Accept": "application/json"}


@pytest.fixture
def rows(transactional_db: None) -> Store:
    store = Store.objects.create(name="s3", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    upload_row(store, "photos", UploadRef("=cmd/<dead>", "u1"), parts=2, bytes=4096).save()
    upload_row(store, "photos", UploadRef("alive", "u2"), timedelta(0)).save()
    return store


def signed_in(name: str) -> Client:
    user = User.objects.filter(username=name).first() or make_operator(name)
    client = Client()
    client.force_login(user)
    return client


def test_a_plan_is_approved_by_a_second_user(rows: Store, settings: Settings) -> None:
    settings.SWEEP_SECOND_PERSON = True
    olga, otto = signed_in("olga"), signed_in("otto")
    assert olga.get("/sweeps/").status_code == 200
    form = olga.get("/sweeps/new/?verdict=dead&older-than=7d&bucket=photos").content.decode()
    assert 'value="7d"' in form
    assert 'value="photos"' in form
    response = olga.post("/sweeps/new/", {"verdict": ["dead", "stalled"], "bucket": "photos", "store": "s3"})
    assert response.status_code == 303
    url = response["Location"]
    assert "The plan is being made" in olga.get(url).content.decode()
    drive_sweep(Sweep.objects.get().pk)
    page = olga.get(url).content.decode()
    assert "Uploads to abort" in page
    assert "4.00 KiB" in page
    assert "price not set for 4.00 KiB" in page
    assert "It is alive" in page
    assert "&lt;dead&gt;" in page
    assert "Another user has to approve" in page
    shown = olga.get(url, headers=JSON).json()
    assert (shown["costs"], shown["bytes_without_price"], shown["waits_because"]) == ([], 4096, None)
    assert shown["plan"] == {"uploads": 1, "bytes": 4096, "bytes_known_of": 1, "spared": {"SparedAlive": 1}}
    digest = {"digest": shown["digest"]}
    assert olga.post(f"{url}approve/", digest, headers=JSON).json()["error"]["code"] == "SweepNeedsOtherPerson"
    assert otto.post(f"{url}approve/", {"digest": "other"}, headers=JSON).status_code == 409
    assert otto.post(f"{url}approve/", digest).status_code == 303
    assert "Run: abort these uploads" in otto.get(url).content.decode()
    refused = otto.post(f"{url}run/", headers=JSON)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "SweepUnconfirmed")
    assert otto.post(f"{url}run/", {"confirm": "on"}, headers=JSON).json()["state"] == "running"
    assert "not begun" in otto.get(url).content.decode()
    assert otto.post(f"{url}pause/", headers=JSON).json()["state"] == "paused"
    assert otto.post(f"{url}cancel/", headers=JSON).json()["state"] == "proving"
    assert olga.get("/sweeps/", headers=JSON).json()["sweeps"][0]["id"] == shown["id"]


def test_the_whole_plan_is_exported(rows: Store) -> None:
    olga = signed_in("olga")
    url = olga.post("/sweeps/new/?verdict=dead", headers=JSON).json()["url"]
    drive_sweep(Sweep.objects.get().pk)
    lines = b"".join(olga.get(f"{url}?format=jsonl").streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert [json.loads(line)["Key"] for line in lines] == ["=cmd/<dead>"]
    table = b"".join(olga.get(f"{url}?format=csv").streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert table[1].startswith("s3,photos,'=cmd/<dead>,u1,")
    assert olga.get(f"{url}?format=xls").status_code == 400


@pytest.mark.parametrize("body", [{"older-than": "9d"}, {"verdict": "alive"}, {"verdict": "dead", "older-than": "x"}])
def test_a_rule_that_is_refused_changes_nothing(rows: Store, body: dict[str, str]) -> None:
    response = signed_in("olga").post("/sweeps/new/", body)
    assert response.status_code == 400
    assert not Sweep.objects.exists()


def test_a_sweep_repeats_until_it_is_disabled(rows: Store) -> None:
    olga = signed_in("olga")
    body = {"verdict": "dead", "repeat": "weekly", "time": "03:30", "max-uploads": "5"}
    assert olga.post("/sweeps/new/", body)["Location"] == "/sweeps/repeating/"
    repeating = RepeatingSweep.objects.get()
    assert (repeating.minute, repeating.max_uploads, repeating.approver) == (210, 5, None)
    assert "each plan waits for approval" in olga.get("/sweeps/repeating/").content.decode()
    url = f"/sweeps/repeating/{repeating.pk}/"
    assert olga.post(url, {"step": "approve"}).status_code == 409, "it does not say which rule was seen"
    for step in ("approve", "disable", "enable", "disable"):
        assert olga.post(url, {"step": step, "seen": version_of(repeating)}).status_code == 303
    repeating.refresh_from_db()
    assert (repeating.approver, repeating.next_at) == (User.objects.get(username="olga"), None)
    assert olga.post("/sweeps/new/", {**body, "time": "25:00"}).status_code == 400


def test_a_repeating_sweep_is_changed(rows: Store) -> None:
    olga = signed_in("olga")
    body = {"verdict": ["dead", "empty"], "repeat": "weekly", "weekday": "2", "max-total-bytes": "3 GiB", "q": "x"}
    olga.post("/sweeps/new/", body)
    repeating = RepeatingSweep.objects.get()
    url = f"/sweeps/repeating/{repeating.pk}/edit/"
    page = olga.get(url).content.decode()
    for shown in ('value="3 GiB"', 'value="04:00"', 'name="q"', 'value="2" selected', 'value="weekly" selected'):
        assert shown in page, shown
    assert page.count("checked") == 2, "the verdicts dead and empty"
    changed = {**body, "verdict": "stalled", "max-total-bytes": "10", "seen": version_of(repeating)}
    assert olga.post(url, {**changed, "verdict": "alive"}).status_code == 400
    assert olga.post(url, {**changed, "max-total-bytes": "1.5 GiB"}).status_code == 400
    assert olga.post(url, {**changed, "seen": "other"}, headers=JSON).json()["error"]["code"] == "SweepRuleOther"
    assert olga.post(url, changed)["Location"] == "/sweeps/repeating/"
    assert olga.post(url, changed).status_code == 409, "somebody has changed it: this request"
    (shown,) = olga.get("/sweeps/repeating/", headers=JSON).json()["repeating"]
    assert (shown["rule"], shown["max_bytes"]) == ({"verdicts": ["stalled"], "q": "x"}, 10)
    assert (shown["weekday"], shown["time"], shown["plans"]) == (2, "04:00", [])
    ada = Client()
    ada.force_login(User.objects.create(username="ada", is_staff=True))
    words = " ".join(strip_tags(ada.get("/audit/?action=sweep.repeating-changed").content.decode()).split())
    assert "verdict dead, empty; contains x → verdict stalled; contains x" in words
    assert "3,221,225,472 bytes → 10 bytes" in words


def test_a_plan_says_that_its_rule_was_changed(rows: Store) -> None:
    olga, author = signed_in("olga"), User.objects.get(username="olga")
    repetition = Repetition(schedule="daily", max_uploads=9, max_bytes=10**9)
    dead = InventoryFilter(store="s3", bucket="photos", verdicts=("dead",))
    repeating = add_repeating(author, dead, repetition)
    sweep = request_sweep(author, dead, repeating=repeating)
    drive_sweep(sweep.pk)
    url = f"/sweeps/{sweep.pk}/"
    assert "was changed after" not in olga.get(url).content.decode()
    stalled = replace(dead, verdicts=("stalled",))
    change_repeating(author, repeating, stalled, repetition, seen=version_of(repeating))
    words = " ".join(strip_tags(olga.get(url).content.decode()).split())
    assert "The plan still has the rule at the top of this page, and waits for approval." in words
    assert "The next plan has this rule: store s3 bucket photos verdict stalled" in words
    assert "with an earlier rule" in olga.get("/sweeps/repeating/").content.decode()
    shown = olga.get(url, headers=JSON).json()
    assert (shown["has_other_rule"], shown["waits_because"]["code"]) == (True, "SweepRuleEdited")
    viewer = Client()
    vera = User.objects.create_user("vera")
    grant(vera, Role.VIEWER)
    viewer.force_login(vera)
    seen = viewer.get(url).content.decode()
    assert "was changed after" in seen
    assert "The next plan has this rule" not in seen


def test_limits_of_one_upload_and_of_many_are_in_words(rows: Store) -> None:
    olga, author = signed_in("olga"), User.objects.get(username="olga")
    for uploads in (1, 1000):
        dead = InventoryFilter(verdicts=("dead",))
        add_repeating(author, dead, Repetition(schedule="daily", max_uploads=uploads, max_bytes=2**30))
    words = " ".join(strip_tags(olga.get("/sweeps/repeating/").content.decode()).split())
    assert "1 upload and 1.00 GiB" in words
    assert "1,000 uploads and 1.00 GiB" in words
