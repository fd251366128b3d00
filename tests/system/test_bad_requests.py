"""Requests that no client should send, over the wire, on PostgreSQL: 400 with a reason, and never 500 or an empty body.

Every URL of the site joins by itself.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from dashboard.audit.filters import FILTERS
from local import ports
from local.installation import BUCKET, PROJECT, STORE
from tests.stores import processes
from tests.stores.postgresql import Cluster
from tests.system import stack as stacks
from tests.system.stack import Operator, Stack, wait_for
from tests.system.tus import metadata_header

NUL = "a%00b"
VALUES = {
    "a lone surrogate": "a%ED%A0%80b",
    "invalid UTF-8": "a%FF%FEb",
    "a number beyond bigint": "9" * 30,
    "a number beyond int": "-99999999999999999999",
    "a date that does not exist": "2026-02-31T99:99:99Z",
    "a year beyond all dates": "99999-01-01",
    "an emoji": "%F0%9F%98%80",
    "control characters": "%01%1B%7F",
    "a long text": "x" * 3000,
}
"""Values that a database or a driver may refuse, percent-encoded."""

FORM = "application/x-www-form-urlencoded"
MALFORMED = b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n"


@pytest.fixture(scope="module")
def stack(postgresql_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"DATABASE_URL": postgresql_cluster.migrated_database()}
    with stacks.running(tmp_path_factory.mktemp("bad-requests"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def debug_site(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of another web server of the site, with DEBUG."""
    (port,) = ports.choose(1)
    argv = [sys.executable, "-m", "dashboard.server", "--port", str(port)]
    log = tmp_path_factory.mktemp("debug") / "web.log"
    process = processes.start(argv, log, {**stack.environment, "DEBUG": "1"})
    wait_for("the web server", lambda: ports.is_listening(port) or None)
    yield f"http://{ports.LOOPBACK}:{port}"
    processes.stop([process])


@pytest.fixture(params=["production", "debug"])
def address(request: pytest.FixtureRequest, stack: Stack) -> str:
    return stack.url if request.param == "production" else str(request.getfixturevalue("debug_site"))


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def error(self) -> dict[str, str]:
        return dict(json.loads(self.body)["error"])


def exchange(address: str, request: bytes) -> Answer:
    """Send these bytes and read everything that follows: each request asks for the end of the connection."""
    where = urlsplit(address)
    assert where.hostname
    with socket.create_connection((where.hostname, where.port or 80), timeout=60) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return Answer(int(first.split()[1]), headers, body)


def _joined(chunks: bytes) -> bytes:
    body = b""
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        body, chunks = body + chunks[: int(size, 16)], chunks[int(size, 16) + 2 :]
    return body


