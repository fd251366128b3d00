"""What of the inventory is meant: the filter of its page, of its exports, of saved views and of sweeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any

from uploads.domain.verdicts import Verdict

EMPTY = "empty"
"""Among the verdicts of a filter: uploads without parts, whatever their verdict is."""

VERDICTS: tuple[str, ...] = (*(verdict.value for verdict in Verdict), EMPTY)


INITIATOR, FOLDER = "initiator", "folder"
WITHOUT = (INITIATOR, FOLDER)
"""What an upload may lack: an initiator, or a folder in its key below the prefix of the filter."""

DELIMITER = "/"
"""Ends each folder of a key."""


class Sort(StrEnum):
    """By what a page is sorted. `AGE` is the time since the start, `IDLE` that since the last part."""

    BYTES = "bytes"
    AGE = "age"
    IDLE = "idle"
    PARTS = "parts"
    KEY = "key"


class Grouping(StrEnum):
    STORE = "store"
    BUCKET = "bucket"
    PREFIX = "prefix"
    INITIATOR = "initiator"
    AGE = "age"


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryFilter:
    """What an upload must have; '', () and None: anything. Sizes are bytes.

    `store` and `bucket` are names. One of `verdicts` suffices. `q` is part of a key or of an upload id, or a text that
    contains an upload id. An upload whose bytes or parts are not known has neither few nor many. `ids` are those of
    selected rows of the inventory. `without` are those of `WITHOUT` that it must not have.
    """

    store: str = ""
    bucket: str = ""
    prefix: str = ""
    initiator: str = ""
    without: tuple[str, ...] = ()
    storage_class: str = ""
    verdicts: tuple[str, ...] = ()
    older_than: timedelta | None = None
    younger_than: timedelta | None = None
    idle_for: timedelta | None = None
    min_bytes: int | None = None
    max_bytes: int | None = None
    min_parts: int | None = None
    max_parts: int | None = None
    q: str = ""
    ids: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What is given, as values of JSON. Durations are seconds."""
        given: dict[str, Any] = {}
        for name in NAMES:
            value = getattr(self, name)
            if value in ("", (), None):
                continue
            given[name] = int(value.total_seconds()) if name in DURATIONS else value
        return given | {name: list(getattr(self, name)) for name in LISTS if name in given}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> InventoryFilter:
        """The filter that `to_json` wrote. Raises ValueError for anything else."""
        values: dict[str, Any] = {name: _read(name, value) for name, value in data.items()}
        return cls(**values)


NAMES = tuple(field.name for field in fields(InventoryFilter))
DURATIONS = frozenset({"older_than", "younger_than", "idle_for"})
NUMBERS = frozenset({"min_bytes", "max_bytes", "min_parts", "max_parts"})
LISTS = frozenset({"verdicts", "ids", "without"})


def _read(name: str, value: object) -> object:
    if name in DURATIONS | NUMBERS and isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return timedelta(seconds=value) if name in DURATIONS else value
    if name == "verdicts" and isinstance(value, list) and all(each in VERDICTS for each in value):
        return tuple(value)
    if name == "without" and isinstance(value, list) and all(each in WITHOUT for each in value):
        return tuple(value)
    if name == "ids" and isinstance(value, list) and all(type(each) is int for each in value):
        return tuple(value)
    if name in NAMES and name not in DURATIONS | NUMBERS | LISTS and isinstance(value, str):
        return value
    raise ValueError(name)
