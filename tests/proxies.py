"""nginx in front of a stack: with the configuration of docs/deployment.md, and with others that operators meet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from local import installation, ports
from tests.certificate import certificate
from tests.stores import nginx
from tests.system.stack import Operator, Stack

SUB_PATH = "/partway"
DOCUMENT = installation.PROJECT / "docs" / "deployment.md"
DOCUMENTED_HOST = "partway.example.org"
WEB_SERVER = "http://127.0.0.1:8000"
"""The address of the web server in the document."""
CERTIFICATE = "/etc/ssl/partway.crt"
KEY = "/etc/ssl/partway.key"


@dataclass(frozen=True, slots=True)
class BehindTls:
    """A site below SUB_PATH behind TLS. nginx keeps the path, at `url`, or removes it, at `removing_url`.

    `site` is a whole host, as in the first example of the document.
    """

    stack: Stack
    url: str
    removing_url: str
    whole_host_url: str
    direct_url: str
    """The web server itself."""
    certificate: Path

    @contextmanager
    def signed_in(self, url: str = "") -> Iterator[Operator]:
        """An HTTP session of the administrator."""
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(self.certificate)
            operator = Operator(url or self.url, session)
            operator.sign_in(self.stack.admin)
            yield operator


def documented() -> tuple[str, str]:
    """The two examples of the document: a server block, and the location of a site below a path."""
    server, location = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return server, location


def replaced(text: str, **values: str) -> str:
    """The text with other values; each of the old ones must be in it."""
    for old, new in values.items():
        assert old in text, f"{old} is not in the example"
        text = text.replace(old, new)
    return text


@contextmanager
def behind_tls_proxy(stack: Stack, folder: Path) -> Iterator[BehindTls]:
    """Run nginx with the examples of the document. Only addresses and files are replaced."""
    path, _ = certificate(folder)
    kept, removed, whole = ports.choose(3)
    settings = {"BEHIND_TLS_PROXY": "1", "SECURE_COOKIES": "1"}
    with (
        stack.another_web_server(folder / "below.log", SUB_PATH=SUB_PATH, **settings) as below,
        stack.another_web_server(folder / "whole.log", **settings) as alone,
    ):
        server, location = documented()
        listen = {"listen 443 ssl": "listen 127.0.0.1:{port} ssl", CERTIFICATE: str(path), KEY: str(path)}
        location = replaced(location, **{WEB_SERVER: below})
        removing = replaced(location, **{f"proxy_pass {below};": f"proxy_pass {below}/;"})

        def at(port: int, block: str) -> str:
            return replaced(block, **{old: new.format(port=port) for old, new in listen.items()})

        def below_path(port: int, location: str) -> str:
            """The server block of another host, with this location."""
            start, _, _ = server.partition("location /")
            return at(port, f"{start}{location}}}")

        servers = [
            at(whole, replaced(server, **{WEB_SERVER: alone})),
            below_path(kept, location),
            below_path(removed, removing),
        ]
        with nginx.running(folder, "\n".join(servers), [kept, removed, whole]):
            host = f"https://{ports.LOOPBACK}"
            yield BehindTls(
                stack,
                url=f"{host}:{kept}{SUB_PATH}",
                removing_url=f"{host}:{removed}{SUB_PATH}",
                whole_host_url=f"{host}:{whole}",
                direct_url=below,
                certificate=path,
            )


@contextmanager
def proxied(folder: Path, directives: str, *, target: str) -> Iterator[str]:
    """Run nginx in front of a web server, with more directives in its server block. Yields the URL.

    A location in `directives` can pass a request on with `$pass`.
    """
    port = ports.choose(1)[0]
    common = "proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_request_buffering off;"
    body_limit = "" if "client_max_body_size" in directives else "client_max_body_size 0;"
    locations = "" if "location / {" in directives else "location / { $pass }"
    block = f"server {{ listen 127.0.0.1:{port}; {body_limit} {directives} {locations} }}"
    servers = block.replace("$pass", f"proxy_pass {target}; {common}")
    with nginx.running(folder, servers, [port]):
        yield f"http://{ports.LOOPBACK}:{port}"
