"""A store with as many buckets and uploads as wanted, which are made up: a process that responds to what scans ask.

`python -m tests.system.made_up_store BUCKETS UPLOADS` prints its port. Every tenth upload has a part. It checks no
signatures and keeps nothing.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
STARTED = "2026-01-02T03:04:05.000Z"
PART_BYTES = 5000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    buckets = 0
    uploads = 0
    """Of each bucket."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query, keep_blank_values=True)
        bucket, _, key = url.path.lstrip("/").partition("/")
        if not bucket:
            body = _buckets(self.buckets)
        elif key:
            body = _parts(int(key.removeprefix("key-")))
        else:
            marker = query.get("key-marker", [""])[0]
            body = _uploads(int(marker.removeprefix("key-")) + 1 if marker else 0, self.uploads)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _buckets(count: int) -> bytes:
    rows = "".join(f"<Bucket><Name>bucket-{number:04}</Name></Bucket>" for number in range(count))
    return f"<ListAllMyBucketsResult><Buckets>{rows}</Buckets></ListAllMyBucketsResult>".encode()


def _uploads(first: int, count: int) -> bytes:
    last = min(first + PAGE, count) - 1
    rows = "".join(
        f"<Upload><Key>key-{number:06}</Key><UploadId>upload-{number:06}</UploadId><Initiated>{STARTED}</Initiated>"
        "<StorageClass>STANDARD</StorageClass></Upload>"
        for number in range(first, last + 1)
    )
    onward = f"<NextKeyMarker>key-{last:06}</NextKeyMarker><NextUploadIdMarker>upload-{last:06}</NextUploadIdMarker>"
    is_truncated = last + 1 < count
    head = f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>{onward if is_truncated else ''}"
    return f"<ListMultipartUploadsResult>{head}{rows}</ListMultipartUploadsResult>".encode()


def _parts(number: int) -> bytes:
    part = (
        f'<Part><PartNumber>1</PartNumber><LastModified>{STARTED}</LastModified><ETag>"{number:032x}"</ETag>'
        f"<Size>{PART_BYTES}</Size></Part>"
    )
    rows = part if number % 10 == 0 else ""
    return f"<ListPartsResult><IsTruncated>false</IsTruncated>{rows}</ListPartsResult>".encode()


def main(buckets: int, uploads: int) -> None:
    _Handler.buckets, _Handler.uploads = buckets, uploads
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


@contextmanager
def running(buckets: int, uploads: int) -> Iterator[str]:
    """The endpoint of such a store. `uploads` are those of each bucket."""
    argv = [sys.executable, "-m", "tests.system.made_up_store", str(buckets), str(uploads)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
