"""Parameters and headers that several operations understand alike."""

from __future__ import annotations

from collections.abc import Mapping

from tests.stores.oss import errors
from tests.stores.oss.asked import Asked

STORAGE_CLASSES = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")

KEPT = ("content-type", "cache-control", "content-disposition", "content-encoding", "expires")
"""Headers that come back with the object as they were sent (PutObject, "Request headers")."""

DEFAULT_CONTENT_TYPE = "application/octet-stream"


def number(asked: Asked, name: str, *, default: int, lowest: int, highest: int) -> int:
    """A parameter that is a number; InvalidArgument outside of what is allowed."""
    text = asked.parameters.get(name, "")
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


def forbids_overwrite(asked: Asked) -> bool:
    return asked.header("x-oss-forbid-overwrite").lower() == "true"


def kept_headers(asked: Asked) -> Mapping[str, str]:
    """What an object remembers of the request that began it."""
    headers = {"content-type": DEFAULT_CONTENT_TYPE}
    for name, text in asked.headers.items():
        if name in KEPT or name.startswith("x-oss-meta-"):
            headers[name] = text
    return headers
