"""The trend and an alert rule in the browser; the test of the rule arrives at a webhook on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.site import Site
from tests.browser.watching import overflow
from tests.services.alerts.receivers import Webhook, webhook
from tests.system.stack import Stack, wait_for


@pytest.fixture(scope="module")
def bucket(stack: Stack) -> str:
    name = stack.new_bucket()
    stack.run_python(f"from tests.browser.trend_rows import create\ncreate({stack.store!r}, {name!r})")
    return name


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


def test_trend_by_keyboard_and_on_a_phone(site: Site, bucket: str) -> None:
    page = site.page
    site.goto("/inventory/")
    site.follow("Trend")
    page.locator("#bucket").fill(bucket)
    page.locator("#days").focus()
    page.keyboard.press("ArrowDown")
    page.locator("#bucket").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert f"bucket={bucket}&days=90" in page.url
    expect(page.get_by_text("+7.00 GiB", exact=True).first).to_be_visible()
    expect(page.get_by_text("they are gaps, not zero")).to_be_visible()
    assert page.locator("figure.chart polyline.tone-all").count() == 4, "two lines, each in two pieces"
    page.locator("figure.chart summary").first.click()
    expect(page.locator("figure.chart tbody tr").first).to_contain_text("20.0 GiB")
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert not overflow(page), width


def test_rule_is_corrected_saved_and_tested(site: Site, hook: Webhook) -> None:
    page = site.page
    site.goto("/alerts/")
    site.follow(page.get_by_role("link", name="New rule").first)
    page.get_by_label("Name").fill("by the browser")
    page.get_by_label("Alert above").fill("many")
    page.get_by_label("Webhook", exact=True).fill(hook.url)
    page.get_by_label("Secret of the webhook").fill("a secret")
    site.watcher.expect("status of 400")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Enter a number of at least 0, such as 10 or 1.5 TiB.")).to_be_visible()
    page.get_by_label("Alert above").fill("1 TiB")
    assert hook.url not in page.content()
    page.get_by_label("Webhook", exact=True).fill(hook.url)
    page.get_by_label("Secret of the webhook").fill("a secret")
    page.get_by_role("button", name="Save").click()
    row = page.locator("tr", has=page.get_by_role("link", name="by the browser"))
    expect(row).to_contain_text("Hidden bytes above 1.00 TiB")
    page.set_viewport_size({"width": 390, "height": 900})
    assert not overflow(page)
    site.submit(row.get_by_role("button", name="Send a test"))
    wait_for("the test at the webhook", lambda: hook.received)
    headers, body = hook.received[0]
    assert (json.loads(body)["event"], headers["Partway-Signature"][:7]) == ("test", "sha256=")

    def is_shown() -> bool:
        page.reload()
        return "done status 200" in " ".join(page.locator("tbody").last.inner_text().split())

    wait_for("the outcome on the page", is_shown)
    assert "a secret" not in page.content()
    assert hook.url not in page.content()
    site.follow(row.get_by_role("link", name="by the browser"))
    expect(page.get_by_text("Stored: http://127.0.0.1:")).to_be_visible()
    assert hook.url not in page.content()
    assert not overflow(page)
