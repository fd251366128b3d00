"""Setting up a store in a browser: defaults of the provider, a live connection test, and no secret on any page."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.site import Site
from tests.browser.watching import overflow, widest
from tests.system.stack import Stack


class Setup:
    """The form of a store."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.result = page.locator("#connection-test")

    def field(self, name: str) -> str:
        return self.page.locator(f"[name={name}]").input_value()

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.locator(f"[name={name}]").fill(value)

    def choose(self, provider: str) -> None:
        self.page.locator("[name=provider]").select_option(provider)

    def shown_default(self, name: str) -> str:
        return self.page.locator(f"[name={name}] option").first.inner_text()

    def test(self) -> None:
        self.page.get_by_role("button", name="Test").click()


@pytest.fixture
def setup(page: Page) -> Setup:
    page.goto("/stores/new/")
    return Setup(page)


def test_defaults_follow_provider_and_region(setup: Setup) -> None:
    setup.choose("oss")
    assert (setup.field("region"), setup.field("endpoint_url")) == (
        "cn-hangzhou",
        "https://oss-cn-hangzhou.aliyuncs.com",
    )
    assert setup.shown_default("addressing") == "The provider's: virtual-hosted"
    assert setup.shown_default("signature") == "The provider's: OSS V4"
    expect(setup.page.locator(".provider-profile:visible")).to_have_count(1)
    expect(setup.page.locator(".provider-profile:visible")).to_contain_text("A gap between part numbers is accepted")
    setup.fill(region="cn-shanghai")
    assert setup.field("endpoint_url") == "https://oss-cn-shanghai.aliyuncs.com"
    setup.choose("r2")
    assert setup.field("endpoint_url") == ""
    shown = setup.page.locator("[name=endpoint_url]")
    expect(shown).to_have_attribute("placeholder", "https://ACCOUNT.r2.cloudflarestorage.com")


def test_edited_fields_are_not_changed(setup: Setup) -> None:
    setup.fill(endpoint_url="https://mine.example.org", region="my-region")
    for provider in ("aws", "oss", "generic"):
        setup.choose(provider)
        assert (setup.field("endpoint_url"), setup.field("region")) == ("https://mine.example.org", "my-region")
    # Emptied fields are filled in again when they lose the focus.
    setup.choose("aws")
    setup.fill(region="", endpoint_url="")
    setup.page.locator("[name=name]").focus()
    assert (setup.field("region"), setup.field("endpoint_url")) == ("us-east-1", "https://s3.us-east-1.amazonaws.com")


def test_edit_form_shows_the_stored_values(page: Page, stack: Stack) -> None:
    page.goto(f"/stores/{stack.store}/edit/")
    setup = Setup(page)
    assert setup.field("endpoint_url") == stack.server.endpoint_url
    expect(page.locator("#moved")).to_be_hidden()
    setup.choose("aws")
    assert setup.field("endpoint_url") == stack.server.endpoint_url
    setup.fill(endpoint_url="http://elsewhere.example.org")
    expect(page.locator("#moved")).to_be_visible()
    setup.fill(endpoint_url=f"{stack.server.endpoint_url}/")
    expect(page.locator("#moved")).to_be_hidden()


def test_store_is_tested_until_it_works_and_then_added(setup: Setup, stack: Stack) -> None:
    bucket, page = stack.new_bucket(), setup.page
    setup.choose("swift")
    setup.test()
    expect(setup.result).to_contain_text("Nothing was sent to the store")
    setup.fill(name="tested-first", region="eu-x", endpoint_url=stack.server.endpoint_url, buckets=bucket)
    setup.fill(access_key=stack.server.access_key, secret_key="not the secret")
    setup.test()
    expect(setup.result).to_contain_text("Set Region to us-east-1.")
    setup.fill(region="us-east-1")
    setup.test()
    expect(setup.result).to_contain_text("SignatureDoesNotMatch")
    setup.fill(secret_key=stack.server.secret_key)
    setup.test()
    expect(setup.result).to_contain_text("The store works with these values")
    expect(setup.result).to_contain_text("Nothing was saved.")
    assert stack.query("SELECT id FROM uploads_store WHERE name = 'tested-first'") == []
    # The entered values are still there, including secrets. Enter saves, and does not test.
    page.locator("[name=secret_key]").press("Enter")
    page.wait_for_url("**/stores/tested-first/")
    expect(page.get_by_role("main")).to_contain_text(bucket)


def test_connection_test_without_javascript(open_site: OpenSite, stack: Stack) -> None:
    page = open_site(java_script_enabled=False).page
    page.goto("/stores/new/")
    setup = Setup(page)
    setup.choose("swift")
    setup.fill(name="entered-by-hand", endpoint_url=stack.server.endpoint_url)
    setup.fill(access_key=stack.server.access_key, secret_key=stack.server.secret_key)
    setup.test()
    expect(setup.result).to_contain_text("Enter secrets again before you save")
    assert setup.field("secret_key") == ""
    assert setup.field("access_key") == stack.server.access_key
    expect(page.locator(".provider-profile:visible")).to_contain_text("Parts of completed uploads can still be listed")
    setup.fill(secret_key=stack.server.secret_key)
    page.get_by_role("button", name="Add the store").click()
    page.wait_for_url("**/stores/entered-by-hand/")
    page.goto("/stores/entered-by-hand/disable/")
    page.get_by_role("button", name="Disable the store").click()
    expect(page.get_by_role("row").filter(has_text="entered-by-hand")).to_contain_text("disabled")


@pytest.mark.parametrize("width", [390, 1280])
def test_results_fit_the_window(site: Site, stack: Stack, width: int) -> None:
    page = site.page
    page.set_viewport_size({"width": width, "height": 844})
    page.goto("/stores/new/")
    setup = Setup(page)
    setup.choose("oss")
    for summary in page.locator("summary:visible").all()[1:]:
        summary.click()
    assert overflow(page) == 0, widest(page)
    setup.fill(name="narrow", endpoint_url="http://127.0.0.1:1", access_key="AK", secret_key="SK")
    setup.fill(buckets="a-bucket-with-a-long-name-that-no-line-can-break-anywhere")
    setup.test()
    expect(setup.result).to_contain_text("This is not an S3 endpoint")
    expect(setup.result).to_be_in_viewport()
    assert overflow(page) == 0, widest(page)
