"""Generated input over the wire from both sides: requests of a client, and responses of a hostile store.

No response is a 500, contains markup or headers of the input, and all work ends. HOSTILE_EXAMPLES sets how much is
generated, HOSTILE_SEED generates something else.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote_from_bytes, urljoin

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st

from tests.stores.postgresql import Cluster
from tests.system import hostile_store
from tests.system import stack as stacks
from tests.system.hostile_store import Texts, joined
from tests.system.stack import Operator, Stack
from tests.system.test_bad_requests import FORM, Answer, send
from tests.system.tus import metadata_header
from uploads.domain.states import FINAL_PHASES, Phase

EXAMPLES = int(os.environ.get("HOSTILE_EXAMPLES", "12"))
SEED = int(os.environ.get("HOSTILE_SEED", "1"))
CASES = 1500 * EXAMPLES
"""Generated values that reach Partway in a run of one database, at least, in requests and in responses of the store."""

STORE = "hostile"
HERE = "http://here.example/"
MARK = "x-evil"
"""The element, attribute and header that the input tries to create."""

PIECES = (
    f"<{MARK}>",
    f"<script {MARK}=1>alert(1)</script>",
    f"</script><{MARK}>",
    f"--><{MARK}>",
    f"]]><{MARK}>",
    f'" {MARK}="',
    f"' {MARK}='",
    f'"onfocus="alert(1)" {MARK}="',
    f"&lt;{MARK}&gt;",
    f"&#60;{MARK}&#62;",
    f"\r\n{MARK}: 1\r\n\r\n<{MARK}>",
    f"\n{MARK}: 1",
    f"\u2028{MARK}: 1",
    "javascript:alert(1)",
    "{{ 7*7 }}{% debug %}",
    "%(key)s%s%n{0}{a.b}",
    "'; DROP TABLE uploads_store; --",
    "../../etc/passwd",
    "//evil.example/",
    "https://evil.example/",
    "\0",
    "\x1b[31m",
    "\u202e",
    "\ud800",
    "%00%0d%0a",
    "9" * 30,
    "-1",
    "NaN",
    "2026-02-31T25:61:61Z",
    "a" * 1100,
)
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    # Without a search for the smallest failing example, which would take minutes.
    phases=[Stage.generate],
    suppress_health_check=list(HealthCheck),
)

TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), min_size=1, max_size=4).map("".join)
BATCHES = st.lists(TEXTS, min_size=24, max_size=24)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own, because its transfers and operations fail."""
    env = {}
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("postgresql_cluster")
        env["DATABASE_URL"] = cluster.migrated_database()
    with stacks.running(tmp_path_factory.mktemp("hostile"), env) as running:
        yield running


@pytest.fixture(scope="module")
def operator(site: Stack) -> Iterator[Operator]:
    with site.signed_in() as operator:
        yield operator


@pytest.fixture(scope="module")
def texts(site: Stack) -> Iterator[Texts]:
    """The texts of a store that is hostile, which is in the database."""
    with hostile_store.running() as (url, texts):
        site.manage(
            "add_store", STORE, "--endpoint-url", url, "--region", "r", "--provider", "generic", "--access-key", "a",
            "--bucket", "bucket", STORE_SECRET_KEY="secret",
        )  # fmt: skip
        yield texts


