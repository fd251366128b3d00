"""A request as it came over the line, taken apart and not changed.

The key is the percent-decoded path, whatever it is: `a/../b` and `a//b` are keys of their own.
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
"""Of the endpoint without a region, `oss.aliyuncs.com`."""

MAX_KEY_BYTES = 1023
NOT_UTF_8 = "The specified object is not valid."


@dataclass(frozen=True)
class Host:
    """Whom a request is for: the service, or one bucket."""

    region: str
    bucket: str | None


def parse_host(text: str, domain: str) -> Host:
    """`[bucket.]oss[-region].domain[:port]`; NonStandardHostForbidden for any other."""
    pattern = rf"(?:([a-z0-9_-]+)\.)?oss(?:-([a-z0-9-]+))?\.{re.escape(domain)}(?::\d+)?"
    found = re.fullmatch(pattern, text, re.IGNORECASE)
    if not found:
        raise errors.bad_host()
    bucket, region = found.groups()
    return Host((region or DEFAULT_REGION).lower(), bucket.lower() if bucket else None)


@dataclass(frozen=True)
class Asked:
    """One request. `headers` have names in lower case; `path` and `query` are as they came, still encoded."""

    method: str
    host: Host
    host_text: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Body

    @cached_property
    def key(self) -> str | None:
        """None where the path is `/`. InvalidObjectName for what no key can be."""
        if self.path == "/":
            return None
        try:
            return unquote_to_bytes(self.path[1:].encode("latin-1")).decode()
        except UnicodeDecodeError:
            raise errors.bad_key(NOT_UTF_8) from None

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The query decoded; of a name that comes twice the first."""
        found: dict[str, str] = {}
        for pair in filter(None, self.query.split("&")):
            name, _, value = pair.partition("=")
            found.setdefault(_decoded(name), _decoded(value))
        return found

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    @property
    def bucket(self) -> str:
        assert self.host.bucket is not None
        return self.host.bucket

    @property
    def object_key(self) -> str:
        """The key where there has to be one; see the OSS documentation, "Object naming conventions"."""
        key = self.key
        if not key:
            raise errors.bad_key("The Object name can not be empty.")
        if len(key.encode()) > MAX_KEY_BYTES:
            raise errors.bad_key("The Length of Object name must be less than 1024.", key)
        if key[0] in "/\\":
            raise errors.bad_key("The specified object is not valid.", key)
        return key


def _decoded(text: str) -> str:
    """A `+` is a plus: the query is percent-encoded, no form."""
    return unquote_to_bytes(text.encode("latin-1")).decode(errors="replace")
