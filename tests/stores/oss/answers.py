"""What goes back: an answer as data, and a refusal made into one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.stores.oss import xml
from tests.stores.oss.errors import Refusal


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many bytes of a file, from an offset on."""

    path: Path
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`length` overrules the body's own: an answer to HEAD tells a size and has no body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | tuple[Stretch, ...] = b""
    length: int | None = None

    @property
    def content_length(self) -> int:
        if self.length is not None:
            return self.length
        return len(self.body) if isinstance(self.body, bytes) else sum(each.size for each in self.body)


def document(root: xml.Node, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(200, {"Content-Type": "application/xml", **(headers or {})}, xml.document(root))


def refused(refusal: Refusal, *, method: str, host: str, request_id: str) -> Answer:
    """An error. HEAD has no body: there the XML comes in the header x-oss-err, in base64."""
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
        return Answer(refusal.status, {**headers, "x-oss-err": base64.b64encode(body).decode()})
    return Answer(refusal.status, headers, body)
