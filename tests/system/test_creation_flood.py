"""One operator creates a thousand transfers at the same time: most are refused, nothing fails, and pages respond."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.system.stack import Login, Operator, Stack

COUNT = 1000
OPEN = 25
LOGIN = Login("flooding", "the password of the flood")
LIMITS = {"USER_OPEN_TRANSFERS": str(OPEN), "CONNECTIONS_PER_ADDRESS": str(2 * COUNT)}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after: bool
    body: bytes


@pytest.fixture
def flooded(stack: Stack) -> Stack:
    """The stack with a user for the flood."""
    call = f"create_user({LOGIN.username!r}, password={LOGIN.password!r}, is_staff=True)"
    stack.run_python(f"from django.contrib.auth.models import User\nUser.objects.{call}")
    return stack


def create(operator: Operator, bucket: str, number: int) -> bytes:
    """A creation with the first bytes of its file, which replaces whatever there is: no request to the store."""
    fields = {"store": Stack.store, "bucket": bucket, "key": f"k{number}", "replace": "on", "replace-etag": "*"}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    host = urlsplit(operator.url).netloc
    head = [
        "POST /files/ HTTP/1.1",
        f"Host: {host}",
        "Connection: close",
        "Tus-Resumable: 1.0.0",
        "Upload-Length: 1000",
        f"Upload-Metadata: {metadata}",
        "Content-Type: application/offset+octet-stream",
        "Content-Length: 100",
        f"Cookie: {operator.cookies}",
        f"X-CSRFToken: {operator.csrf_token}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + bytes(100)


async def ask(url: str, request: bytes) -> Answer:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ", 2)[1]), b"\r\nretry-after:" in head.lower(), body)


async def flood(operator: Operator, bucket: str, visitor: Operator) -> tuple[list[Answer], list[Answer]]:
    """All creations at once, and pages that somebody else opens until the last of them has its answer."""
    pages = list[Answer]()

    async def open_pages() -> None:
        head = f"Host: {urlsplit(visitor.url).netloc}\r\nConnection: close\r\nCookie: {visitor.cookies}\r\n\r\n"
        while True:
            for path in ("/healthz", "/transfers/", "/stores/"):
                pages.append(await ask(visitor.url, f"GET {path} HTTP/1.1\r\n{head}".encode()))

    opening = asyncio.create_task(open_pages())
    answers = await asyncio.gather(*(ask(operator.url, create(operator, bucket, each)) for each in range(COUNT)))
    opening.cancel()
    with suppress(asyncio.CancelledError):
        await opening
    return answers, pages


def test_creations_of_one_operator_are_bounded(flooded: Stack, tmp_path: Path) -> None:
    bucket = flooded.new_bucket()
    log = tmp_path / "web.log"
    with flooded.another_web_server(log, **LIMITS) as url, flooded.signed_in() as admin:
        visitor = Operator(url, admin.session)
        with flooded.signed_in(LOGIN) as login:
            operator = Operator(url, login.session)
            answers, pages = asyncio.run(flood(operator, bucket, visitor))
            statuses = Counter(answer.status for answer in answers)
            assert set(statuses) == {201, 429}, statuses
            assert 1 <= statuses[201] <= OPEN
            refused = [answer for answer in answers if answer.status == 429]
            assert all(answer.retry_after for answer in refused)
            assert all(b"TooManyCreations" in each.body or b"TooManyTransfers" in each.body for each in refused)
            # Others were served meanwhile.
            assert pages
            assert {page.status for page in pages} == {200}
            transfers = "SELECT id FROM uploads_transfer WHERE bucket = ?"
            created = [row[0] for row in flooded.query(transfers, bucket)]
            assert len(created) == statuses[201]
            for each in created:
                operator.post(f"/transfers/{each}/cancel/")
    text = log.read_text()
    assert "Traceback" not in text
    assert "is locked" not in text
