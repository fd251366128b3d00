"""What a text that somebody pastes into the search box says about an upload: lines of logs, addresses, fields. Pure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from urllib.parse import unquote

MAX_IDS = 5
"""Ids of transfers and the like that are looked up for one text."""

UUID = re.compile(r"(?<![0-9a-f-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f-])", re.IGNORECASE)

ADDRESS = re.compile(r"(?:s3|oss)://([^/\s\"'`]+)(?:/([^\"'`]*))?", re.IGNORECASE)
"""`s3://bucket/key`, as command line tools write it."""

REQUEST = re.compile(
    r"(?:https?://[^/\s\"'`]+)?/([^/\s?\"'`]+)/([^\s?\"'`]+)\?[^\s\"'`]*?upload-?id=([^&\s\"'`<>\\]+)", re.IGNORECASE
)
"""The path of a request about an upload, with the bucket in the path."""

FIELD = re.compile(r"[\"']?\b(bucket|key|upload[-_ ]?id)[\"']?\s*[:=]\s*([\"'])(.*?)\2", re.IGNORECASE)
"""`'Key': 'a.bin'`, as clients write the parameters of a call."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a text names of an upload; '' for what it does not."""

    bucket: str = ""
    key: str = ""
    upload_id: str = ""


def ids_in(text: str) -> list[uuid.UUID]:
    """The ids of transfers, operations and the like in a text, each once."""
    return list(dict.fromkeys(uuid.UUID(each) for each in UUID.findall(text)))[:MAX_IDS]


def named_in(text: str) -> Named:
    """The bucket, the key and the upload id that a text names, to fill in a form: they may be wrong."""
    if found := REQUEST.search(text):
        return Named(*(unquote(each) for each in found.groups()))
    if found := ADDRESS.search(text):
        return Named(found[1], found[2] or "")
    fields = {re.sub(r"[-_ ]", "", name.lower()): value for name, _quote, value in FIELD.findall(text)}
    if fields:
        return Named(fields.get("bucket", ""), fields.get("key", ""), fields.get("uploadid", ""))
    is_word = not re.search(r"[\s/]", text)
    return Named(upload_id=text) if is_word else Named(key=text if "\n" not in text else "")
