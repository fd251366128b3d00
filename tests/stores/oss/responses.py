"""Responses as data, and error responses."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.stores.oss import xml
from tests.stores.oss.errors import Refusal


@dataclass(frozen=True, slots=True)
class FileRange:
    """A range of bytes in a file."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Response:
    """A response. `length` overrides the length of the body, because a response to HEAD has a size and no body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | tuple[FileRange, ...] = b""
    length: int | None = None

    @property
    def content_length(self) -> int:
        if self.length is not None:
            return self.length
        return len(self.body) if isinstance(self.body, bytes) else sum(each.size for each in self.body)


def document(root: xml.Node, headers: Mapping[str, str] | None = None) -> Response:
    return Response(200, {"Content-Type": "application/xml", **(headers or {})}, xml.document(root))


def refused(refusal: Refusal, *, method: str, host: str, request_id: str) -> Response:
    """An error response. A response to HEAD has no body, but the XML in base64 in the header x-oss-err."""
    body = xml.document(
        (
            "Error",
            [
                ("Code", refusal.code),
                ("Message", refusal.message),
                ("RequestId", request_id),
                ("HostId", host),
                *refusal.fields.items(),
                ("EC", refusal.ec),
                ("RecommendDoc", f"https://api.aliyun.com/troubleshoot?q={refusal.ec}"),
            ],
        )
    )
    headers = {"Content-Type": "application/xml", "x-oss-ec": refusal.ec}
    if method == "HEAD":
        return Response(refusal.status, {**headers, "x-oss-err": base64.b64encode(body).decode()})
    return Response(refusal.status, headers, body)
