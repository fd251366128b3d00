"""80 people who sign in at the same time, and one who guesses, against the live server: pages respond meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.system.stack import PATIENCE, Login, Operator, Stack

AT_ONCE = 80
FAILURES = 5
GUESSED = Login("guessed", "a passphrase that is guessed")


@pytest.fixture(scope="module")
def server(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A web server that counts as behind a proxy, so that requests can come from several addresses; and its log."""
    stack.run_python(
        "from django.contrib.auth.models import User\n"
        f"User.objects.create_user({GUESSED.username!r}, password={GUESSED.password!r})"
    )
    log = tmp_path_factory.mktemp("floods") / "web.log"
    settings = {"TRUSTED_PROXIES": "127.0.0.1", "SIGN_IN_ACCOUNT_FAILURES": str(FAILURES), "PASSWORD_THREADS": "1"}
    with stack.another_web_server(log, **settings) as url:
        yield url, log


class Visitor:
    """Somebody at an address."""

    def __init__(self, url: str, address: str) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._url, self._address = url, address

    def sign_in(self, login: Login) -> requests.Response:
        headers = {"X-Forwarded-For": self._address, "Referer": self._url}
        if not self._session.cookies:
            self._session.get(f"{self._url}/login/", headers=headers, timeout=PATIENCE)
        form = {
            "username": login.username,
            "password": login.password,
            "csrfmiddlewaretoken": self._session.cookies["partway_csrf"],
        }
        return self._session.post(f"{self._url}/login/", form, headers=headers, timeout=PATIENCE, allow_redirects=False)


def test_pages_respond_while_many_sign_in(stack: Stack, server: tuple[str, Path]) -> None:
    """Some are signed in, the others are told to try again. All pages that are requested meanwhile respond."""
    url, _ = server
    with requests.Session() as session:
        session.trust_env = False
        operator = Operator(url, session)
        operator.sign_in(stack.admin)
        ended = threading.Event()
        pages: Counter[int] = Counter()

        def browse() -> None:
            while not ended.is_set():
                for path in ("/healthz", "/stores/", "/transfers/"):
                    pages[session.get(url + path, timeout=PATIENCE).status_code] += 1

        visitors = [Visitor(url, f"192.0.2.{number + 1}") for number in range(AT_ONCE)]
        start = threading.Barrier(AT_ONCE)

        def sign_in(visitor: Visitor) -> requests.Response:
            start.wait(PATIENCE)
            return visitor.sign_in(stack.admin)

        with ThreadPoolExecutor(AT_ONCE + 1) as pool:
            browsing = pool.submit(browse)
            responses = [task.result() for task in [pool.submit(sign_in, visitor) for visitor in visitors]]
            ended.set()
            browsing.result()
    statuses = Counter(response.status_code for response in responses)
    assert set(statuses) <= {302, 503}
    assert statuses[302] >= 1
    assert all(response.headers["Retry-After"] == "5" for response in responses if response.status_code == 503)
    assert set(pages) == {200}
    assert pages[200] >= 6


def test_who_guesses_is_locked_out_alone(stack: Stack, server: tuple[str, Path]) -> None:
    url, log = server
    guesser, elsewhere = Visitor(url, "198.51.100.66"), Visitor(url, "198.51.100.7")
    guesses = [Login(GUESSED.username, f"guess number {number}") for number in range(2 * FAILURES)]
    statuses = [guesser.sign_in(guess).status_code for guess in guesses]
    assert statuses == [200] * (FAILURES - 1) + [429] * (FAILURES + 1)
    locked = elsewhere.sign_in(GUESSED)
    assert locked.status_code == 429
    assert int(locked.headers["Retry-After"]) > 800
    assert elsewhere.sign_in(stack.admin).status_code == 302
    rows = stack.query(
        "SELECT action, actor_name, address FROM uploads_auditentry WHERE address = ? ORDER BY id", "198.51.100.66"
    )
    failed, lock = (("sign-in.failed", "guessed", "198.51.100.66"), ("sign-in.locked", "guessed", "198.51.100.66"))
    assert rows == [failed] * FAILURES + [lock]
    text = log.read_text()
    assert "sign-in locked: guessed from 198.51.100.66" in text
    assert "guess number" not in text
    # An administrator lifts the lock.
    stack.manage("unlock_sign_in", "--user", GUESSED.username)
    assert elsewhere.sign_in(GUESSED).status_code == 302
