"""Documented headers and parameters that this server does not implement.

A request with one of them gets NotImplemented: serving it without would do something else than OSS. Names that are not
documented are ignored, as in OSS.
"""

from __future__ import annotations

from tests.stores.oss import errors, signature_v1
from tests.stores.oss.request import Request

_CONDITIONS = ("if-modified-since", "if-unmodified-since", "if-match", "if-none-match")
"""OSS does not implement conditions for PUT ("Error responses"), and this server for no method."""

_HEADERS = frozenset(
    {
        *_CONDITIONS,
        "x-oss-acl",
        "x-oss-agentic-bucket",
        "x-oss-async-process",
        "x-oss-bucket-tagging",
        "x-oss-bypass-governance-retention",
        "x-oss-metadata-directive",
        "x-oss-object-acl",
        "x-oss-persistent-headers",
        "x-oss-process",
        "x-oss-range-behavior",
        "x-oss-request-payer",
        "x-oss-resource-group-id",
        "x-oss-s3-compat",
        "x-oss-symlink-target",
        "x-oss-traffic-limit",
    }
)
_HEADER_FAMILIES = (
    "x-oss-callback",
    "x-oss-copy-source",
    "x-oss-enable-",
    "x-oss-object-worm-",
    "x-oss-server-side-",
    "x-oss-tagging",
)

_DEFAULTS = {"x-oss-acl": "private", "x-oss-object-acl": "default"}
"""The values of headers that describe what this server does anyway."""

PARAMETERS = signature_v1.SUBRESOURCES - {"security-token", "continuation-token"} | {
    "list-type",
    "tag-key",
    "tag-value",
}
"""Parameters that change what a request does. An operation has exactly those that it implements."""


def refuse_headers(request: Request) -> None:
    """Raise NotImplemented if the request has a header that is not implemented."""
    for name, value in sorted(request.headers.items()):
        known = name in _HEADERS or name.startswith(_HEADER_FAMILIES)
        if known and value != _DEFAULTS.get(name):
            raise errors.not_implemented("-".join(word.capitalize() for word in name.split("-")))
