"""Signing in and out."""

from __future__ import annotations

import os
from base64 import b32decode
from pathlib import Path

from django_otp.oath import totp
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.watching import overflow
from tests.system.stack import Login, Stack

CAREFUL = Login("careful", "a passphrase and an app")


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
    site.submit("Sign out")
    site.page.goto("/transfers/")
    expect(site.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_second_factor_is_set_up_and_used_by_keyboard(open_site: OpenSite, stack: Stack) -> None:
    stack.run_python(
        "from django.contrib.auth.models import User\n"
        f"User.objects.create_superuser({CAREFUL.username!r}, password={CAREFUL.password!r})"
    )
    site = open_site(storage_state=None, viewport={"width": 390, "height": 844}, color_scheme="dark")
    page = site.page
    site.watcher.expect("status of 400")
    site.sign_in(CAREFUL)
    page.get_by_label("Signed in as careful").click()
    site.follow("Your account")
    _look(page, "account")
    site.follow("Change the password")
    _look(page, "password")
    page.go_back()
    site.follow("Set up an app for codes")
    page.get_by_role("button", name="Set up an app for codes").press("Enter")
    expect(page.get_by_label("QR code with the secret").locator("svg")).to_be_visible()
    _look(page, "enrolment")
    secret = b32decode(page.locator("main code").inner_text().replace(" ", ""))
    page.get_by_label("Code of the app").fill("000000")
    page.keyboard.press("Enter")
    expect(page.locator(".field-error")).to_contain_text("This code is wrong")
    _look(page, "wrong-code")
    page.wait_for_timeout(1100)  # The pause after a wrong code.
    page.get_by_label("Code of the app").fill(f"{totp(secret, t0=30):06}")
    page.keyboard.press("Enter")
    expect(page.locator(".recovery-codes")).to_be_visible()
    _look(page, "recovery-codes")
    site.follow("I have kept them")
    site.follow(page.get_by_role("link", name="Change", exact=True))
    _look(page, "second-factor")
    page.get_by_label("Signed in as careful").click()
    site.submit("Sign out everywhere")
    site.fill_login(CAREFUL)
    expect(page.get_by_role("heading", name="Enter a code")).to_be_visible()
    _look(page, "code")
    page.keyboard.type(f"{totp(secret):06}")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Signed in as careful")).to_be_visible()


def _look(page: Page, name: str) -> None:
    assert overflow(page) == 0
    if "LOOK" in os.environ:
        page.screenshot(path=Path(os.environ["LOOK"]) / f"{name}.png", full_page=True)
