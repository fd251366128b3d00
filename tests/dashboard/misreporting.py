"""A proxy before a real store whose listing misreports, as the listings of MinIO and others do.

The proxy responds to ListMultipartUploads itself, from what the real store holds and what the test changes. It passes
every other request on unchanged, the Host header included, so that the signature stays valid.
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
class ListRequest:
    """The parameters of ListMultipartUploads."""

    prefix: str
    delimiter: str
    max_uploads: int
    key_marker: str
    upload_id_marker: str


@dataclass(frozen=True, slots=True)
class ReportedPage:
    """A page as the proxy returns it. A marker of None is omitted."""

    uploads: Sequence[MultipartUpload]
    prefixes: Sequence[str] = ()
    is_truncated: bool = False
    key_marker: str | None = None
    upload_id_marker: str | None = None


Quirk = Callable[[Sequence[MultipartUpload], ListRequest], ReportedPage]


def by_key(uploads: Sequence[MultipartUpload], request: ListRequest) -> ReportedPage:
    """As S3 lists without a delimiter: by key, strictly after the markers."""
    ordered = sorted(uploads, key=lambda each: (each.key, each.upload_id))
    after = (request.key_marker, request.upload_id_marker or "\uffff")
    rest = [each for each in ordered if not request.key_marker or (each.key, each.upload_id) > after]
    rest = [each for each in rest if each.key.startswith(request.prefix)]
    shown = rest[: request.max_uploads]
    if len(rest) <= len(shown):
        return ReportedPage(shown)
    return ReportedPage(shown, is_truncated=True, key_marker=shown[-1].key, upload_id_marker=shown[-1].upload_id)


def without_upload_id_marker(uploads: Sequence[MultipartUpload], request: ListRequest) -> ReportedPage:
    """As some stores do: only the next key marker, even if more uploads of that key follow."""
    reported = by_key(uploads, request)
    return ReportedPage(reported.uploads, is_truncated=reported.is_truncated, key_marker=reported.key_marker)


def truncated_and_empty(uploads: Sequence[MultipartUpload], request: ListRequest) -> ReportedPage:
    """Truncated, but without uploads and markers."""
    return ReportedPage((), is_truncated=True)


def like_minio(uploads: Sequence[MultipartUpload], request: ListRequest) -> ReportedPage:
    """All uploads by the time of their creation, whatever is requested; with a prefix, those of exactly that key."""
    if request.prefix:
        return ReportedPage([each for each in uploads if each.key == request.prefix])
    return ReportedPage(sorted(uploads, key=lambda each: (str(each.initiated), each.upload_id)))


def in_order_of(ids: Sequence[str], uploads: Sequence[MultipartUpload], request: ListRequest) -> ReportedPage:
    """In the order of these upload ids, page by page, after the upload id of the marker."""
    known = {each.upload_id: each for each in uploads if each.key.startswith(request.prefix)}
    present = [known[upload_id] for upload_id in ids if upload_id in known]
    start = ids.index(request.upload_id_marker) + 1 if request.upload_id_marker in ids else 0
    rest = [each for each in present if each.upload_id not in ids[:start]]
    shown = rest[: request.max_uploads]
    if len(rest) <= len(shown):
        return ReportedPage(shown)
    return ReportedPage(shown, is_truncated=True, key_marker=shown[-1].key, upload_id_marker=shown[-1].upload_id)


def exact_keys_only(uploads: Sequence[MultipartUpload], request: ListRequest) -> ReportedPage:
    """By key and page by page. A prefix must be a whole key."""
    if request.prefix:
        uploads = [each for each in uploads if each.key == request.prefix]
    return by_key(uploads, request)


@dataclass
class MisreportingStore:
    """`quirk` creates a page without the `omitted` upload ids, but with the `kept` uploads, which may have ended.

    `headers` replace the headers of responses, by the request's method. A store with `ignores_md5` accepts a body that
    does not match its Content-MD5; the proxy discards such a body.
    """

    client: ObjectStoreClient
    endpoint_url: str
    quirk: Quirk = by_key
    omitted: set[str] = field(default_factory=set)
    kept: list[MultipartUpload] = field(default_factory=list)
    requests: list[ListRequest] = field(default_factory=list)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    ignores_md5: bool = False
    url: str = ""

    def respond(self, bucket: str, query: dict[str, list[str]]) -> bytes:
        given = {name: values[0] for name, values in query.items()}
        request = ListRequest(
            given.get("prefix", ""),
            given.get("delimiter", ""),
            int(given.get("max-uploads", "1000")),
            given.get("key-marker", ""),
            given.get("upload-id-marker", ""),
        )
        self.requests.append(request)
        pages = self.client.iter_multipart_uploads(bucket)
        listed = [each for page in pages for each in page.uploads if each.upload_id not in self.omitted]
        return _written(self.quirk([*listed, *(each for each in self.kept if each not in listed)], request))


def _written(reported: ReportedPage) -> bytes:
    rows = "".join(
        f"<Upload><Key>{escape(each.key)}</Key><UploadId>{each.upload_id}</UploadId>"
        f"<Initiated>{each.initiated.isoformat() if each.initiated else ''}</Initiated></Upload>"
        for each in reported.uploads
    )
    rows += "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in reported.prefixes)
    markers = {"NextKeyMarker": reported.key_marker, "NextUploadIdMarker": reported.upload_id_marker}
    rows += "".join(f"<{name}>{escape(text)}</{name}>" for name, text in markers.items() if text is not None)
    truncated = f"<IsTruncated>{str(reported.is_truncated).lower()}</IsTruncated>"
    return f"<ListMultipartUploadsResult>{truncated}{rows}</ListMultipartUploadsResult>".encode()


@contextmanager
def misreporting(client: ObjectStoreClient, endpoint_url: str) -> Iterator[MisreportingStore]:
    """Serve on a free loopback port."""
    running = MisreportingStore(client, endpoint_url)

    class Handler(_Handler):
        store = running

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    store: MisreportingStore

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def _serve(self) -> None:
        target = urlsplit(self.path)
        query = parse_qs(target.query, keep_blank_values=True)
        if self.command == "GET" and "uploads" in query:
            self._send(200, {}, self.store.respond(target.path.strip("/"), query))
        else:
            self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        digest = hashlib.md5(body, usedforsecurity=False)
        if self.store.ignores_md5 and self.headers.get("Content-MD5") not in {
            None,
            b64encode(digest.digest()).decode(),
        }:
            self._send(200, {"ETag": f'"{digest.hexdigest()}"'}, b"")
            return
        behind = http.client.HTTPConnection(urlsplit(self.store.endpoint_url).netloc, timeout=60)
        try:
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, text in self.headers.items():
                behind.putheader(name, text)
            behind.endheaders(body)
            response = behind.getresponse()
            self._send(response.status, dict(response.getheaders()), response.read())
        finally:
            behind.close()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        length = str(len(body))
        instead = self.store.headers.get(self.command, {})
        for name, text in {**{name.lower(): text for name, text in headers.items()}, **instead}.items():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = text
            elif name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, text)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve
