"""The page of a new transfer and polling pages behind nginx that blocks, limits, changes or replaces requests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.conftest import OpenSite
from tests.browser.files import write_file
from tests.browser.line import Line
from tests.browser.relay import relayed
from tests.browser.site import Site
from tests.proxies import proxied
from tests.system.stack import MIB, Stack

KEY = "file.bin"
SIZE = 12 * MIB
Proxy = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def proxy(stack: Stack, tmp_path: Path) -> Proxy:
    """Starts nginx with these directives in front of the stack; its URL."""
    folders = iter(range(10))

    def start(directives: str, target: str = stack.url) -> AbstractContextManager[str]:
        folder = tmp_path / f"nginx-{next(folders)}"
        folder.mkdir()
        return proxied(folder, directives, target=target)

    return start


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / KEY
    write_file(path, SIZE)
    return path


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    """Too large to be sent with its creation."""
    path = tmp_path / KEY
    write_file(path, 2 * MIB)
    return path


class Sent:
    """The requests with bytes or for offsets that a page sends: method, override, size."""

    def __init__(self, page: Page) -> None:
        self.all: list[tuple[str, str, int]] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if "/files/" in request.url:
            override = request.headers.get("x-http-method-override", "")
            size = int(request.headers.get("content-length", 0))
            self.all.append((request.method, override, size))

    def methods(self) -> set[tuple[str, str]]:
        return {(method, override) for method, override, _size in self.all}


def behind(open_site: OpenSite, url: str, **options: object) -> Site:
    """The site behind a proxy. The browser complains about its responses."""
    site = open_site(base_url=url, **options)
    site.watcher.expect(r"status of \d|ERR_|Response Status Error|htmx:|csp|CSP|Content Security Policy|CORS policy")
    return site


def send(site: Site, bucket: str, file: Path) -> None:
    site.select_file(bucket, file, part_size="5 MiB")
    site.send()


def send_some(site: Site, bucket: str, file: Path) -> Line:
    """Send the file until some of it has been received. The rest takes over a minute unless the line is restored."""
    line = Line(site.page)
    line.slow_down(128 * 1024)
    send(site, bucket, file)
    site.wait_until_received(KEY, 1)
    return line


def check(stack: Stack, bucket: str, file: Path, key: str = KEY) -> None:
    content = file.read_bytes()
    assert stack.object_digest(bucket, key) == (len(content), hashlib.sha256(content).hexdigest())


def words(site: Site) -> str:
    return site.file(KEY).locator("[data-part=words]").text_content() or ""


# --- Methods ----------------------------------------------------------------------------------------------------------

BLOCKED = "if ($request_method ~ ^({methods})$) {{ return {status}; }} reset_timedout_connection on;"


@pytest.mark.parametrize("status", [403, 404, 501, 444], ids=["403", "404", "501", "reset"])
def test_blocked_patch_is_sent_as_post(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, small_file: Path, *, status: int
) -> None:
    with proxy(BLOCKED.format(methods="PATCH", status=status)) as url:
        site = behind(open_site, url)
        sent = Sent(site.page)
        send(site, bucket, small_file)
        site.wait_for_file(KEY, "done")
        check(stack, bucket, small_file)
        assert ("POST", "PATCH") in sent.methods()
        expect(site.page.locator("#proxy-ways")).to_contain_text("blocks PATCH. Files are sent with POST instead.")


def test_tab_remembers_that_patch_is_blocked(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, small_file: Path
) -> None:
    with proxy(BLOCKED.format(methods="PATCH", status=405)) as url:
        site = behind(open_site, url)
        send(site, bucket, small_file)
        site.wait_for_file(KEY, "done")
        sent = Sent(site.page)
        site.select_file(bucket, small_file, "again")
        site.send()
        site.wait_for_file("again", "done")
        assert sent.methods() == {("POST", ""), ("POST", "PATCH")}
        check(stack, bucket, small_file, "again")


def test_only_get_and_post_pass(open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path) -> None:
    """An interrupted file is resumed as well, for which the page requests its offset with HEAD."""
    with proxy(BLOCKED.format(methods="PATCH|HEAD|DELETE|PUT|OPTIONS", status=405)) as url:
        site = behind(open_site, url)
        sent = Sent(site.page)
        line = send_some(site, bucket, file)
        site.step(KEY, "pause")
        site.wait_for_file(KEY, "paused")
        site.step(KEY, "resume")
        line.restore()
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)
        assert ("POST", "HEAD") in sent.methods()
        expect(site.page.locator("#proxy-ways")).to_contain_text("blocks HEAD, PATCH.")


def test_proxy_that_blocks_the_override_too_is_reported(
    open_site: OpenSite, proxy: Proxy, bucket: str, file: Path
) -> None:
    blocks = BLOCKED.format(methods="PATCH", status=405) + "if ($http_x_http_method_override) { return 403; }"
    with proxy(blocks) as url:
        site = behind(open_site, url)
        send(site, bucket, file)
        site.wait_for_file(KEY, "failed")
        assert "The response came from a proxy, not from Partway (status 403, server nginx/" in words(site)
        with_cancel = site.file(KEY).locator("[data-step=retry]")
        expect(with_cancel).to_be_visible()


# --- The size of requests ---------------------------------------------------------------------------------------------


def test_requests_become_smaller_than_the_limit(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path
) -> None:
    with proxy("client_max_body_size 1m;") as url:
        site = behind(open_site, url)
        sent = Sent(site.page)
        send(site, bucket, file)
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)
        expect(site.page.locator("#proxy-ways")).to_contain_text("refuses requests of 2.00 MiB")
        expect(site.page.locator("#proxy-ways")).to_contain_text("client_max_body_size")
        # Two sizes were refused: the first, and the last one of the growth. The rest goes in requests of 1 MiB.
        assert len([each for each in sent.all if each[0] == "PATCH"]) < 2 + 2 + SIZE // MIB + 2
        # The tab remembers the limit.
        sent.all.clear()
        site.select_file(bucket, file, "again")
        site.send()
        site.wait_for_file("again", "done")
        assert len([each for each in sent.all if each[0] == "PATCH"]) == SIZE // MIB


def test_limit_below_every_size_is_reported(open_site: OpenSite, proxy: Proxy, bucket: str, file: Path) -> None:
    limit = "location /files/ { client_max_body_size 1k; $pass } client_max_body_size 0;"
    with proxy(limit) as url:
        site = behind(open_site, url)
        send(site, bucket, file)
        site.wait_for_file(KEY, "failed")
        assert "status 413, server nginx/" in words(site)
        assert "client_max_body_size" in words(site)


def test_plain_form_explains_the_page_of_a_limit(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path
) -> None:
    with proxy("client_max_body_size 1m;") as url:
        site = behind(open_site, url, java_script_enabled=False)
        site.fill_form(bucket, key=KEY)
        expect(site.page.locator("#plain-file")).to_contain_text("413 Request Entity Too Large")
        expect(site.page.locator("#plain-file")).to_contain_text("client_max_body_size")
        assert stack.uploads_in(bucket) == []


# --- Buffering --------------------------------------------------------------------------------------------------------


def test_buffered_requests_arrive(open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path) -> None:
    buffering = f"location /files/ {{ proxy_pass {stack.url}; proxy_set_header Host $http_host; }}"
    with proxy(f"location / {{ $pass }} {buffering}") as url:
        site = behind(open_site, url)
        send(site, bucket, file)
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)


# --- A proxy that responds itself -------------------------------------------------------------------------------------


@pytest.fixture
def restarting(stack: Stack) -> Iterator[Callable[[], None]]:
    yield lambda: stack.freeze("web")
    stack.thaw("web")


def test_restart_behind_a_proxy_is_reported_and_survived(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path
) -> None:
    """The page of a transfer in another tab says so too, and never shows the page of the proxy."""
    with relayed(stack.url) as relay, proxy("", relay.url) as url:
        site = behind(open_site, url)
        line = send_some(site, bucket, file)
        link = site.file(KEY).locator("[data-part=key][href]")
        expect(link).to_be_visible()
        watching = site.page.context.new_page()
        watching.goto(link.get_attribute("href") or "")
        problem = watching.locator("#line-problem")
        expect(problem).to_be_hidden()
        relay.cut()
        site.wait_for_file(KEY, "interrupted")
        expect(site.page.locator("#proxy-problem")).to_contain_text(
            "from a proxy, not from Partway (status 502, server nginx"
        )
        expect(problem).to_contain_text("status 502, server nginx")
        expect(watching.locator("#transfer-live")).to_be_visible()
        relay.restore()
        line.restore()
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)
        expect(site.page.locator("#proxy-problem")).to_be_hidden()
        expect(problem).to_be_hidden()


def test_time_limit_of_a_proxy_is_reported_and_survived(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path, restarting: Callable[[], None]
) -> None:
    limited = "location /files/ { $pass proxy_read_timeout 2s; proxy_send_timeout 2s; } location / { $pass }"
    with proxy(limited) as url:
        site = behind(open_site, url)
        line = send_some(site, bucket, file)
        restarting()
        line.restore()
        expect(site.page.locator("#proxy-problem")).to_contain_text("status 504, server nginx")
        stack.thaw("web")
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)


@pytest.mark.parametrize(
    ("directives", "text"),
    [
        ('proxy_set_header Upload-Offset "";', "Upload-Offset"),
        ('proxy_set_header Upload-Length "";', "Upload-Length"),
        ('proxy_set_header Tus-Resumable "";', "Tus-Resumable"),
        ("proxy_hide_header Upload-Offset;", "The response has no Upload-Offset."),
        ("proxy_hide_header Location;", "The response has no Location."),
    ],
    ids=["no offset", "no length", "no version", "no offset in responses", "no location in responses"],
)
def test_removed_header_is_reported(
    open_site: OpenSite, proxy: Proxy, bucket: str, file: Path, *, directives: str, text: str
) -> None:
    with proxy(f"location / {{ $pass {directives} }}") as url:
        site = behind(open_site, url)
        send(site, bucket, file)
        expect(site.file(KEY).locator("[data-part=words]")).to_contain_text("removes or changes headers of tus")
        assert text in words(site)


def test_responses_without_unknown_headers_work(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path
) -> None:
    with proxy("location / { $pass proxy_hide_header Tus-Resumable; proxy_hide_header Partway-Response; }") as url:
        site = behind(open_site, url)
        send(site, bucket, file)
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)


@pytest.mark.parametrize("page", ["<p>Come back later</p>", "{}"], ids=["html", "json"])
def test_success_of_a_proxy_is_no_success(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path, *, page: str
) -> None:
    answers = f"location ~ /pause/$ {{ default_type application/json; return 200 '{page}'; }} location / {{ $pass }}"
    with proxy(answers) as url:
        site = behind(open_site, url)
        send_some(site, bucket, file)
        site.step(KEY, "pause")
        expect(site.file(KEY).locator("[data-part=words]")).to_contain_text(
            "proxy, not from Partway (status 200, server"
        )
        with stack.signed_in() as operator:
            [transfer] = [each for each in operator.get_json("/transfers/")["transfers"] if each["bucket"] == bucket]
        assert transfer["state"] != "paused"


# --- A proxy that asks to sign in -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["/sso-login", "http://localhost:$server_port/sso-login"], ids=["here", "other host"]
)
def test_login_of_a_proxy_is_reported_and_survived(
    open_site: OpenSite, proxy: Proxy, stack: Stack, bucket: str, file: Path, *, target: str
) -> None:
    login = (
        "location = /sso-login { default_type text/html; return 200 '<!DOCTYPE html><p>Sign in to continue'; }"
        f' location / {{ if ($cookie_sso = "") {{ return 302 {target}; }} $pass }}'
    )
    with proxy(login) as url:
        site = behind(open_site, url)
        cookie = {"name": "sso", "value": "1", "url": url}
        site.page.context.add_cookies([cookie])  # type: ignore[list-item]
        line = send_some(site, bucket, file)
        watching = site.page.context.new_page()
        link = site.file(KEY).locator("[data-part=key][href]")
        watching.goto(link.get_attribute("href") or "")
        site.page.context.clear_cookies(name="sso")
        expect(site.page.locator("#proxy-problem")).to_contain_text("redirects requests to another page")
        expect(watching.locator("#line-problem")).to_contain_text("redirects requests to another page")
        expect(watching.get_by_text("Sign in to continue")).to_have_count(0)
        expect(watching.locator("#transfer-live")).to_be_visible()
        # A step is not taken for done: the page of the login is no success.
        site.step(KEY, "pause")
        expect(site.file(KEY).locator("[data-part=words]")).to_contain_text(
            "will be paused when Partway can be reached"
        )
        site.page.context.add_cookies([cookie])  # type: ignore[list-item]
        site.wait_for_file(KEY, "paused")
        expect(watching.locator("#line-problem")).to_be_hidden()
        site.step(KEY, "resume")
        line.restore()
        site.wait_for_file(KEY, "done")
        check(stack, bucket, file)
