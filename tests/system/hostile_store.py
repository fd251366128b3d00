"""A store whose every response is made of texts that a test gives it, on loopback.

It implements as much of the API as Partway's requests need to be answered, and checks no signature.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

from local import ports

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
ROWS = 60
"""Uploads or parts on a page."""


def joined(texts: Sequence[str], chance: random.Random) -> str:
    """One of the texts, or two of them."""
    return "".join(chance.choices(texts, k=chance.choice((1, 2))))


class Texts:
    """The texts of the responses: generated ones, alone and joined at random, and how many were sent."""

    def __init__(self) -> None:
        self.sent = 0
        self._texts: Sequence[str] = [""]
        self._chance = random.Random(0)
        self._lock = threading.Lock()

    def give(self, texts: Sequence[str], chance: random.Random) -> None:
        with self._lock:
            self._texts, self._chance = texts, chance

    def next(self) -> str:
        with self._lock:
            self.sent += 1
            return joined(self._texts, self._chance)

    def xml(self) -> str:
        """A text as XML can hold it."""
        return escape(NOT_IN_XML.sub("", self.next()))

    def key(self) -> str:
        """A text as `encoding-type=url` sends it: every character is possible."""
        return quote(self.next().encode("utf-8", "surrogatepass"), safe="<>&'\"").translate(
            {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;"}
        )

    def header(self) -> bytes:
        """A text as it is, with line ends: what follows them is another header."""
        return self.next().replace("\0", "").encode("utf-8", "replace")


def element(name: str, *content: str) -> str:
    return f"<{name}>{''.join(content)}</{name}>"


def who(texts: Texts, name: str) -> str:
    return element(name, element("ID", texts.xml()), element("DisplayName", texts.xml()))


def upload(texts: Texts) -> str:
    """Every second row has a time, a class and an id that are valid."""
    return element(
        "Upload",
        element("Key", texts.key()),
        element("UploadId", texts.xml()),
        element("Initiated", texts.xml() if texts.sent % 2 else "2026-01-02T03:04:05.000Z"),
        element("StorageClass", texts.xml() if texts.sent % 3 else "STANDARD"),
        who(texts, "Initiator"),
        who(texts, "Owner"),
    )


def part(texts: Texts, number: int) -> str:
    size = texts.xml() if number % 7 == 0 else str(5 * 1024 * 1024)
    modified = element("LastModified", texts.xml())
    return element(
        "Part", element("PartNumber", str(number)), element("ETag", texts.xml()), element("Size", size), modified
    )


def uploads_page(texts: Texts) -> str:
    folders = (element("CommonPrefixes", element("Prefix", texts.key())) for _ in range(5))
    names = ("Bucket", "Prefix", "KeyMarker", "UploadIdMarker", "NextKeyMarker", "NextUploadIdMarker")
    texts_of_page = (element(name, texts.key()) for name in names)
    return element(
        "ListMultipartUploadsResult",
        *texts_of_page,
        "<EncodingType>url</EncodingType>",
        element("IsTruncated", "true" if texts.sent % 2 else "false"),
        *(upload(texts) for _ in range(ROWS)),
        *folders,
    )


def parts_page(texts: Texts, key: str, upload_id: str) -> str:
    names = (
        element("Key", escape(NOT_IN_XML.sub("", key))),
        element("UploadId", escape(NOT_IN_XML.sub("", upload_id))),
    )
    facts = (who(texts, "Initiator"), who(texts, "Owner"), element("StorageClass", texts.xml()))
    parts = (part(texts, number) for number in range(1, ROWS + 1))
    return element("ListPartsResult", *names, *facts, "<IsTruncated>false</IsTruncated>", *parts)


def buckets(texts: Texts) -> str:
    names = (element("Bucket", element("Name", texts.xml()), element("CreationDate", texts.xml())) for _ in range(ROWS))
    return element("ListAllMyBucketsResult", who(texts, "Owner"), element("Buckets", *names))


def refusal(texts: Texts) -> str:
    return element(
        "Error", *(element(name, texts.xml()) for name in ("Code", "Message", "RequestId", "HostId", "Resource"))
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    texts: Texts

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        where = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(where.query, keep_blank_values=True).items()}
        status, xml = self.choose(where.path, query)
        body = b"" if self.command == "HEAD" or not xml else f'<?xml version="1.0" encoding="UTF-8"?>{xml}'.encode()
        head = [b"HTTP/1.1 %d OK" % status, b"Content-Length: %d" % len(body), b"ETag: " + self.texts.header()]
        for name in (b"x-amz-request-id", b"x-amz-meta-a", b"Content-Type", b"Last-Modified", b"x-amz-storage-class"):
            head.append(name + b": " + self.texts.header())
        self.wfile.write(b"\r\n".join(head) + b"\r\n\r\n" + body)

    def choose(self, path: str, query: dict[str, str]) -> tuple[int, str]:
        """Every fourth response to anything but a listing is a refusal."""
        key = path.lstrip("/").partition("/")[2]
        match self.command, path:
            case "GET", _ if "uploads" in query:
                return 200, uploads_page(self.texts)
            case "GET", _ if "uploadId" in query:
                return 200, parts_page(self.texts, key, query["uploadId"])
            case "GET", "/":
                return 200, buckets(self.texts)
            case _ if self.texts.sent % 4 == 0:
                return (400, 403, 404, 409)[self.texts.sent // 4 % 4], refusal(self.texts)
            case _:
                return self.succeed(query)

    def succeed(self, query: dict[str, str]) -> tuple[int, str]:
        if "uploads" in query:
            return 200, element("InitiateMultipartUploadResult", element("UploadId", self.texts.xml()))
        if self.command == "POST":
            return 200, element("CompleteMultipartUploadResult", element("ETag", self.texts.xml()))
        return (204 if self.command == "DELETE" else 200), ""

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_args: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_args: object) -> None:
        """Clients close connections whose responses they cannot read."""


@contextmanager
def running() -> Iterator[tuple[str, Texts]]:
    """The address of the store, and its texts."""
    texts = Texts()
    handler = type("HostileHandler", (Handler,), {"texts": texts})
    with Server((ports.LOOPBACK, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://{ports.LOOPBACK}:{server.server_port}", texts
        finally:
            server.shutdown()
            thread.join()
