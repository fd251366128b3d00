"""Store checks in a browser: live with JavaScript, with a refresh link without it; overrides are reset."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.browser.watching import overflow, widest
from tests.system.direct_store import DirectStore
from tests.system.stack import Stack

WIDTHS = (390, 768, 1440)


@pytest.fixture
def bucket(stack: Stack, on_swift: DirectStore) -> Iterator[str]:
    """A bucket to check in. The overrides are removed afterwards, because other tests use this store, too."""
    yield on_swift.new_bucket()
    with stack.signed_in() as operator:
        operator.post(f"/stores/{on_swift.name}/check/reset/")


def request_check(site: Site, store: DirectStore, bucket: str) -> None:
    site.page.goto(f"/stores/{store.name}/")
    site.follow("Check this store…")
    site.page.get_by_label("Bucket", exact=True).fill(bucket)
    site.page.get_by_label("The check writes about 20 uploads").check()
    site.page.get_by_role("button", name="Check", exact=True).click()
    site.page.wait_for_url("**/check/*-*/")


def open_all(page: Page) -> None:
    for section in page.locator("details:not([open]) > summary").all():
        if section.is_visible():
            section.click()


def test_check_fills_its_card_and_is_reset(site: Site, on_swift: DirectStore, bucket: str) -> None:
    request_check(site, on_swift, bucket)
    page = site.page
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(page.get_by_role("heading", name="Overrides of the profile of OpenStack Swift")).to_be_visible()
    expect(page.locator("#check .check-head")).to_contain_text("46 ok")
    open_all(page)
    expect(page.get_by_text("Uploads are listed in the order of key and upload id")).to_be_visible()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        assert overflow(page) == 0, (width, widest(page))
    page.get_by_role("button", name="Reset to the profile").click()
    expect(page.get_by_text("The profile of its provider applies again")).to_be_visible()
    expect(page.get_by_role("button", name="Reset to the profile")).to_have_count(0)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 844})
        assert overflow(page) == 0, (width, widest(page))
    page.goto(f"/stores/{on_swift.name}/")
    expect(page.get_by_role("region", name="Check of this store")).to_contain_text("9 differs")


RUNNING = """
from uploads.models import Store, StoreCheck
one = {{"name": "reach", "group": "reach", "verdict": "ok", "observed": {{"code": "EndpointResponds"}}}}
store = Store.objects.get(name={store!r})
check = StoreCheck.objects.create(store=store, bucket={bucket!r}, state="running", total=2, results=[one])
print(check.pk)
"""
FINISHED = """
from uploads.models import StoreCheck
two = {{"name": "tls", "group": "reach", "verdict": "ok", "observed": {{"code": "ConnectionEncrypted"}}}}
check = StoreCheck.objects.get(pk={check!r})
check.results.append(two)
check.state = {state!r}
check.save()
"""


def test_open_section_stays_open_while_the_card_fills(
    site: Site, stack: Stack, on_swift: DirectStore, bucket: str
) -> None:
    check = stack.run_python(RUNNING.format(store=on_swift.name, bucket=bucket)).strip()
    page = site.page
    page.goto(f"/stores/{on_swift.name}/check/{check}/")
    section = page.locator("#section-reach")
    expect(section.get_by_text("The endpoint responds.")).to_be_hidden()
    section.locator("summary").click()
    expect(section.get_by_text("The endpoint responds.")).to_be_visible()
    # After another poll, and after the last one.
    for number, state in enumerate(("running", "done"), start=1):
        stack.run_python(FINISHED.format(check=check, state=state))
        expect(section.locator(".check")).to_have_count(number + 1)
        expect(section.get_by_text("the certificate was verified.").last).to_be_visible()
        expect(section.locator("summary")).to_be_focused()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    # A closed section stays closed.
    section.locator("summary").click()
    expect(section.get_by_text("The endpoint responds.")).to_be_hidden()


def test_without_consent_nothing_is_requested(site: Site, on_swift: DirectStore, bucket: str) -> None:
    page = site.page
    page.goto(f"/stores/{on_swift.name}/check/?bucket={bucket}")
    page.get_by_role("button", name="Check", exact=True).click()
    # The browser itself requires the checkbox.
    assert page.get_by_label("The check writes about 20 uploads").evaluate("each => each.validity.valueMissing")
    assert page.url.endswith(f"?bucket={bucket}")


def test_without_javascript_there_is_a_refresh_link(open_site: OpenSite, on_swift: DirectStore, bucket: str) -> None:
    site = open_site(java_script_enabled=False)
    request_check(site, on_swift, bucket)
    page = site.page
    while (refresh := page.get_by_role("link", name="Refresh")).count():
        page.wait_for_timeout(200)
        with page.expect_navigation():
            refresh.click()
    expect(page.get_by_role("heading", name="Results")).to_be_visible()
    expect(page.locator("#check .check-head")).to_contain_text("46 ok")
