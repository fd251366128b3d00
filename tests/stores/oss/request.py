"""A request as it was received, parsed and not normalized.

The key is the percent-decoded path: `a/../b` and `a//b` are keys like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote_to_bytes

from tests.stores.oss import errors
from tests.stores.oss.bodies import Body

DEFAULT_REGION = "cn-hangzhou"
"""The region of the endpoint without one, `oss.aliyuncs.com`."""

MAX_KEY_BYTES = 1023
NOT_UTF_8 = "The specified object is not valid."


@dataclass(frozen=True)
class Host:
    """The target of a request: the service, or one bucket."""

    region: str
    bucket: str | None


def parse_host(text: str, domain: str) -> Host:
    """Parse `[bucket.]oss[-region].domain[:port]`. Raises NonStandardHostForbidden for any other host."""
    pattern = rf"(?:([a-z0-9_-]+)\.)?oss(?:-([a-z0-9-]+))?\.{re.escape(domain)}(?::\d+)?"
    match = re.fullmatch(pattern, text, re.IGNORECASE)
    if not match:
        raise errors.bad_host()
    bucket, region = match.groups()
    return Host((region or DEFAULT_REGION).lower(), bucket.lower() if bucket else None)


@dataclass(frozen=True)
class Request:
    """One request. The names of `headers` are in lower case. `path` and `query` are not decoded."""

    method: str
    host: Host
    host_text: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Body

    @cached_property
    def key(self) -> str | None:
        """The key, or None if the path is `/`. Raises InvalidObjectName if it is not UTF-8."""
        if self.path == "/":
            return None
        try:
            return unquote_to_bytes(self.path[1:].encode("latin-1")).decode()
        except UnicodeDecodeError:
            raise errors.bad_key(NOT_UTF_8) from None

    @cached_property
    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The decoded names and values of the query in their order."""
        pairs = (pair.partition("=") for pair in self.query.split("&") if pair)
        return [(_decoded(name), _decoded(value)) for name, _, value in pairs]

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The query by name. The first parameter wins if a name occurs twice."""
        values: dict[str, str] = {}
        for name, value in self.pairs:
            values.setdefault(name.decode(errors="replace"), value.decode(errors="replace"))
        return values

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    @property
    def bucket(self) -> str:
        assert self.host.bucket is not None
        return self.host.bucket

    @property
    def object_key(self) -> str:
        """The key of an operation that needs one. See the OSS documentation, "Object naming conventions"."""
        key = self.key
        if not key:
            raise errors.bad_key("The Object name can not be empty.")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise errors.bad_key("The Length of Object name must be less than 1024.", key)
        if key[0] in "/\\":
            raise errors.bad_key("The specified object is not valid.", key)
        return key


def bytes_of(text: str) -> bytes:
    """The bytes of a text from a request, which may not be UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _decoded(text: str) -> bytes:
    """A `+` is a space: clients of OSS that encode the query as a form sign the space (oss2)."""
    return unquote_to_bytes(text.replace("+", "%20").encode("latin-1"))
