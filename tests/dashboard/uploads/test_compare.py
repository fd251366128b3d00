"""The uploads of one key, side by side."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.dashboard.conftest import Start
from tests.dashboard.pages import Page, Site
from uploads.services.browse import preflight, same_key

MIB = 1024**2


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that have just arrived do not count as recent, also where the store rounds their dates up to seconds."""
    monkeypatch.setattr(preflight, "RECENT", timedelta(minutes=-1))


def advice(page: Page) -> list[str]:
    return [cell.get("data-advice") for cell in page.find("td") if cell.has("data-advice")]


@pytest.mark.usefixtures("long_ago")
def test_best_upload_of_a_key_is_to_be_completed(site: Site, start: Start, store_requests: list[str]) -> None:
    names = [start("key", {1: 10}), start("key", {1: 5 * MIB, 2: 20}), start("key", {2: 10}), start("key")]
    start("key2", {1: 5 * MIB, 2: 99})
    del store_requests[:]
    page = site.get(site.links.compare("key"))
    assert len(store_requests) == 2 + len(names), "the listing, HEAD, and ListParts of each"
    assert page.status == 200
    found = dict(zip([each.get("title") for each in page.find("a", "mono")], advice(page), strict=True))
    assert found == {
        names[0].upload_id: "abort",
        names[1].upload_id: "complete",
        names[2].upload_id: "abort",
        names[3].upload_id: "abort",
    }
    assert "4 uploads of one key" in page.words
    assert "an object of 5.00 MiB" in page.words
    assert "without the parts that are missing" in page.words


def test_recent_uploads_are_left_alone(site: Site, start: Start) -> None:
    start("key", {1: 10})
    start("key")
    assert sorted(advice(site.get(site.links.compare("key")))) == ["abort", "wait"]


def test_error_of_one_upload_is_in_its_column(site: Site, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    start("key", {1: 10})
    start("key", {1: 20})
    monkeypatch.setattr(same_key, "summarize_uploads", lambda *_: [None, None])
    page = site.get(site.links.compare("key"))
    assert page.status == 200
    assert advice(page) == ["look", "look"]
    assert page.words.count("not looked at") == 2


def test_more_uploads_than_columns_are_on_pages(site: Site, start: Start) -> None:
    for _ in range(9):
        start("key")
    page = site.get(site.links.compare("key"))
    assert len(advice(page)) == 8
    assert "The advice is only about these" in page.words
    assert len(advice(site.get(page.link("next")))) == 1


def test_key_without_uploads(site: Site) -> None:
    assert "No uploads of this key" in site.get(site.links.compare("key")).words
    assert site.get(site.links.compare_form).status == 400


def test_listing_leads_to_the_comparison(site: Site, start: Start) -> None:
    start("key")
    start("key")
    start("other")
    (link,) = {each.get("href") for each in site.listing().find("a", "same-key")}
    assert link == site.links.compare("key")
    assert "same key: 2 uploads" in site.listing().words
