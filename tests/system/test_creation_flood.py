"""One operator creates 900 transfers at the same time: most are refused, nothing fails, and pages respond."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.system.stack import Login, Operator, Stack

COUNT = 900
"""With the pages of the visitor, fewer than the connections that the web server has at most."""
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
    try:
        writer.write(request)
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ", 2)[1]), b"\r\nretry-after:" in head.lower(), body)


async def flood(operator: Operator, bucket: str) -> list[Answer]:
    """All creations at once."""
    return await asyncio.gather(*(ask(operator.url, create(operator, bucket, each)) for each in range(COUNT)))


def open_pages(visitor: Operator, flood_is_over: threading.Event) -> list[int]:
    """The statuses of the pages that somebody else opens from the start of the flood to its end."""
    statuses = list[int]()
    while not flood_is_over.is_set():
        for path in ("/healthz", "/transfers/", "/stores/"):
            statuses.append(visitor.session.get(visitor.url + path).status_code)
    return statuses


def test_creations_of_one_operator_are_bounded(flooded: Stack, tmp_path: Path) -> None:
    bucket = flooded.new_bucket()
    log = tmp_path / "web.log"
    with flooded.another_web_server(log, **LIMITS) as url, flooded.signed_in() as admin:
        visitor = Operator(url, admin.session)
        with flooded.signed_in(LOGIN) as login:
            operator = Operator(url, login.session)
            flood_is_over = threading.Event()
            with ThreadPoolExecutor(1) as thread:
                opening = thread.submit(open_pages, visitor, flood_is_over)
                try:
                    answers = asyncio.run(flood(operator, bucket))
                finally:
                    flood_is_over.set()
                pages = opening.result()
            statuses = Counter(answer.status for answer in answers)
            assert set(statuses) == {201, 429}, statuses
            assert 1 <= statuses[201] <= OPEN
            refused = [answer for answer in answers if answer.status == 429]
            assert all(answer.retry_after for answer in refused)
            assert all(b"TooManyCreations" in each.body or b"TooManyTransfers" in each.body for each in refused)
            # Others were served meanwhile.
            assert set(pages) == {200}
            transfers = "SELECT id FROM uploads_transfer WHERE bucket = ?"
            created = [row[0] for row in flooded.query(transfers, bucket)]
            assert len(created) == statuses[201]
            for each in created:
                operator.post(f"/transfers/{each}/cancel/")
    text = log.read_text()
    assert "Traceback" not in text
    assert "is locked" not in text
