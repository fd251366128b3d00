"""Logs as text lines or, with LOG_FORMAT=json, as one JSON object for each line.

The facts about the work (its transfer, its part) are set once, and every record of the work has them, also those of the
object store client. Only the facts in FACTS are written; other attributes of a record are not.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from uploads.redaction import redact

FACTS = (
    *("transfer", "part", "order", "operation", "bucket", "key", "upload_id"),
    *("status", "code", "request_id", "seconds"),
)
"""`operation` is that of the store's API; `order` is the id of an operation or store check."""

_noted: ContextVar[Mapping[str, object]] = ContextVar("noted", default={})  # noqa: B039 - replaced, never changed


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Records inside have these facts, and those that `note` adds."""
    token = _noted.set({**_noted.get(), **facts})
    try:
        yield
    finally:
        _noted.reset(token)


def note(**facts: object) -> None:
    """Add facts to the innermost `about`."""
    _noted.set({**_noted.get(), **facts})


class Noted(logging.Filter):
    """Adds the current facts to each record that does not have its own."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, fact in _noted.get().items():
            if not hasattr(record, name):
                setattr(record, name, fact)
        return True


def one_line(text: str) -> str:
    """With escapes in place of line ends and of what else is not visible, which a store or a client may have sent."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class Lines(logging.Formatter):
    """Lines for people, without secrets that an exception may contain. A message is one line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class JsonLines(logging.Formatter):
    """One object for each line: time, level, logger, process, message, facts and exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        facts = {name: getattr(record, name, None) for name in FACTS}
        line |= {name: fact for name, fact in facts.items() if fact not in (None, "")}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str))
