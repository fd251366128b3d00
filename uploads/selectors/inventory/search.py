"""Finding uploads by a text: part of a key or of an upload id, or a line of a log that contains an upload id."""

from __future__ import annotations

import re
from urllib.parse import unquote

from django.db import connection
from django.db.models import F, Q, Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

from uploads.models import InventoryUpload

SHORTEST_ID, LONGEST_ID = 8, 1024
MAX_WORDS = 100
QUOTES, STOPS = "\"'`", ".,;:!?"
SEPARATORS = re.compile(r"""[\s"'`=&?#,;:()\[\]{}<>|/\\]+""")

NAMED = re.compile(r"""upload[-_ ]?id["'`]?\s*[=:]\s*["'`]?([^&\s"'`<>]+)""", re.IGNORECASE)
"""What follows `uploadId=` and the like, up to where no id goes on: an id may have separators."""


def upload_ids_in(text: str) -> list[str]:
    """The words of a text, if one of them is the id of a known upload; otherwise none."""
    words = words_of(text)
    found = words and InventoryUpload.objects.filter(exactly(words)).order_by("upload_id").exists()
    return words if found else []


def exactly(words: list[str]) -> Q:
    return Q(upload_id__in=words, ended_at__isnull=True)


def containing(text: str) -> tuple[tuple[str, Q], ...]:
    """The columns that may have the text, with the condition on each."""
    return tuple((column, contains(column, text)) for column in ("key", "upload_id"))


def contains(column: str, text: str) -> Q:
    """Whether a column has a text, compared exactly. `__contains` ignores the case of letters on SQLite."""
    if connection.vendor == "postgresql":
        return Q(**{f"{column}__contains": text})
    return Q(GreaterThan(StrIndex(F(column), Value(text)), 0))


def words_of(text: str) -> list[str]:
    """What may be an upload id in a text: its words, with and without their punctuation, as they are and decoded.

    The longest first: ids are longer than most words.
    """
    words = {
        word
        for line in (text, unquote(text))
        for each in (*line.split(), *SEPARATORS.split(line))
        for word in (each.strip(QUOTES), each.strip(QUOTES + STOPS))
    }
    words |= set(NAMED.findall(text)) | set(NAMED.findall(unquote(text)))
    words |= {unquote(word) for word in words}
    found = (word for word in words if SHORTEST_ID <= len(word) <= LONGEST_ID and "\0" not in word)
    return sorted(found, key=lambda word: (-len(word), word))[:MAX_WORDS]
