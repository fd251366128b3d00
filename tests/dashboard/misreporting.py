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
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import requests

from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.payload import Payload
from uploads.objectstore.signing import signer_for
from uploads.objectstore.transport import Call, Transport
from uploads.objectstore.types import MultipartUpload, StoreConfig


@dataclass(frozen=True, slots=True)
class ListingQuery:
    """The parameters of ListMultipartUploads."""

    prefix: str
    delimiter: str
    max_uploads: int
    key_marker: str
    upload_id_marker: str


@dataclass(frozen=True, slots=True)
class ListedPage:
    """A page of the response. A marker of None is omitted."""

    uploads: Sequence[MultipartUpload]
    prefixes: Sequence[str] = ()
    is_truncated: bool = False
    key_marker: str | None = None
    upload_id_marker: str | None = None


MakePage = Callable[[Sequence[MultipartUpload], ListingQuery], ListedPage]


def by_key(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """Like S3, without folders: by key, strictly after the markers."""
    ordered = sorted(uploads, key=lambda each: (each.key, each.upload_id))
    after = (query.key_marker, query.upload_id_marker or "\uffff")
    rest = [each for each in ordered if not query.key_marker or (each.key, each.upload_id) > after]
    rest = [each for each in rest if each.key.startswith(query.prefix)]
    shown = rest[: query.max_uploads]
    if len(rest) <= len(shown):
        return ListedPage(shown)
    return ListedPage(shown, is_truncated=True, key_marker=shown[-1].key, upload_id_marker=shown[-1].upload_id)


def without_upload_id_marker(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """Like some stores: the next key marker alone, even if more uploads of that key follow."""
    page = by_key(uploads, query)
    return ListedPage(page.uploads, is_truncated=page.is_truncated, key_marker=page.key_marker)


def like_garage(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """Pages like those of S3, each with its rows by upload id."""
    page = by_key(uploads, query)
    return replace(page, uploads=sorted(page.uploads, key=lambda each: each.upload_id))


def like_seaweedfs(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """By upload id, with the next upload id marker alone. A key marker lists only the uploads with that key."""
    rest = sorted((each for each in uploads if each.key.startswith(query.prefix)), key=lambda each: each.upload_id)
    rest = [each for each in rest if query.key_marker in ("", each.key) and each.upload_id > query.upload_id_marker]
    shown = rest[: query.max_uploads]
    if len(shown) < query.max_uploads:
        return ListedPage(shown)
    return ListedPage(shown, is_truncated=True, upload_id_marker=shown[-1].upload_id)


def nothing_after_markers(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """The first page like that of S3. A page after any markers is empty, and reported as the last."""
    return by_key(uploads, query) if not (query.key_marker or query.upload_id_marker) else ListedPage(())


def back_and_forth(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """The first page again and again: its markers do not advance."""
    return by_key(uploads, replace(query, key_marker="", upload_id_marker=""))


def in_a_circle(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """Pages of which the last leads back to the second."""
    page = by_key(uploads, query)
    if page.is_truncated:
        return page
    first = by_key(uploads, replace(query, key_marker="", upload_id_marker=""))
    return replace(first, uploads=page.uploads, is_truncated=True)


def whole_page_is_the_last(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """The first page, never truncated."""
    return ListedPage(by_key(uploads, query).uploads)


def truncated_and_empty(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """A truncated page without uploads and markers."""
    return ListedPage((), is_truncated=True)


def like_minio(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """All uploads by creation time, ignoring other parameters; with a prefix, those with exactly that key."""
    if query.prefix:
        return ListedPage([each for each in uploads if each.key == query.prefix])
    return ListedPage(sorted(uploads, key=lambda each: (str(each.initiated), each.upload_id)))


def in_order_of(ids: Sequence[str], uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """In the order of these upload ids, independent of keys; page by page after the upload id marker."""
    known = {each.upload_id: each for each in uploads if each.key.startswith(query.prefix)}
    present = [known[upload_id] for upload_id in ids if upload_id in known]
    start = ids.index(query.upload_id_marker) + 1 if query.upload_id_marker in ids else 0
    rest = [each for each in present if each.upload_id not in ids[:start]]
    shown = rest[: query.max_uploads]
    if len(rest) <= len(shown):
        return ListedPage(shown)
    return ListedPage(shown, is_truncated=True, key_marker=shown[-1].key, upload_id_marker=shown[-1].upload_id)


def exact_keys_only(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
    """By key and page by page. A prefix must be a whole key."""
    if query.prefix:
        uploads = [each for each in uploads if each.key == query.prefix]
    return by_key(uploads, query)


@dataclass
class MisreportingStore:
    """`make_page` creates a page. It never contains `omitted` upload ids, and always the uploads in `kept`.

    `headers` replace headers of the store's responses, by the request's method. With `ignores_md5`, bodies that do not
    match their Content-MD5 are accepted, but not stored. `fails_after_acting` has the number of requests, by method and
    end of the key, to which the response is an internal error although the store has acted. `kept_after_abort` is the
    number of aborts that are reported as successful, but do nothing. If `drops_leading_slash` is the configuration of
    the real store, keys lose a slash at their start, as in Garage.
    """

    client: ObjectStoreClient
    endpoint_url: str
    make_page: MakePage = by_key
    omitted: set[str] = field(default_factory=set)
    kept: list[MultipartUpload] = field(default_factory=list)
    queries: list[ListingQuery] = field(default_factory=list)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    ignores_md5: bool = False
    fails_after_acting: dict[tuple[str, str], int] = field(default_factory=dict)
    kept_after_abort: int = 0
    drops_leading_slash: StoreConfig | None = None
    url: str = ""

    def fails(self, method: str, path: str) -> bool:
        """Whether the response to this request is an internal error."""
        key = unquote(path)
        for (each, end), left in self.fails_after_acting.items():
            if each == method and key.endswith(end) and left:
                self.fails_after_acting[each, end] = left - 1
                return True
        return False

    def keeps_upload(self) -> bool:
        """Whether this abort does nothing."""
        self.kept_after_abort -= 1
        return self.kept_after_abort >= 0

    def respond(self, bucket: str, parameters: dict[str, list[str]]) -> bytes:
        given = {name: values[0] for name, values in parameters.items()}
        query = ListingQuery(
            given.get("prefix", ""),
            given.get("delimiter", ""),
            int(given.get("max-uploads", "1000")),
            given.get("key-marker", ""),
            given.get("upload-id-marker", ""),
        )
        self.queries.append(query)
        pages = self.client.iter_multipart_uploads(bucket)
        present = [each for page in pages for each in page.uploads if each.upload_id not in self.omitted]
        return _written(self.make_page([*present, *(each for each in self.kept if each not in present)], query))


def _written(page: ListedPage) -> bytes:
    rows = "".join(
        f"<Upload><Key>{escape(each.key)}</Key><UploadId>{each.upload_id}</UploadId>"
        f"<Initiated>{each.initiated.isoformat() if each.initiated else ''}</Initiated></Upload>"
        for each in page.uploads
    )
    rows += "".join(f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in page.prefixes)
    markers = {"NextKeyMarker": page.key_marker, "NextUploadIdMarker": page.upload_id_marker}
    rows += "".join(f"<{name}>{escape(text)}</{name}>" for name, text in markers.items() if text is not None)
    truncated = f"<IsTruncated>{str(page.is_truncated).lower()}</IsTruncated>"
    return f"<ListMultipartUploadsResult>{truncated}{rows}</ListMultipartUploadsResult>".encode()


@contextmanager
def misreporting(client: ObjectStoreClient, endpoint_url: str) -> Iterator[MisreportingStore]:
    """Serve on a free loopback port."""
    served = MisreportingStore(client, endpoint_url)

    class Handler(_Handler):
        store = served

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    store: MisreportingStore

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""

    def _serve(self) -> None:
        target = urlsplit(self.path)
        query = parse_qs(target.query, keep_blank_values=True)
        if self.command == "GET" and "uploads" in query:
            self._respond(200, {}, self.store.respond(target.path.strip("/"), query))
        elif self.command == "DELETE" and "uploadId" in query and self.store.keeps_upload():
            self._respond(204, {}, b"")
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            bucket, _, key = target.path.removeprefix("/").partition("/")
            config = self.store.drops_leading_slash
            if config is not None and key.startswith("/"):
                self._send_again(config, bucket, unquote(key).removeprefix("/"), query, body)
            else:
                self._forward(target.path, body)

    def _send_again(self, config: StoreConfig, bucket: str, key: str, query: dict[str, list[str]], body: bytes) -> None:
        """The request with another key, signed for it."""
        parameters = {name: values[0] for name, values in query.items()}
        call = Call("", self.command, bucket, key, parameters, payload=Payload(body) if body else None)
        transport = Transport(config, signer_for(config))
        try:
            prepared = transport.prepare(call)
        finally:
            transport.close()
        with requests.Session() as session:
            session.trust_env = False
            response = session.send(prepared)
        self._respond(response.status_code, dict(response.headers), response.content)

    def _forward(self, path: str, body: bytes) -> None:
        digest = hashlib.md5(body, usedforsecurity=False)
        if self.store.ignores_md5 and self.headers.get("Content-MD5") not in {
            None,
            b64encode(digest.digest()).decode(),
        }:
            self._respond(200, {"ETag": f'"{digest.hexdigest()}"'}, b"")
            return
        upstream = http.client.HTTPConnection(urlsplit(self.store.endpoint_url).netloc, timeout=60)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, text in self.headers.items():
                upstream.putheader(name, text)
            upstream.endheaders(body)
            response = upstream.getresponse()
            status, headers, content = response.status, dict(response.getheaders()), response.read()
            if self.store.fails(self.command, path):
                status, headers, content = 500, {}, b"<Error><Code>InternalError</Code></Error>"
            self._respond(status, headers, content)
        finally:
            upstream.close()

    def _respond(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        length = str(len(body))
        replaced = self.store.headers.get(self.command, {})
        for name, text in {**{name.lower(): text for name, text in headers.items()}, **replaced}.items():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = text
            elif name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, text)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve
