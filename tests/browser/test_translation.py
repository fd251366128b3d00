"""Every text of every page is translated: the site in a pseudo language shows no plain English."""

from __future__ import annotations

import re
from base64 import b32decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from django.urls import Resolver404, resolve
from django_otp.oath import totp
from playwright.sync_api import Browser, Page

from local import installation
from tests.browser import people_rows, pseudo, sweep_rows
from tests.browser.conftest import launched
from tests.browser.files import write_file
from tests.browser.site import Site
from tests.browser.watching import Watcher
from tests.dashboard.test_access import EVERY
from tests.system import stack as stacks
from tests.system.stack import MIB, Login, Stack, wait_for
from uploads.objectstore.providers import PROVIDERS

NAMES = {"Partway", "UTC", "ETag", "OSS", "Redis", "AWS Signature Version 4", "AWS", "NVME", "STANDARD"}
"""Names that are the same in every language."""
MACHINE_READABLE = re.compile(r"https?://\S+|\b\w+:[0-9a-f]{16}\b")
"""URLs and digests."""

FOR_PROGRAMS = {"files", "file", "files-together", "healthz", "metrics", "new-transfer-known", "transfer-received"}
"""Names of URLs whose responses are for tus clients, scripts and monitoring."""
AFTER_POST = {
    "change-alert-rule",
    "enable-user",
    "group-members",
    "new-link",
    "remove-administrator",
    "remove-grant",
    "reset-second-factor",
    "revoke-link",
    "sign-out-user",
    "unlock-user",
    "user-email",
    "user-groups",
    "cancel-scan",
    "delete-inventory-view",
    "inventory-views",
    "rename-inventory-view",
    "logout",
    "dismiss-first-steps",
    "change-repeating-sweep",
    "sweep-approve",
    "sweep-cancel",
    "operation-pause",
    "operations-steps",
    "operation-resume",
    "operation-stop",
    "sweep-pause",
    "sweep-resume",
    "sweep-run",
    "new-transfer-check",
    "reset-found",
    "sso-callback",
    "sso-start",
    "sign-out-everywhere",
    "transfer-cancel",
    "transfer-pause",
    "transfer-resume",
    "transfer-retry",
    "transfer-verify",
    "transfer-dismiss-orphan",
    "list-columns",
    "transfers-steps",
}
"""Names of URLs that have no page of their own: they redirect, or the page shows the response."""

WHOLE = re.compile(r"⟦[^⟦⟧]*⟧")
WORD = re.compile(r"(?<![\w-])[A-Za-z]{3,}(?![\w-])")