class Markup(HTMLParser):
    """Elements and attributes that only the input can have made."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == MARK or (tag in ("script", "style") and not any(name in ("src", "type") for name, _ in attrs)):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            target = (value or "").strip().lower() if name in ("href", "src", "action", "formaction") else ""
            if name == MARK or name.startswith("on") or target.startswith(("javascript:", "data:text", "//")):
                self.found.append(f"{name}={value}")


def check(answer: Answer) -> None:
    assert answer.status < 500 or answer.status in (502, 503, 504), answer
    assert MARK not in answer.headers
    content_type = answer.headers.get("content-type", "")
    if content_type.startswith("text/html"):
        markup = Markup()
        markup.feed(answer.body.decode())
        assert markup.found == [], answer.body
    # Browsers treat a backslash as a slash.
    target = urljoin(HERE, answer.headers.get("location", "").replace("\\", "/"))
    assert target.startswith(HERE), target


def encoded(text: str) -> str:
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe="")


class Client:
    """Sends requests with generated values. Counts these, and the responses that show markup as text."""

    def __init__(self, site: Stack, operator: Operator) -> None:
        self.sent = 0
        self.shown = 0
        self._site = site
        self._headers = {"Cookie": operator.cookies, "X_CSRFToken": operator.csrf_token, "Origin": site.url}

    def get(self, path: str, accept: str = "text/html", /, **query: str) -> Answer:
        return self._send("GET", f"{path}?{self._form(query)}", b"", Accept=accept)

    def post(self, path: str, fields: dict[str, str], accept: str = "application/json") -> Answer:
        return self._send("POST", path, self._form(fields).encode(), Content_Type=FORM, Accept=accept)

    def create(self, metadata: dict[str, str], body: bytes) -> Answer:
        self.sent += len(metadata)
        given: dict[str, Any] = {"Tus_Resumable": "1.0.0", "Upload_Length": str(len(body))}
        kept = {name: value.encode("utf-8", "replace").decode() for name, value in metadata.items()}
        given |= {"Upload_Metadata": metadata_header(kept), "Content_Type": "application/offset+octet-stream"}
        return self._send("POST", "/files/", body, **given)

    def _form(self, fields: dict[str, str]) -> str:
        self.sent += len(fields)
        return "&".join(f"{name.replace('_', '-')}={encoded(value)}" for name, value in fields.items())

    def _send(self, method: str, target: str, body: bytes, **headers: str) -> Answer:
        answer = send(self._site.url, method, target, body, **self._headers, **headers)
        check(answer)
        self.shown += f"&lt;{MARK}".encode() in answer.body
        return answer


def send_all(client: Client, batch: list[str], choose: random.Random) -> None:
    """One request to each page and action, with values of the batch."""

    def text() -> str:
        return joined(batch, choose)

    bucket = f"/stores/{STORE}/bucket/uploads/"
    as_json = "application/json"
    client.get(bucket)
    client.get(bucket, as_json)
    client.get(bucket, prefix=text(), key_marker=text(), upload_id_marker=text(), delimiter=text(), max_uploads="7")
    client.get(f"/stores/{STORE}/")
    client.get(f"/stores/{STORE}/{encoded(text())}/uploads/", prefix=text())
    upload = {"key": text(), "upload_id": text()}
    for path in ("detail/", "survey/", "facts/", "abort/", "complete/"):
        client.get(bucket + path, **upload)
        client.get(bucket + path, as_json, **upload)
    client.get(bucket + "detail/", max_parts=text(), part_number_marker=text(), **upload)
    client.post(bucket + "abort/", {**upload, "confirmed": "yes"})
    client.post(bucket + "complete/", {**upload, "parts-seen": text(), "replace": text(), "gaps": text()})
    client.get("/transfers/", state=text(), store=text(), q=text())
    client.get("/audit/", actor=text(), action=text(), store=text(), bucket=text(), key=text())
    client.get("/transfers/new/", store=STORE, bucket=text(), prefix=text(), key=text())
    for path in ("plan/", "existing/", "check/", "buckets/"):
        client.get(f"/transfers/new/{path}", store=STORE, bucket="bucket", key=text(), size=text(), part_size=text())
    client.get("/login/", next=text())
    names = ("key", "filename", "content-type", "metadata", "fingerprint")
    client.create({"store": STORE, "bucket": "bucket", **{name: text() for name in names}}, b"x")
    client.create({"store": STORE, "bucket": "bucket", "key": text(), "filename": "f"}, b"x")


def test_generated_input_is_never_a_500_nor_markup(site: Stack, operator: Operator, texts: Texts) -> None:
    client = Client(site, operator)

    @seed(SEED)
    @settings(SETTINGS)
    @given(batch=BATCHES, choice=st.integers(0, 2**32))
    def run(batch: list[str], choice: int) -> None:
        texts.give(batch, random.Random(choice))
        send_all(client, batch, random.Random(choice))

    run()
    assert client.sent + texts.sent >= CASES
    assert client.shown >= 5 * EXAMPLES
    while working(site):
        site.let_time_pass(3600)
    for name in site.process_names:
        assert not [line for line in site.log(name).splitlines() if line.startswith(MARK)]


def working(site: Stack) -> bool:
    """Whether any work with the store has not ended. A transfer whose bytes may still arrive is not work."""
    ended = ", ".join(f"'{each}'" for each in (*FINAL_PHASES, Phase.FAILED, Phase.RECEIVING))
    [(operations,)] = site.query("SELECT count(*) FROM uploads_operationitem WHERE state IN ('waiting', 'running')")
    [(transfers,)] = site.query(
        f"SELECT count(*) FROM uploads_transfer t JOIN uploads_store s ON s.id = t.store_id"
        f" WHERE s.name = '{STORE}' AND t.phase NOT IN ({ended})"
    )
    return bool(operations or transfers)
