"""Signing in and out."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import OpenSite
from tests.system.stack import Login, Stack


def test_login_rejects_a_wrong_password_and_opens_the_requested_page(open_site: OpenSite) -> None:
    site = open_site(storage_state=None)
    site.page.goto("/audit/?actor=admin")
    site.page.get_by_label("Username").fill("admin")
    site.page.get_by_label("Password").fill("wrong")
    site.page.keyboard.press("Enter")
    expect(site.page.get_by_role("alert")).to_contain_text("correct username and password")
    site.page.get_by_label("Password").fill(Stack.admin.password)
    site.page.keyboard.press("Enter")
    expect(site.page.get_by_role("heading", name="Audit")).to_be_visible()
    assert "actor=admin" in site.page.url


def test_signing_out_ends_the_session(open_site: OpenSite) -> None:
    site = open_site(storage_state=None)
    site.sign_in(Login("admin", Stack.admin.password))
    site.page.get_by_label("Signed in as admin").click()
    site.page.get_by_role("button", name="Sign out").click()
    site.page.goto("/transfers/")
    expect(site.page.get_by_role("heading", name="Sign in")).to_be_visible()