TEXTS = """() => {
  const DATA = "code, pre, script, style, template, noscript, .key, .mono, [translate=no]";
  const ATTRIBUTES = ["title", "aria-label", "placeholder", "alt", "data-label"];
  const isData = (element) => element.closest(DATA) !== null;
  const isShown = (element) => element.checkVisibility() || element.closest("option, title, .visually-hidden, details");
  const found = [["title", document.title]];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement, textContent } = walker.currentNode;
    if (textContent.trim() && !isData(parentElement) && isShown(parentElement)) found.push(["text", textContent]);
  }
  for (const element of document.body.querySelectorAll("*")) {
    if (isData(element)) continue;
    for (const name of ATTRIBUTES) if (element.getAttribute(name)) found.push([name, element.getAttribute(name)]);
  }
  return found;
}"""
"""The texts of a page and of the attributes that people read, without data."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Partway that has the pseudo language."""
    locale = tmp_path_factory.mktemp("locale")
    pseudo.write_catalogs(locale)
    plain = installation.process_environment

    def with_pseudo_settings(*arguments: Any) -> dict[str, str]:
        ours = {"DJANGO_SETTINGS_MODULE": "tests.browser.pseudo_settings", "PSEUDO_LOCALE": str(locale)}
        return plain(*arguments) | ours

    with (
        mock.patch.object(installation, "process_environment", with_pseudo_settings),
        stacks.running(tmp_path_factory.mktemp("pseudo-stack")) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def pseudo_browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pseudo_site(pseudo_browser: Browser, stack: Stack) -> Iterator[Site]:
    """The site in the pseudo language, signed in."""
    context = pseudo_browser.new_context(
        base_url=stack.url, locale=pseudo.LANGUAGE, viewport={"width": 1280, "height": 900}
    )
    site = Site(context.new_page(), stack, Watcher(context))
    site.page.goto("/login/")
    site.page.locator("[name=username]").fill(stack.admin.username)
    site.page.locator("[name=password]").fill(stack.admin.password)
    with site.page.expect_navigation():
        site.page.keyboard.press("Enter")
    yield site
    context.close()


@dataclass(frozen=True, slots=True)
class Content:
    """What the pages show: objects with all, some and no parts, operations and transfers that are done and failed."""

    pages: list[str]
    data: set[str]


@pytest.fixture(scope="module")
def content(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Content:
    folder = tmp_path_factory.mktemp("content")
    bucket, store = stack.new_bucket(), stack.store
    uploads = f"/stores/{store}/{bucket}/uploads/"
    gap = stack.create_upload(bucket, "with-a-gap", {1: 2000, 2: 2000, 7: 10}, folder / "part")
    empty = stack.client.create_multipart_upload(bucket, "no-parts")
    replaced = stack.create_upload(bucket, "replaced", {1: 10}, folder / "part")
    stack.s3.put_object(Bucket=bucket, Key="replaced", Body=b"before")
    create = f"from tests.browser.failing_rows import create\nprint(*create({store!r}, {bucket!r}))"
    failed = stack.run_python(create).split()
    create = f"from tests.browser.sweep_rows import create\nprint(*create({store!r}, {bucket!r}))"
    sweeps = stack.run_python(create).split()
    with stack.signed_in() as operator:
        doomed = {"key": "doomed", "upload-id": stack.client.create_multipart_upload(bucket, "doomed")}
        aborted = operator.post(f"{uploads}abort/", doomed).json()["url"]
        named = {"key": "replaced", "upload-id": replaced}
        seen = operator.get_json(f"{uploads}complete/?key=replaced&upload-id={replaced}")
        consent = {"parts-seen": seen["PartsSeen"], "replace": "on", "replace-etag": seen["Object"]["ETag"]}
        completed = operator.post(f"{uploads}complete/", named | consent).json()["url"]
        sent = operator.send_file(store, bucket, "an-object", b"some bytes")
        operator.wait_for_state(sent, "done")
        rule = {"name": "a-rule", "what": "bytes", "threshold": "5 TiB", "store": store, "emails": "a@example.com"}
        operator.post("/alerts/new/", rule)
        rule_id = operator.get_json("/alerts/")["rules"][0]["id"]
        scanned = operator.post("/inventory/scans/", {"store": store}).json()["url"]
        checked = operator.post(f"/stores/{store}/check/", {"bucket": bucket, "consent": "on"}).json()["url"]
        wait_for("the store check", lambda: operator.get_json(checked)["state"] == "done")
    pages = [
        "/",
        "/stores/",
        "/stores/new/",
        f"/stores/{store}/",
        f"/stores/{store}/edit/",
        f"/stores/{store}/disable/",
        "/stores/disabled-store/enable/",
        f"/stores/{store}/open/?bucket=-",
        f"/stores/{store}/check/",
        checked,
        f"/stores/{store}/inventory/",
        f"/stores/{store}/{bucket}/lifecycle/",
        "/lifecycle/",
        f"/stores/{store}/prices/",
        "/alerts/",
        "/alerts/new/",
        f"/alerts/{rule_id}/",
        "/inventory/",
        *(f"/inventory/?group={by}" for by in ("store", "bucket", "prefix", "initiator", "age")),
        "/inventory/?q=nowhere",
        "/inventory/trend/",
        "/inventory/trend/?bucket=nowhere&days=365",
        "/inventory/?verdict=none",
        "/inventory/scans/",
        scanned,
        "/sweeps/",
        "/sweeps/new/",
        "/sweeps/new/?verdict=dead&q=nowhere&older-than=7d",
        "/sweeps/repeating/",
        *sweeps,
        "/stores/gone/",
        "/stores/gone/bucket/uploads/",
        "/stores/frozen/",
        "/stores/frozen/bucket/uploads/",
        "/stores/frozen/state/",
        uploads,
        f"{uploads}?delimiter=/",
        f"{uploads}?prefix=none",
        f"{uploads}?max-uploads=0",
        f"{uploads}?key-marker=no-parts",
        f"{uploads}compare/?key=with-a-gap",
        f"{uploads}compare/?key=nowhere",
        f"{uploads}detail/?key=with-a-gap&upload-id={gap}",
        f"{uploads}detail/?key=no-parts&upload-id={empty}",
        f"{uploads}detail/?key=nowhere&upload-id={gap}",
        f"{uploads}abort/?key=with-a-gap&upload-id={gap}",
        f"{uploads}abort/?upload=with-a-gap/{gap}&upload=no-parts/{empty}",
        f"{uploads}complete/?key=with-a-gap&upload-id={gap}",
        f"{uploads}complete/?key=no-parts&upload-id={empty}",
        aborted,
        completed,
        *failed,
        "/transfers/",
        "/transfers/?state=failed",
        "/operations/?state=failed",
        "/checks/",
        "/transfers/new/",
        f"/transfers/new/buckets/?store={store}",
        f"/transfers/new/plan/?store={store}&size=100000000",
        f"/transfers/new/plan/?store={store}&size=-1",
        f"/transfers/new/existing/?store={store}&bucket={bucket}&key=an-object",
        f"/transfers/{sent}/",
        "/audit/",
        "/audit/?actor=nobody",
        "/search/",
        f"/search/?q={aborted}{sent}",
        "/search/?q=found-nowhere",
        *people_rows.pages(stack),
        "/invitation/?token=unknown",
        "/account/",
        "/guide/",
        "/account/password/",
        "/account/second-factor/",
        "/staging/",
        "/queue/",
        "/nowhere/",
    ]
    data = {
        *people_rows.NAMES,
        *people_rows.VALUES,
        bucket,
        store,
        stack.admin.username,
        "gone",
        "frozen",
        "disabled-store",
        "an-object",
        "a-rule",
        "a@example.com",
        *sweep_rows.NAMES,
        "cat.jpg",
        # What a store check has found, as the audit log names it.
        ", ".join(sorted(stack.kind.overrides)),
        *(provider.label for provider in PROVIDERS.values()),
    }
    return Content(pages, data)


def test_every_text_is_translated(pseudo_site: Site, content: Content) -> None:
    """Every page of the site is visited. Each text is listed once, with the first page that shows it."""
    found: dict[str, str] = {}
    # By `test_login_is_translated` and `test_second_factor_is_translated`.
    visited = {"login", "login-code"}
    pseudo_site.page.on("request", lambda request: visited.add(url_name(request.url)))
    for path in content.pages:
        pseudo_site.page.goto(path, wait_until="networkidle")
        for text in untranslated(pseudo_site.page, content.data):
            found.setdefault(text, path)
    assert not found, "\n".join(f"{path.partition('?')[0]}: {text}" for text, path in found.items())
    assert set(EVERY) - visited == FOR_PROGRAMS | AFTER_POST


def url_name(url: str) -> str:
    """The name of the site's URL; empty for static files and unknown addresses."""
    try:
        return resolve(urlsplit(url).path).url_name or ""
    except Resolver404:
        return ""


def test_login_is_translated(pseudo_browser: Browser, stack: Stack) -> None:
    context = pseudo_browser.new_context(base_url=stack.url, locale=pseudo.LANGUAGE)
    page = context.new_page()
    page.goto("/login/")
    found = untranslated(page, set())
    page.locator("[name=username]").fill("x")
    page.locator("[name=password]").fill("wrong")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    found += untranslated(page, set())
    context.close()
    assert not found, "\n".join(dict.fromkeys(found))


def test_secrets_that_are_shown_once_are_translated(pseudo_site: Site, stack: Stack) -> None:
    page, data = pseudo_site.page, {"shown-once", stack.admin.username}
    page.goto("/tokens/new/")
    page.locator("[name=name]").fill("shown-once")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    found = untranslated(page, data)
    page.goto("/users/new/")
    page.locator("[name=username]").fill("shown-once")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    found += untranslated(page, data)
    link = page.locator("#secret").inner_text()
    page.goto(link)
    found += untranslated(page, data)
    page.locator("[name=password]").fill("a")
    page.locator("[name=again]").fill("b")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    found += untranslated(page, data)
    assert not found, "\n".join(dict.fromkeys(found))


def test_second_factor_is_translated(pseudo_browser: Browser, stack: Stack) -> None:
    login = Login("two-factors", "a long passphrase")
    found: list[str] = []
    stack.run_python(
        "from django.contrib.auth.models import User\n"
        f"User.objects.create_superuser({login.username!r}, password={login.password!r})"
    )
    for _ in range(2):
        context = pseudo_browser.new_context(base_url=stack.url, locale=pseudo.LANGUAGE)
        page = context.new_page()
        page.goto("/login/")
        page.locator("[name=username]").fill(login.username)
        page.locator("[name=password]").fill(login.password)
        with page.expect_navigation():
            page.keyboard.press("Enter")
        if "/login/code/" not in page.url:
            _set_up_second_factor(page, found)
        found += untranslated(page, {login.username})
        context.close()
    assert "/login/code/" in page.url
    assert not found, "\n".join(dict.fromkeys(found))


def _set_up_second_factor(page: Page, found: list[str]) -> None:
    page.goto("/account/second-factor/")
    with page.expect_navigation():
        page.locator("main [type=submit]").click()
    found += untranslated(page, {"two-factors", "Aegis", "Google Authenticator", "1Password"})
    secret = b32decode(page.locator("main code").inner_text().replace(" ", ""))
    page.locator("[name=code]").fill(f"{totp(secret):06}")
    page.locator("main [type=submit]").click()
    page.locator(".recovery-codes").wait_for()
    found += untranslated(page, {"two-factors"})
    page.goto("/account/second-factor/")


def test_texts_of_scripts_are_translated(pseudo_site: Site, stack: Stack, content: Content, tmp_path: Path) -> None:
    page, bucket = pseudo_site.page, stack.new_bucket()
    pseudo_site.watcher.expect("status of 409")
    for name in ("taken", "sent"):
        write_file(tmp_path / name, 2 * MIB)
    stack.s3.put_object(Bucket=bucket, Key="taken", Body=b"before")
    pseudo_site.fill_form(bucket)
    pseudo_site.select_files(tmp_path / "taken", tmp_path / "sent")
    data = content.data | {bucket, "taken", "sent"}
    found = untranslated(page, data)
    page.locator("#send").click()
    pseudo_site.wait_for_file("sent", "done")
    pseudo_site.wait_for_file("taken", "confirm")
    found += untranslated(page, data)
    assert not found, "\n".join(dict.fromkeys(found))


def untranslated(page: Page, data: set[str]) -> list[str]:
    """The plain texts of a page, each with the kind of place where it is."""
    texts: list[tuple[str, str]] = page.evaluate(TEXTS)
    return [f"{kind}: {' '.join(text.split())}" for kind, text in texts if _is_plain(text, data)]


def _is_plain(text: str, data: set[str]) -> bool:
    for name in sorted(data | NAMES, key=len, reverse=True):
        text = text.replace(name, " ")
    text = MACHINE_READABLE.sub(" ", text)
    while (rest := WHOLE.sub(" ", text)) != text:
        text = rest
    return WORD.search(text) is not None
