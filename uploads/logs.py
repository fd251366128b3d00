"""Logs as lines for people or, with LOG_FORMAT=json, as one JSON object a line for machines.

What work is about (its transfer, its part) is noted once and then stands in every record that is made on the way, those
of the object store client among them. Only the facts named here leave: a record's other attributes never do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

FACTS = (
    *("transfer", "part", "order", "operation", "bucket", "key", "upload_id"),
    *("status", "code", "request_id", "seconds"),
)
"""`operation` is that of the store's API, `order` the id of an operation that an operator ordered."""

_noted: ContextVar[Mapping[str, object]] = ContextVar("noted", default={})  # noqa: B039 - replaced, never changed


@contextmanager
def about(**facts: object) -> Iterator[None]:
    """Inside, records carry these facts, and what `note` adds to them."""
    token = _noted.set({**_noted.get(), **facts})
    try:
        yield
    finally:
        _noted.reset(token)


def note(**facts: object) -> None:
    """Add to what the innermost `about` says."""
    _noted.set({**_noted.get(), **facts})


class Noted(logging.Filter):
    """Gives each record what was noted, where it does not know better itself."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, fact in _noted.get().items():
            if not hasattr(record, name):
                setattr(record, name, fact)
        return True


class JsonLines(logging.Formatter):
    """One object a line: time, level, logger, process, message, the facts, and what was raised."""

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
        return json.dumps(line, default=str)
