"""Parameters and headers that several operations share."""

from __future__ import annotations

from collections.abc import Mapping

from tests.stores.oss import errors
from tests.stores.oss.request import Request

STORAGE_CLASSES = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")

STORED = ("content-type", "cache-control", "content-disposition", "content-encoding", "expires")
"""Headers that are stored with the object (PutObject, "Request headers")."""

DEFAULT_CONTENT_TYPE = "application/octet-stream"


def number(request: Request, name: str, *, default: int, lowest: int, highest: int) -> int:
    """A parameter that is a number. Raises InvalidArgument if it is out of range."""
    text = request.parameters.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and lowest <= int(text) <= highest):
        raise errors.bad_argument(name, text, f"Argument {name} must be an integer between {lowest} and {highest}.")
    return int(text)


def storage_class(text: str, default: str) -> str:
    if not text:
        return default
    if text not in STORAGE_CLASSES:
        raise errors.bad_argument("x-oss-storage-class", text, "No such bucket storage class exists.")
    return text


def forbids_overwrite(request: Request) -> bool:
    return request.header("x-oss-forbid-overwrite").lower() == "true"


def stored_headers(request: Request) -> Mapping[str, str]:
    """The headers of the request that are stored with the object."""
    headers = {"content-type": DEFAULT_CONTENT_TYPE}
    for name, text in request.headers.items():
        if name in STORED or name.startswith("x-oss-meta-"):
            headers[name] = text
    return headers