def head(method: str, path: str, address: str, headers: Iterable[tuple[str, str]] = (), protocol: str = "1.1") -> bytes:
    """A request without its body. A header without a value is left out."""
    given = {"Host": urlsplit(address).netloc, "Connection": "close", **dict(headers)}
    lines = [f"{method} {path} HTTP/{protocol}", *(f"{name}: {value}" for name, value in given.items() if value)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def send(address: str, method: str, path: str, body: bytes = b"", /, protocol: str = "1.1", **headers: str) -> Answer:
    """`Some_Header` becomes `Some-Header`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body or method == "POST":
        given.setdefault("Content-Length", str(len(body)))
    return exchange(address, head(method, path, address, given.items(), protocol) + body)


def check_refused(answer: Answer, *statuses: int) -> None:
    assert answer.status in statuses, answer
    assert answer.body, answer


# --- Requests that are malformed as a whole ---------------------------------------------------------------------------


def test_unknown_host_names_the_setting(address: str) -> None:
    for host in ("elsewhere.example", "no_host/at all", "[::1", "a" * 300, ""):
        answer = send(address, "GET", "/login/", Host=host, protocol="1.1" if host else "1.0")
        check_refused(answer, 400)
        assert "ALLOWED_HOSTS" in answer.text
        as_json = send(
            address, "GET", "/login/", Host=host, Accept="application/json", protocol="1.1" if host else "1.0"
        )
        assert as_json.error["code"] == "UnknownHost"
        assert "ALLOWED_HOSTS" in as_json.error["message"]
    tus = send(address, "OPTIONS", "/files/", Host="elsewhere.example")
    assert (tus.status, tus.error["code"], tus.headers["tus-resumable"]) == (400, "UnknownHost", "1.0.0")


def test_health_and_metrics_respond_to_any_host(address: str, stack: Stack) -> None:
    for host, protocol in (("elsewhere.example", "1.1"), ("", "1.0"), ("", "1.1"), ("no_host/at all", "1.1")):
        assert send(address, "GET", "/healthz", Host=host, protocol=protocol).text == "ok"
        ready = send(address, "GET", "/healthz?ready", Host=host, protocol=protocol)
        assert "database ok" in ready.text
        token = f"Bearer {stack.environment['METRICS_TOKEN']}"
        metrics = send(address, "GET", "/metrics", Host=host, Authorization=token, protocol=protocol)
        assert b"partway_up" in metrics.body


def test_form_that_is_malformed_or_too_large_is_refused(address: str) -> None:
    fields = "&".join(f"f{number}=1" for number in range(10_000)).encode()
    multipart = "multipart/form-data"
    for status, code, body, content_type in (
        (400, "TooManyFields", fields, FORM),
        (413, "TooLarge", b"x=" + b"y" * 9 * 1024**2, FORM),
        (400, "MalformedForm", MALFORMED, multipart),
        (400, "MalformedForm", MALFORMED, f"{multipart}; boundary="),
        (415, "NotUtf8", b"x=1", f"{FORM}; charset=utf-16"),
        (415, "NotUtf8", MALFORMED, f"{multipart}; boundary=b; charset=unicode_escape"),
    ):
        page = send(address, "POST", "/login/", body, Content_Type=content_type)
        check_refused(page, status)
        assert "<h1" in page.text
        refused = send(address, "POST", "/login/", body, Content_Type=content_type, Accept="application/json")
        assert (refused.status, refused.error["code"]) == (status, code)
    query = send(address, "GET", "/login/?" + fields.decode(), Accept="application/json")
    assert (query.status, query.error["code"]) == (400, "TooManyFields")


def test_malformed_chunk_of_a_form_is_refused(address: str) -> None:
    for chunks in (b"zz\r\nx=1\r\n", b"3\r\nx=1234\r\n", b"3\nx=1\r\n0\r\n\r\n"):
        request = head("POST", "/login/", address, {"Transfer-Encoding": "chunked", "Content-Type": FORM}.items())
        check_refused(exchange(address, request + chunks), 400)


def test_query_that_is_not_utf_8_is_refused(address: str, operator: Operator) -> None:
    for query in ("q=%FF", "%FF=1", "q=%ED%A0%80"):
        for path in ("/login/", "/audit/", "/transfers/new/"):
            answer = send(address, "GET", f"{path}?{query}", Cookie=operator.cookies, Accept="application/json")
            assert (answer.status, answer.error["code"]) == (400, "InvalidArgument")


def test_server_refuses_with_a_text_and_as_json(address: str) -> None:
    too_long = "x" * 200_000
    requests = {
        "a long address": (head("GET", f"/?q={too_long}", address), 414),
        "a long header": (head("GET", "/", address, {"X-Long": too_long}.items()), 431),
        "an address that is not ASCII": (b"GET /?q=\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        "no request": (b"nonsense\r\n\r\n", 400),
        "another protocol": (b"GET / HTTP/3.0\r\n\r\n", 505),
        "no path": (b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        "a header without a colon": (b"GET / HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", 400),
        "a negative length": (head("POST", "/login/", address, {"Content-Length": "-5"}.items()), 400),
        "a length that is no number": (head("POST", "/login/", address, {"Content-Length": "five"}.items()), 400),
        "an unknown coding": (head("POST", "/login/", address, {"Transfer-Encoding": "gzip"}.items()), 501),
    }
    for name, (request, status) in requests.items():
        answer = exchange(address, request)
        assert (name, answer.status) == (name, status)
        assert answer.text.endswith(".\n") or answer.text.endswith(")\n"), (name, answer)
    wants_json = {"Accept": "application/json", "Content-Length": "-5"}
    assert exchange(address, head("POST", "/login/", address, wants_json.items())).error["code"] == "BadRequest"
    tus = exchange(address, head("PATCH", f"/files/{uuid.uuid4()}", address, {"Content-Length": "-5"}.items()))
    assert (tus.error["code"], tus.headers["tus-resumable"]) == ("BadRequest", "1.0.0")


def test_method_that_is_not_allowed_has_a_text(address: str, operator: Operator) -> None:
    for path in ("/audit/", "/logout/", "/healthz"):
        answer = send(address, "DELETE", path, Cookie=operator.cookies, X_CSRFToken=operator.csrf_token)
        check_refused(answer, 405)
        assert answer.headers["allow"]


# --- The origin of forms ----------------------------------------------------------------------------------------------


def test_refused_form_says_what_to_change(address: str, operator: Operator) -> None:
    host = urlsplit(address).netloc
    token = {"X_CSRFToken": operator.csrf_token, "Cookie": operator.cookies, "Accept": "application/json"}
    cases = {
        "OriginSchemeDiffers": {**token, "Origin": f"https://{host}"},
        "OriginUntrusted": {**token, "Origin": "https://elsewhere.example"},
        "OriginHidden": {**token, "Origin": "null"},
        "CsrfCookieMissing": {**token, "Cookie": "", "Origin": address},
        "CsrfFailed": {**token, "X_CSRFToken": "x" * 32, "Origin": address},
    }
    for code, headers in cases.items():
        answer = send(address, "POST", "/login/", **headers)
        assert (answer.status, answer.error["code"]) == (403, code)
        page = send(address, "POST", "/login/", **{**headers, "Accept": "text/html"})
        assert "CSRF_TRUSTED_ORIGINS" in page.text or "Origin" not in code or code == "OriginHidden"
    assert f"https://{host}" in send(address, "POST", "/login/", **cases["OriginSchemeDiffers"]).error["message"]


# --- Values that PostgreSQL refuses, in every URL of the site ---------------------------------------------------------


SAMPLES = {
    "store": STORE,
    "bucket": BUCKET,
    "uuid": str(uuid.uuid4()),
    "str": "en",
    "int": "1",
    "slug": "x",
    "path": "x",
}
"""A value for each converter of paths."""


def routes(patterns: Iterable[URLPattern | URLResolver], before: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, route)
        else:
            yield route


ROUTES = list(routes(get_resolver().url_patterns))
_ARGUMENT = re.compile(r"<(?:(\w+):)?(\w+)>")


def path_of(route: str, poison: str = "", at: str = "") -> str:
    """A path of the route, with another value for one argument."""
    return "/" + _ARGUMENT.sub(lambda found: poison if found[2] == at else SAMPLES[found[1] or "str"], route)


def parameters() -> list[str]:
    """The names of all parameters and fields that the dashboard reads."""
    reads = re.compile(
        r"""(?:GET|POST|query|_posted|text|number|getlist|all)\W{0,3}[(.](?:\w+\()?[^"\n]{0,20}"([\w-]+)\""""
    )
    sources = "".join(path.read_text() for path in sorted((PROJECT / "dashboard").rglob("*.py")))
    declared = re.findall(r"^    (\w+)(?:: .*)? = forms\.\w+\(", sources, re.MULTILINE)
    names = {*reads.findall(sources), *declared, *(name.replace("_", "-") for name in declared), *FILTERS}
    return sorted(name for name in names if re.fullmatch("[a-z][a-z0-9_-]*", name))


PARAMETERS = parameters()

ENDS_SESSIONS = {
    "logout/",
    "account/sign-out-everywhere/",
    "users/<int:user_id>/sign-out/",
    "users/<int:user_id>/second-factor/",
}
"""Routes that end the session of their user, or all sessions of the first user."""


def test_names_of_parameters_are_found() -> None:
    assert {"key", "upload-id", "prefix", "before", "actor", "state", "id", "max-uploads", "content-type"} <= set(
        PARAMETERS
    )


@pytest.mark.parametrize("route", ROUTES, ids=[route or "/" for route in ROUTES])
def test_nul_is_refused_and_no_value_is_a_500(route: str, stack: Stack, request: pytest.FixtureRequest) -> None:
    operator = request.getfixturevalue("operator")
    if route not in ENDS_SESSIONS:
        send_everything(route, stack, operator)
        return
    with stack.signed_in() as another:
        send_everything(route, stack, another)
    operator.sign_in(stack.admin)


def send_everything(route: str, stack: Stack, operator: Operator) -> None:
    path = path_of(route)
    signed_in = {"Cookie": operator.cookies, "X_CSRFToken": operator.csrf_token, "Origin": stack.url}
    session = next(each for each in operator.cookies.split("; ") if each.startswith("partway_session="))
    check_refused(send(stack.url, "GET", f"{path}?{PARAMETERS[0]}={NUL}", **signed_in), 400)
    check_refused(send(stack.url, "GET", f"{path}?{NUL}=1", **signed_in), 400)
    check_refused(send(stack.url, "GET", path, Cookie='partway_session="a\\000b"'), 400)
    check_refused(send(stack.url, "GET", path, Cookie=f'{session}; partway_csrf="a\\000b"'), 400)
    check_refused(send(stack.url, "GET", path, X_Header="a\0b", **signed_in), 400)
    check_refused(send(stack.url, "GET", path + "%00", **signed_in), 400)
    body = f"{PARAMETERS[0]}={NUL}".encode()
    posted = send(stack.url, "POST", path, body, Content_Type=FORM, Accept="application/json", **signed_in)
    check_refused(posted, 400, 401, 404, 405, 411, 412, 415)
    for _, argument in _ARGUMENT.findall(route):
        for value in (NUL, *VALUES.values()):
            check_refused(send(stack.url, "GET", path_of(route, value, argument), **signed_in), 200, 400, 404, 405)
    for value in VALUES.values():
        query = "&".join(f"{name}={value}" for name in PARAMETERS)
        check_no_500(send(stack.url, "GET", f"{path}?{query}", **signed_in))
        check_no_500(send(stack.url, "POST", path, query.encode(), Content_Type=FORM, **signed_in))


def check_no_500(answer: Answer) -> None:
    assert answer.status < 500 or answer.status in (502, 503, 504), answer
    assert answer.body or answer.status in (204, 302, 303), answer


def test_every_single_parameter_with_a_value_that_a_driver_refuses(stack: Stack, operator: Operator) -> None:
    """All of them at once may be refused for the first one already."""
    values = (VALUES["a number beyond bigint"], VALUES["a year beyond all dates"])
    for path in ("/audit/", "/transfers/", f"/stores/{STORE}/{BUCKET}/uploads/"):
        for name in PARAMETERS:
            for value in values:
                check_no_500(send(stack.url, "GET", f"{path}?{name}={value}", Cookie=operator.cookies))


def test_nul_in_json_and_in_the_metadata_of_tus(stack: Stack, operator: Operator) -> None:
    signed_in = {"Cookie": operator.cookies, "X_CSRFToken": operator.csrf_token, "Origin": stack.url}
    for bad in ("a\0b", "\ud800"):
        given = {"store": STORE, "bucket": bad, "files": [{"key": bad, "size": 10**40, "fingerprint": bad}]}
        known = json.dumps(given).encode()
        check_refused(
            send(stack.url, "POST", "/transfers/new/known/", known, Content_Type="application/json", **signed_in), 400
        )
    fields = {
        "store": STORE,
        "bucket": BUCKET,
        "key": "key",
        "filename": "f",
        "fingerprint": "x",
        "content-type": "a/b",
    }
    for name in fields:
        for bad in ("a\0b", "x" * 5000):
            metadata = metadata_header({**fields, name: bad})
            created = send(
                stack.url,
                "POST",
                "/files/",
                Tus_Resumable="1.0.0",
                Upload_Length="1",
                Upload_Metadata=metadata,
                **signed_in,
            )
            check_refused(created, 400)
            assert created.headers["tus-resumable"] == "1.0.0"
    too_long = send(
        stack.url,
        "POST",
        "/files/",
        Tus_Resumable="1.0.0",
        Upload_Length="9" * 40,
        Upload_Metadata=metadata_header(fields),
        **signed_in,
    )
    check_refused(too_long, 400, 413)


def test_cookie_that_is_refused_is_deleted_by_the_browser(stack: Stack) -> None:
    answer = send(stack.url, "GET", "/login/", Cookie='partway_session="a\\000b"')
    assert answer.headers["set-cookie"].startswith('partway_session="";')
    assert send(stack.url, "GET", "/login/", Cookie='other_site="a\\000b"; sessionid="\\000"').status == 200
