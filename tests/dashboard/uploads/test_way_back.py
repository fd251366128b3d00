"""The pages of an upload lead back to the page that the operator came from, and nowhere else."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from dashboard.shared.parameters import write_upload
from dashboard.shared.way_back import safe_back
from tests.dashboard.conftest import Start
from tests.dashboard.pages import Site


@pytest.fixture
def there(site: Site) -> str:
    return f"{site.links.uploads}?prefix=a%2F&max-uploads=2&key-marker=a%2F1&idle=3600"


def test_pages_lead_back_to_the_listing_that_was_left(site: Site, start: Start, there: str) -> None:
    name = start("a/2", {1: 10})
    came_from_there = {"Referer": f"http://testserver{there}"}
    detail = site.get(site.links.detail(name), **came_from_there)
    assert detail.href(site.bucket) == there
    for step in ("Abort…", "Complete…"):
        confirmation = site.get(detail.href(step))
        assert confirmation.href(site.bucket) == there
        assert confirmation.fields["back"] == there
    kept = site.get(site.get(detail.href("Abort…")).href("Keep it"))
    assert kept.href(site.bucket) == there
    form = {"upload": write_upload(name), "back": there}
    done = site.post(site.links.abort_form, form)
    assert done.status == 303
    assert site.get(done.response["Location"]).href("To the uploads of") == there
    gone = site.get(site.links.detail(name) + "&back=" + quote(there))
    assert gone.status == 200 or gone.href("To the list of uploads") == there


def test_selection_leads_back_to_its_page(site: Site, start: Start, there: str) -> None:
    names = [start("a/2"), start("a/3")]
    fields = {"ask": "1", "upload": [*map(write_upload, names)], "back": there}
    page = site.post(site.links.abort_form, fields)
    assert page.href("Keep them") == there
    one = site.post(site.links.abort_form, fields | {"upload": write_upload(names[0])})
    assert one.href("Keep it") == there


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/",
        "//example.org/stores/",
        "/\\example.org",
        "javascript:alert(1)",
        "/stores/",
        "/logout/",
        "http://[",
        "/stores/main/other/uploads/",
        " ",
        "é",
        "x" * 5000,
    ],
)
def test_other_addresses_are_not_followed(site: Site, start: Start, address: str) -> None:
    assert safe_back(site.links, address) == ""
    name = start("key")
    page = site.get(site.links.detail(name) + "&back=" + quote(address))
    assert page.href(site.bucket) == site.links.uploads


def test_only_the_query_of_an_address_is_taken(site: Site) -> None:
    foreign = f"https://example.org{site.links.uploads}?prefix=x#fragment"
    assert safe_back(site.links, foreign) == f"{site.links.uploads}?prefix=x"


def test_marker_fields_keep_the_filter(site: Site, start: Start) -> None:
    start("a/1")
    page = site.listing("prefix=a/&max-uploads=7&key-marker=a/0")
    (key, upload_id) = (page.find("input", id=name)[0] for name in ("key-marker", "upload-id-marker"))
    assert (key.get("value"), upload_id.get("value")) == ("a/0", "")
    hidden = {each.get("name"): each.get("value") for each in page.find("input", type="hidden")}
    assert (hidden["prefix"], hidden["max-uploads"]) == ("a/", "7")


def test_upload_here_fills_in_the_place(site: Site) -> None:
    page = site.get(site.listing("prefix=a/b/").href("Upload here"))
    assert page.find("input", id="id_bucket")[0].get("value") == site.bucket
    assert page.find("input", name="prefix")[0].get("value") == "a/b/"
    (selected,) = [each for each in page.find("option") if each.has("selected") and each.text]
    assert selected.text == site.store
