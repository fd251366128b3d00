"""The page of the inventory, its saved views, and what the overview says about hidden bytes."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.dashboard.pages import Page
from tests.grants import grant
from uploads.domain.roles import Role
from uploads.models import (
    Alert,
    AlertRule,
    BucketScan,
    InventoryBucket,
    InventoryDay,
    InventorySum,
    InventoryUpload,
    InventoryView,
    Scan,
    Store,
    Sweep,
)
from uploads.models.inventory import upload_identity
from uploads.selectors.inventory import groups

GIB = 1024**3


@pytest.fixture
def ada(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


@pytest.fixture
def far_store(db: None) -> Store:
    return Store.objects.create(name="far", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def photos(far_store: Store) -> InventoryBucket:
    return InventoryBucket.objects.create(store=far_store, name="photos", listed_at=timezone.now())


def add(bucket: InventoryBucket, key: str, *, verdict: str = "dead", size: int | None = GIB, days: int = 40) -> None:
    """An upload, counted in the sum of its bucket and verdict."""
    at = timezone.now() - timedelta(days=days)
    InventoryUpload.objects.create(
        store=bucket.store,
        bucket=bucket,
        identity=upload_identity(bucket.pk, key, f"id-{key}"),
        key=key,
        upload_id=f"id-{key}",
        initiated=at,
        started_at=at,
        active_at=at,
        first_seen_at=at,
        last_seen_at=timezone.now(),
        parts=None if size is None else 1,
        bytes=size,
        verdict=verdict,
    )
    found, _ = InventorySum.objects.get_or_create(bucket=bucket, verdict=verdict)
    found.uploads += 1
    found.checked += size is not None
    found.bytes += size or 0
    found.save()


@pytest.fixture
def some_uploads(photos: InventoryBucket) -> InventoryBucket:
    add(photos, "2025/a/large.bin", size=5 * GIB)
    add(photos, "2025/b/small.bin", verdict="stalled", size=GIB, days=3)
    add(photos, "2026/alive.bin", verdict="alive", size=2 * GIB, days=0)
    add(photos, "2026/unchecked.bin", verdict="unchecked", size=None, days=1)
    return photos


def page_of(client: Client, query: str = "") -> Page:
    response = client.get(f"/inventory/?{query}")
    assert response.status_code == 200
    return Page(response)


def test_an_inventory_without_scans_says_so(ada: Client) -> None:
    assert "No store has been scanned yet" in page_of(ada).words


def test_buckets_that_are_not_counted_yet_are_named(ada: Client, some_uploads: InventoryBucket) -> None:
    def uncounted(query: str = "") -> int:
        found = ada.get(f"/inventory/?{query}", headers={"accept": "application/json"}).json()
        return int(found["totals"]["uncounted_buckets"])

    assert uncounted() == 0
    assert "not counted yet" not in page_of(ada).words + Page(ada.get("/")).words
    store, now = some_uploads.store, timezone.now()
    InventoryBucket.objects.create(store=store, name="listed", listed_at=now, changed_at=now)
    InventoryBucket.objects.create(store=store, name="found")
    InventoryBucket.objects.create(store=store, name="empty", listed_at=now)
    InventoryBucket.objects.create(store=store, name="refused", error_code="AccessDenied")
    InventoryBucket.objects.create(store=store, name="gone", changed_at=now, gone_at=now)
    InventoryBucket.objects.filter(pk=some_uploads.pk).update(changed_at=now)
    assert uncounted() == 2
    assert (uncounted("store=far&bucket=listed"), uncounted("bucket=empty")) == (1, 0)
    assert uncounted("min-parts=1") == 1, "uploads of listed buckets are counted one by one"
    for page in (page_of(ada), Page(ada.get("/"))):
        assert "without 2 buckets that are not counted yet" in page.words


def test_rows_link_to_their_uploads_and_the_largest_comes_first(ada: Client, some_uploads: InventoryBucket) -> None:
    page = page_of(ada)
    assert page.text.index("large.bin") < page.text.index("alive.bin") < page.text.index("small.bin")
    assert "/stores/far/photos/uploads/detail/?key=2025%2Fa%2Flarge.bin" in page.text
    assert "No part has arrived for days." in page.words
    assert page.words.count("price not set") == 0
    assert '<span class="key" translate="no">2025/a/large.bin</span>' in page.text
    assert "no price for 8.00 GiB of far" in page.words
    assert "bytes known of 75% of the uploads" in page.words


def test_a_chip_removes_its_filter_alone(ada: Client, some_uploads: InventoryBucket) -> None:
    page = page_of(ada, "verdict=dead&verdict=stalled&store=far&sort=age&cursor=")
    assert "alive.bin" not in page.text
    assert "/inventory/?verdict=stalled&amp;store=far&amp;sort=age" in page.text
    assert "/inventory/?verdict=dead&amp;verdict=stalled&amp;sort=age" in page.text
    assert 'href="/inventory/?sort=age"' in page.text


def test_headings_sort_and_turn(ada: Client, some_uploads: InventoryBucket) -> None:
    page = page_of(ada, "sort=-age")
    assert 'aria-sort="descending"' in page.text
    assert "/inventory/?sort=age" in page.text
    assert "/inventory/?sort=-bytes" in page.text


def test_columns_and_density_are_remembered(ada: Client, some_uploads: InventoryBucket) -> None:
    here = "/inventory/?store=far&sort=age"
    page = Page(ada.get(here))
    heads = [each.text for each in page.find("th", scope="col") if each.text]
    assert heads[-6:] == ["Key", "Verdict", "Size", "Parts", "Started", "Last part"], "without prices, no costs"
    assert f'name="back" value="{here.replace("&", "&amp;")}"' in page.text
    saved = ada.post("/lists/inventory/", {"column": ["bytes", "idle"], "density": "compact", "back": here})
    assert (saved.status_code, saved["Location"]) == (303, here)
    page = Page(ada.get(here))
    heads = [each.text for each in page.find("th", scope="col") if each.text]
    assert heads[-3:] == ["Key", "Size", "Last part"]
    assert "Verdict" not in heads
    assert "table-inventory is-compact" in page.text
    assert "5.00 GiB" in page.words
    assert "No part has arrived for days." not in page.words
    assert ada.post("/lists/inventory/", {"reset": "1", "back": here})["Location"] == here
    assert "No part has arrived for days." in Page(ada.get(here)).words


def test_groups_lead_from_the_store_to_a_prefix(ada: Client, some_uploads: InventoryBucket) -> None:
    page = page_of(ada, "group=store")
    assert "/inventory/?store=far&amp;group=bucket" in page.text
    page = page_of(ada, "group=bucket&store=far")
    assert "store=far&amp;bucket=photos&amp;group=prefix" in page.text
    page = page_of(ada, "group=prefix&store=far&bucket=photos")
    assert "prefix=2025%2F&amp;group=prefix" in page.text
    assert "<svg" in page.text
    page = page_of(ada, "group=prefix&store=far&bucket=photos&prefix=2025/")
    assert "prefix=2025%2Fa%2F&amp;group=prefix" in page.text


@pytest.mark.parametrize("query", ["", "older-than=1d&younger-than=45d&", "without=folder&", "prefix=2025/&"])
def test_every_group_leads_to_exactly_its_uploads(ada: Client, some_uploads: InventoryBucket, query: str) -> None:
    for number, key in enumerate(("file", "2025/file", "2025/a/b/file", "other")):
        add(some_uploads, key, days=number * 50)
    InventoryUpload.objects.filter(key__contains="file").update(initiator="cron & co")
    for by in ("store", "bucket", "initiator", "age", "prefix", "prefix&depth=2"):
        asked = f"{query}group={by}"
        found = ada.get(f"/inventory/?{asked}", headers={"accept": "application/json"}).json()
        assert sum(each["uploads"] for each in found["groups"]) == found["totals"]["uploads"]
        links = page_of(ada, asked).find("td", css="text-num", data_label="Uploads")
        assert len(links) == len(found["groups"])
        for each in found["groups"]:
            counted = ada.get(f"/inventory/?{each['query']}", headers={"accept": "application/json"}).json()
            assert counted["totals"]["uploads"] == len(counted["uploads"]) == each["uploads"], (asked, each)


def test_groups_without_a_name_have_links_and_chips(ada: Client, some_uploads: InventoryBucket) -> None:
    add(some_uploads, "file")
    page = page_of(ada, "group=prefix")
    assert 'href="/inventory/?without=folder"' in page.text
    page = page_of(ada, "without=folder&without=initiator&store=far")
    assert "file" in page.text
    assert "alive.bin" not in page.text
    assert "Without a folder below the prefix" in page.words
    assert "/inventory/?without=initiator&amp;store=far" in page.text
    assert '<input type="hidden" name="without" value="folder">' in page.text, "the form keeps it"


def test_groups_that_follow_are_counted_and_linked(
    ada: Client, some_uploads: InventoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[groups.__module__], "MAX_GROUPS", 1)
    page = page_of(ada, "group=prefix")
    assert "1 more group: 2 uploads (2.00 GiB)." in page.words
    assert page.href("Next groups") == "/inventory/?group=prefix&groups-from=1"
    found = ada.get("/inventory/?group=prefix", headers={"accept": "application/json"}).json()
    assert (found["groups_truncated"], found["groups_next"]) == (True, 1)
    assert (found["groups_rest"]["groups"], found["groups_rest"]["uploads"]) == (1, 2)
    page = page_of(ada, "group=prefix&groups-from=1")
    assert "more group" not in page.words
    assert page.href("Largest groups") == "/inventory/?group=prefix"


def test_groups_by_age_have_a_chart_by_verdict(ada: Client, some_uploads: InventoryBucket) -> None:
    page = page_of(ada, "group=age")
    assert "Bytes by age and verdict" in page.words
    assert "30 to 90 days, dead: 5.00 GiB" in page.text
    (link,) = [each for each in page.find("a") if each.text == "30 to 90 days"]
    assert link.get("href") == "/inventory/?older-than=30d&younger-than=90d"
    assert keys_in(page_of(ada, link.get("href").partition("?")[2])) == ["2025/a/large.bin"]


def test_the_chart_by_store_comes_from_the_sums(ada: Client, some_uploads: InventoryBucket) -> None:
    assert "far, dead: 5.00 GiB" in page_of(ada).text
    assert "photos, dead: 5.00 GiB" in page_of(ada, "store=far").text
    assert "far, dead" not in page_of(ada, "q=large").text


def keys_in(page: Page) -> list[str]:
    return [each.text for each in page.find("a", css="inventory-key")]


def test_pages_follow_each_other(ada: Client, some_uploads: InventoryBucket) -> None:
    first = page_of(ada, "page-size=3")
    (link,) = first.find("a", id="next-page")
    assert "small.bin" in first.text
    assert not first.find("a", id="previous-page")
    second = page_of(ada, link.get("href").partition("?")[2])
    assert "unchecked.bin" in second.text
    assert "small.bin" not in second.text
    assert not second.find("a", id="next-page")
    (link,) = second.find("a", id="previous-page")
    back = page_of(ada, link.get("href").partition("?")[2])
    assert keys_in(back) == keys_in(first)


@pytest.mark.parametrize(
    "query", ["verdict=old", "older-than=soon", "min-bytes=-1", "sort=size", "cursor=%00", "group=x"]
)
def test_a_bad_query_says_what_is_allowed(ada: Client, query: str) -> None:
    assert ada.get(f"/inventory/?{query}").status_code == 400


def test_a_bucket_that_cannot_be_listed_is_named(ada: Client, some_uploads: InventoryBucket) -> None:
    InventoryBucket.objects.create(store=some_uploads.store, name="secret", error_code="AccessDenied")
    assert "far/secret" in page_of(ada).words
    assert "far/secret not available" in Page(ada.get("/")).words


def test_users_see_what_they_may_list(some_uploads: InventoryBucket) -> None:
    user = User.objects.create(username="below")
    grant(user, Role.VIEWER, store=some_uploads.store, bucket="photos", prefix="2026/")
    client = Client()
    client.force_login(user)
    page = page_of(client)
    assert "alive.bin" in page.text
    assert "large.bin" not in page.text
    overview = Page(client.get("/"))
    assert "2.00 GiB bytes known of 50% of the uploads" in overview.words
    for of_others in ("5.00 GiB", "8.00 GiB", "1 upload, ", "since last week"):
        assert of_others not in overview.words, of_others


def test_decisions_below_a_prefix_are_those_below_it(some_uploads: InventoryBucket) -> None:
    for number in range(2):
        add(some_uploads, f"2026/dead-{number}", size=3 * GIB)
    user = User.objects.create(username="below")
    grant(user, Role.VIEWER, store=some_uploads.store, bucket="photos", prefix="2026/")
    client = Client()
    client.force_login(user)
    page = Page(client.get("/"))
    assert "dead 2 uploads, 6.00 GiB" in page.words
    (link,) = page.find("a", id="look-dead")
    found = page_of(client, link.get("href").partition("?")[2])
    assert sorted(keys_in(found)) == ["2026/dead-0", "2026/dead-1"]
    assert "6.00 GiB" in found.words


def test_the_number_of_statements_does_not_depend_on_the_rows(ada: Client, some_uploads: InventoryBucket) -> None:
    ada.get("/inventory/")
    with CaptureQueriesContext(connection) as few:
        ada.get("/inventory/?group=bucket")
    for number in range(20):
        add(some_uploads, f"more/{number}")
    with CaptureQueriesContext(connection) as many:
        ada.get("/inventory/?group=bucket")
    assert len(many) <= len(few) <= 45


def test_a_row_says_why_it_has_its_verdict(ada: Client, some_uploads: InventoryBucket) -> None:
    row = InventoryUpload.objects.filter(verdict="dead")
    row.update(last_part_at=F("active_at"), checked_at=timezone.now())
    page = page_of(ada, "verdict=dead")
    assert "The last part arrived 40 d ago; 7 d without a part make an upload dead." in page.words
    assert all(
        each.has("title") for each in page.find("summary") if each.parent and "inventory-why" in each.parent.classes
    )


def test_uploads_without_parts_are_counted_apart(ada: Client, some_uploads: InventoryBucket) -> None:
    add(some_uploads, "empty", size=0)
    InventoryUpload.objects.filter(key="empty").update(parts=0)
    InventorySum.objects.filter(verdict="dead").update(empty=1)
    assert "1 of them has no parts" in page_of(ada).words
    assert "1 of them has no parts" in page_of(ada, "q=e").words
    page = page_of(ada, "verdict=empty")
    assert keys_in(page) == ["empty"]
    assert "of them" not in page.words


def test_a_page_that_ended_early_says_so(
    ada: Client, some_uploads: InventoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploads.selectors.inventory.plan.FEW", 1)
    monkeypatch.setattr("uploads.selectors.inventory.plan.SEARCHED", 1)
    monkeypatch.setattr("uploads.selectors.inventory.page.CANDIDATES", 2)
    page = page_of(ada, "q=unchecked")
    assert "few of them match" in page.words
    assert page.find("a", id="next-page")


def test_the_state_of_scans_is_polled_alone(ada: Client, some_uploads: InventoryBucket) -> None:
    scan = Scan.objects.create(store=some_uploads.store, origin="page", buckets_listed_at=timezone.now())
    BucketScan.objects.create(scan=scan, bucket=some_uploads, listed=7, state="running")
    assert "7 uploads listed" in page_of(ada).words
    with CaptureQueriesContext(connection) as queries:
        state = Page(ada.get("/inventory/?store=far&verdict=dead", headers={"HX-Request": "true"}))
    assert "7 uploads listed" in state.words
    assert not [each for each in queries if "inventoryupload" in each["sql"]]
    Scan.objects.update(finished_at=timezone.now())
    assert "Last scans: far" in page_of(ada).words


# --- Planning a sweep -------------------------------------------------------------------------------------------------


def test_a_sweep_of_selected_uploads_has_these_only(ada: Client, some_uploads: InventoryBucket) -> None:
    page = page_of(ada)
    ids = [each.get("value") for each in page.find("input", name="id")]
    assert len(ids) == 4
    dead, stalled = (str(InventoryUpload.objects.get(verdict=each).pk) for each in ("dead", "stalled"))
    form = Page(ada.post("/sweeps/new/", {"ask": "selected", "id": [dead, stalled]}))
    assert not Sweep.objects.exists()
    assert "2 uploads are selected" in form.words
    checked = [each.get("value") for each in form.find("input", name="verdict") if each.has("checked")]
    assert checked == ["dead", "stalled"]
    body = {"id": [each.get("value") for each in form.find("input", name="id")], "verdict": checked}
    assert ada.post("/sweeps/new/", body).status_code == 303
    assert Sweep.objects.get().rule == {"ids": [int(dead), int(stalled)], "verdicts": ["dead", "stalled"]}
    assert ada.post("/sweeps/new/", {"ask": "selected"}).status_code == 400
    assert Sweep.objects.count() == 1


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("verdict=dead&verdict=alive&store=far&sort=age", "store=far&verdict=dead"),
        ("verdict=empty", "max-parts=0"),
        ("older-than=7d&q=a", "older-than=7d&q=a"),
    ],
)
def test_a_sweep_of_the_whole_filter_starts_from_its_form(
    ada: Client, some_uploads: InventoryBucket, query: str, asked: str
) -> None:
    add(some_uploads, "a", size=0)
    InventoryUpload.objects.filter(key="a").update(parts=0)
    page = page_of(ada, query)
    (link,) = [each for each in page.find("a") if each.text == "Plan a sweep of this filter…"]
    assert link.get("href") == f"/sweeps/new/?{asked}"
    assert ada.get(link.get("href")).status_code == 200


def test_a_viewer_plans_no_sweep(some_uploads: InventoryBucket) -> None:
    viewer = User.objects.create(username="viewer")
    grant(viewer, Role.VIEWER)
    client = Client()
    client.force_login(viewer)
    page = page_of(client)
    assert not page.find("input", name="id")
    assert "Plan a sweep" not in page.words
    assert "Scan now" not in page.words


# --- Saved views ------------------------------------------------------------------------------------------------------


def test_a_view_is_saved_renamed_and_deleted(ada: Client, some_uploads: InventoryBucket) -> None:
    values = {"name": "the dead", "query": "verdict=dead&sort=-bytes", "shared": "on"}
    response = ada.post("/inventory/views/", values)
    assert (response.status_code, response["Location"]) == (303, "/inventory/?verdict=dead&sort=-bytes")
    view = InventoryView.objects.get()
    assert view.is_shared
    assert "/inventory/?verdict=dead&amp;sort=-bytes" in page_of(ada).text
    ada.post(f"/inventory/views/{view.pk}/rename/", {"name": "old ones"})
    assert InventoryView.objects.get().name == "old ones"
    ada.post(f"/inventory/views/{view.pk}/delete/")
    assert not InventoryView.objects.exists()


@pytest.mark.parametrize(
    "values", [{"name": ""}, {"name": "x" * 101}, {"name": "a\x07b"}, {"query": "a b"}, {"query": "q=" + "x" * 4000}]
)
def test_a_view_with_bad_values_is_not_saved(ada: Client, values: dict[str, str]) -> None:
    response = ada.post("/inventory/views/", {"name": "a", "query": ""} | values)
    assert response.status_code == 400
    assert not InventoryView.objects.exists()


def test_viewers_share_no_views_and_change_no_others(some_uploads: InventoryBucket) -> None:
    viewer, other = User.objects.create(username="viewer"), User.objects.create(username="other")
    grant(viewer, Role.VIEWER)
    mine = InventoryView.objects.create(user=other, name="mine", query="q=a")
    shared = InventoryView.objects.create(user=other, name="everybody's", query="q=b", is_shared=True)
    client = Client()
    client.force_login(viewer)
    client.post("/inventory/views/", {"name": "a", "query": "", "shared": "on"})
    assert not InventoryView.objects.get(user=viewer).is_shared
    page = page_of(client)
    assert "?q=b" in page.text
    assert "?q=a" not in page.text
    for view in (mine, shared):
        assert client.post(f"/inventory/views/{view.pk}/delete/").status_code == 404
    assert InventoryView.objects.count() == 3


# --- The overview -----------------------------------------------------------------------------------------------------


def test_the_overview_starts_with_hidden_bytes(ada: Client, some_uploads: InventoryBucket) -> None:
    page = Page(ada.get("/"))
    assert page.words.index("Hidden bytes") < page.words.index("Transfers in progress")
    assert "8.00 GiB" in page.words
    assert "bytes known of 75% of the uploads" in page.words
    (link,) = page.find("a", id="look-dead")
    dead = ada.get(link.get("href")).content.decode()
    assert "large.bin" in dead
    assert "alive.bin" not in dead


def test_the_overview_says_what_grew_since_last_week(ada: Client, some_uploads: InventoryBucket) -> None:
    today = timezone.now().date()
    other = InventoryBucket.objects.create(store=some_uploads.store, name="other", listed_at=timezone.now())
    for bucket, before, now in ((some_uploads, 1, 8), (other, 2, 1)):
        for ago, size in ((7, before), (0, now)):
            day = today - timedelta(days=ago)
            InventoryDay.objects.create(bucket=bucket, day=day, uploads=size, checked=size, bytes=size * GIB)
    page = Page(ada.get("/"))
    assert "+6.00 GiB uploads: +6" in page.words
    (link,) = [each for each in page.find("a") if each.text == "far / photos"]
    assert link.get("href") == "/inventory/?store=far&bucket=photos"
    assert "far / other" not in page.words


def test_the_overview_names_what_waits_for_somebody(ada: Client, some_uploads: InventoryBucket) -> None:
    author = User.objects.create(username="author")
    sweep = Sweep.objects.create(
        rule={"verdicts": ["dead"]}, author=author, state="planned", uploads=3, known=3, bytes=GIB
    )
    Sweep.objects.create(rule={"verdicts": ["dead"]}, author=author, state="done", uploads=77)
    rule = AlertRule.objects.create(name="too many", what="bytes", threshold=1)
    Alert.objects.create(rule=rule, value=2 * GIB, started_at=timezone.now())
    page = Page(ada.get("/"))
    assert page.find("a", href=f"/sweeps/{sweep.pk}/")
    assert "sweep to approve 3 uploads, 1.00 GiB verdict dead" in page.words
    assert "77" not in page.words
    assert "alert too many 2.00 GiB" in page.words
    viewer, client = User.objects.create(username="viewer"), Client()
    grant(viewer, Role.VIEWER)
    client.force_login(viewer)
    words = Page(client.get("/")).words
    assert "sweep to approve" not in words
    assert "too many" not in words


def test_polling_the_overview_does_not_read_the_sums(ada: Client, some_uploads: InventoryBucket) -> None:
    with CaptureQueriesContext(connection) as queries:
        ada.get("/", headers={"HX-Request": "true"})
    assert not [each for each in queries if "inventory" in each["sql"]]


def test_a_store_that_was_never_scanned_is_named(ada: Client, far_store: Store) -> None:
    assert "never scanned" in Page(ada.get("/")).words
