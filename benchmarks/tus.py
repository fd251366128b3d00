"""Sends a file by tus as fast as possible: one PATCH request, with sendfile(). Waits until a transfer has ended."""

from __future__ import annotations

import base64
import http.client
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.system.stack import Operator

BLOCK = 4 * 1024**2
POLL_SECONDS = 0.05
"""Short, because it is part of the measured time. A shorter one keeps the web server busy."""


def send(operator: Operator, file: Path, **fields: object) -> str:
    """Create an upload with this metadata (`store`, `bucket`, `key`, ...) and send it. Returns the transfer's id."""
    size = file.stat().st_size
    named = {name.replace("_", "-"): str(value) for name, value in {"filename": file.name, **fields}.items()}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())
    connection = http.client.HTTPConnection(urlsplit(operator.url).netloc, timeout=600)
    headers = {"Tus-Resumable": "1.0.0", "Cookie": operator.cookies, "X-CSRFToken": operator.csrf_token}
    connection.request("POST", "/files/", headers={**headers, "Upload-Length": str(size), "Upload-Metadata": metadata})
    created = connection.getresponse()
    assert created.status == 201, created.read()
    created.read()
    location = created.headers["Location"]
    _patch(connection, location, headers, file, size)
    connection.close()
    return location.rsplit("/", 1)[-1]


def _patch(
    connection: http.client.HTTPConnection, location: str, headers: dict[str, str], file: Path, size: int
) -> None:
    connection.putrequest("PATCH", location)
    patch_headers = {
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": "0",
        "Content-Length": str(size),
    }
    for name, value in {**headers, **patch_headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.sock.settimeout(None)  # sendfile() needs a blocking socket.
    with file.open("rb") as body:
        offset = 0
        while offset < size:
            offset += os.sendfile(connection.sock.fileno(), body.fileno(), offset, BLOCK)
    response = connection.getresponse()
    assert response.status == 204, response.read()
    response.read()


def wait_for_end(operator: Operator, transfer_id: str, seconds: float = 600) -> dict[str, object]:
    """Wait until a transfer has ended, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        transfer = operator.transfer(transfer_id)
        if transfer["state"] in ("done", "failed", "cancelled"):
            return transfer
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"transfer {transfer_id} has not ended")
