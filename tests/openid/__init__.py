"""A real OpenID provider on loopback, which tests start and stop: the npm package oidc-provider."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import requests

from local import installation, ports

SCRIPT = Path(__file__).with_name("provider.mjs")
CLIENT_ID = "partway"
CLIENT_SECRET = "the-secret-of-the-client-at-the-provider"
PATIENCE = 60


class Provider:
    """The provider's process. Users are claims by subject; `groups` and the like are claims too."""

    def __init__(self, folder: Path) -> None:
        self._port = ports.choose(1)[0]
        self._log = folder / "openid-provider.log"
        self.issuer = f"http://{ports.LOOPBACK}:{self._port}"
        client = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "redirect_uris": ["http://testserver/login/sso/callback/"],
            "post_logout_redirect_uris": ["http://testserver/login/"],
            "scope": "openid profile email groups",
        }
        self._given: dict[str, Any] = {
            **{"port": self._port, "users": {}, "clients": [client]},
            **{"tokenSeconds": 3600, "inIdToken": True},
        }
        self.start()

    def settings(self, **more: Any) -> dict[str, Any]:
        """The settings of Partway for this provider."""
        return {
            "OIDC_ISSUER": self.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": "Example ID",
            **more,
        }

    # --- The process --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        node = shutil.which("node") or str(Path(sys.executable).with_name("node"))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", node, str(SCRIPT)],
                cwd=installation.PROJECT,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            stdin.write(json.dumps(self._given).encode())
        deadline = time.monotonic() + PATIENCE
        while not self._responds():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "the OpenID provider does not respond"
            time.sleep(0.05)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """It accepts connections and does not respond."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def _responds(self) -> bool:
        with suppress(requests.ConnectionError):
            return requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=PATIENCE).ok
        return False

    # --- What it knows ------------------------------------------------------------------------------------------------

    def add_user(self, subject: str, **claims: Any) -> None:
        """Add a user, or change the claims of one."""
        users = {**self._given["users"], subject: {"preferred_username": subject, **claims}}
        self._change("users", users=users)

    def set_lifetime(self, seconds: int) -> None:
        """Of ID tokens from now on."""
        self._change("tokens", tokenSeconds=seconds)

    def put_claims_in_id_token(self, *, inside: bool) -> None:
        """Or only at the userinfo endpoint."""
        if inside != self._given["inIdToken"]:
            self._change("claims", inIdToken=inside)

    def allow(self, site: str) -> None:
        """Register another address of Partway."""
        client = self._given["clients"][0]
        client["redirect_uris"].append(f"{site}/login/sso/callback/")
        client["post_logout_redirect_uris"].append(f"{site}/login/")
        self._change("clients", clients=[client])

    def rotate_keys(self, kid: str) -> None:
        self._post("rotate", {"kid": kid})

    def _change(self, name: str, **given: Any) -> None:
        self._given |= given
        self._post(name, given)

    def _post(self, name: str, body: dict[str, Any]) -> None:
        requests.post(f"{self.issuer}/test/{name}", json=body, timeout=PATIENCE).raise_for_status()

    # --- A person in front of it --------------------------------------------------------------------------------------

    def sign_in(self, url: str, subject: str, session: requests.Session | None = None) -> str:
        """Do what a person does at the provider. Returns where the provider sends the browser back to."""
        with session or requests.Session() as browser:
            response = browser.get(url, allow_redirects=False, timeout=PATIENCE)
            while True:
                location = response.headers.get("Location", "")
                if response.is_redirect and not location.startswith((self.issuer, "/")):
                    return location
                if response.is_redirect:
                    response = browser.get(urljoin(url, location), allow_redirects=False, timeout=PATIENCE)
                    continue
                assert 'name="login"' in response.text, response.text
                fields = {"login": subject}
                response = browser.post(response.url, data=fields, allow_redirects=False, timeout=PATIENCE)


@contextmanager
def running(folder: Path) -> Iterator[Provider]:
    provider = Provider(folder)
    try:
        yield provider
    finally:
        provider.stop()
