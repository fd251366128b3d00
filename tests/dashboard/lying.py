"""A listing that lies, before a real store: what MinIO and others do that no store here shows.

ListMultipartUploads is answered here, of what the store behind really holds and of what the test makes of it; every
other request goes to that store as it came, Host included, so that its signature stays valid.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.types import MultipartUpload


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of ListMultipartUploads."""

    prefix: str
    delimiter: str
    max_uploads: int
    key_marker: str
    upload_id_marker: str


@dataclass(frozen=True, slots=True)
class Told:
    """A page as it will be answered; a marker of None is left out."""

    uploads: Sequence[MultipartUpload]
    prefixes: Sequence[str] = ()
    is_truncated: bool = False
    key_marker: str | None = None
    upload_id_marker: str | None = None


Way = Callable[[Sequence[MultipartUpload], Asked], Told]


def by_key(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
    """As S3 lists, without folders: by key, strictly after the markers."""
    ordered = sorted(uploads, key=lambda each: (each.key, each.upload_id))
    after = (asked.key_marker, asked.upload_id_marker or "\uffff")
    rest = [each for each in ordered if not asked.key_marker or (each.key, each.upload_id) > after]
    rest = [each for each in rest if each.key.startswith(asked.prefix)]
    shown = rest[: asked.max_uploads]
    if len(rest) <= len(shown):
        return Told(shown)
    return Told(shown, is_truncated=True, key_marker=shown[-1].key, upload_id_marker=shown[-1].upload_id)


def without_upload_id_marker(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
    """As some stores do: the next key marker alone, also where more uploads of that key follow."""
    told = by_key(uploads, asked)
    return Told(told.uploads, is_truncated=told.is_truncated, key_marker=told.key_marker)


def truncated_and_empty(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
    """More is promised, and nothing said of where it is."""
    return Told((), is_truncated=True)


def like_minio(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
    """All uploads by the time they began, whatever else is asked; with a prefix those of exactly that key."""
    if asked.prefix:
        return Told([each for each in uploads if each.key == asked.prefix])
    return Told(sorted(uploads, key=lambda each: (str(each.initiated), each.upload_id)))


def in_order_of(ids: Sequence[str], uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
    """In the order of these upload ids, whatever the keys; page by page after the upload id of the markers."""
    known = {each.upload_id: each for each in uploads if each.key.startswith(asked.prefix)}
    there = [known[upload_id] for upload_id in ids if upload_id in known]
    begin = ids.index(asked.upload_id_marker) + 1 if asked.upload_id_marker in ids else 0
    rest = [each for each in there if each.upload_id not in ids[:begin]]
    shown = rest[: asked.max_uploads]
    if len(rest) <= len(shown):
        return Told(shown)
    return Told(shown, is_truncated=True, key_marker=shown[-1].key, upload_id_marker=shown[-1].upload_id)


def exact_keys_only(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
    """By key and page by page, and a prefix must be a whole key."""
    if asked.prefix:
        uploads = [each for each in uploads if each.key == asked.prefix]
    return by_key(uploads, asked)


@dataclass
class LyingStore:
    """`way` makes a page; `forgotten` upload ids are named no more, `kept` uploads go on being named.

    `headers` stand, by the request's method, in answers instead of the store's own; a `deaf` store takes whatever
    Content-MD5 denies, and here keeps nothing of it.
    """

    client: ObjectStoreClient
    endpoint_url: str
    way: Way = by_key
    forgotten: set[str] = field(default_factory=set)
    kept: list[MultipartUpload] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    deaf: bool = False
    url: str = ""

    def answer(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        given = {name: values[0] for name, values in query.items()}
        asked = Asked(
            given.get("prefix", ""),
            given.get("delimiter", ""),
            int(given.get("max-uploads", "1000")),
            given.get("key-marker", ""),
            given.get("upload-id-marker", ""),
        )
        self.asked.append(asked)
        pages = self.client.iter_multipart_uploads(bucket)
        there = [each for page in pages for each in page.uploads if each.upload_id not in self.forgotten]
        return _written(self.way([*there, *(each for each in self.kept if each not in there)], asked))


def _written(told: Told) -> bytes:
    rows = "".join(
        f"<Upload><Key>{escape(each.key)}</Key><UploadId>{each.upload_id}</UploadId>"
        f"<Initiated>{each.initiated.isoformat() if each.initiated else ''}</Initiated></Upload>"
        for each in told.uploads
    )
    rows += "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in told.prefixes)
    markers = {"NextKeyMarker": told.key_marker, "NextUploadIdMarker": told.upload_id_marker}
    rows += "".join(f"<{name}>{escape(text)}</{name}>" for name, text in markers.items() if text is not None)
    truncated = f"<IsTruncated>{str(told.is_truncated).lower()}</IsTruncated>"
    return f"<ListMultipartUploadsResult>{truncated}{rows}</ListMultipartUploadsResult>".encode()


@contextmanager
def lying(client: ObjectStoreClient, endpoint_url: str) -> Iterator[LyingStore]:
    """Serve on a free loopback port."""
    store = LyingStore(client, endpoint_url)

    class Handler(_Handler):
        lies = store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    lies: LyingStore

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def _serve(self) -> None:
        target = urlsplit(self.path)
        query = parse_qs(target.query, keep_blank_values=True)
        if self.command == "GET" and "uploads" in query:
            self._answer(200, {}, self.lies.answer(target.path.strip("/"), query))
        else:
            self._hand_on()

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        digest = hashlib.md5(body, usedforsecurity=False)
        if self.lies.deaf and self.headers.get("Content-MD5") not in {None, b64encode(digest.digest()).decode()}:
            self._answer(200, {"ETag": f'"{digest.hexdigest()}"'}, b"")
            return
        behind = http.client.HTTPConnection(urlsplit(self.lies.endpoint_url).netloc, timeout=60)
        try:
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, text in self.headers.items():
                behind.putheader(name, text)
            behind.endheaders(body)
            answer = behind.getresponse()
            self._answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            behind.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        length = str(len(body))
        instead = self.lies.headers.get(self.command, {})
        for name, text in {**{name.lower(): text for name, text in headers.items()}, **instead}.items():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = text
            elif name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, text)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve
