"""Which object at a key may be replaced, as an operator saw and allowed it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from uploads.objectstore.types import ObjectFacts
from uploads.problems import Code, Problem


@dataclass(frozen=True, slots=True)
class SeenObject:
    """An object that was seen and may be replaced. What is not known is not compared: size (bytes) and date."""

    etag: str
    size: int | None = None
    last_modified: datetime | None = None

    @classmethod
    def of(cls, facts: ObjectFacts) -> SeenObject:
        return cls(facts.etag, facts.size, facts.last_modified)

    def is_same(self, facts: ObjectFacts) -> bool:
        return (
            self.etag == facts.etag
            and self.size in (None, facts.size)
            and (None in (self.last_modified, facts.last_modified) or self.last_modified == facts.last_modified)
        )

    def describe(self) -> dict[str, str | int | None]:
        """Parameters of a problem that names this object."""
        return {
            "etag": self.etag or "-",
            "size_bytes": "-" if self.size is None else self.size,
            "modified": f"{self.last_modified:%Y-%m-%d %H:%M:%S} UTC" if self.last_modified else "-",
        }

    def as_json(self) -> dict[str, Any]:
        date = self.last_modified.isoformat() if self.last_modified else None
        return {"etag": self.etag, "size": self.size, "last_modified": date}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> SeenObject:
        """Read what `as_json` returned."""
        date = stored["last_modified"]
        return cls(stored["etag"], stored["size"], datetime.fromisoformat(date) if date else None)


@dataclass(frozen=True, slots=True)
class Replacement:
    """The object that may be replaced: none, the one that was seen, or with `any_object` one that nobody looked at."""

    seen: SeenObject | None = None
    any_object: bool = False

    @property
    def forbidden(self) -> bool:
        """Whether no object may be replaced."""
        return self.seen is None and not self.any_object

    def change(self, facts: ObjectFacts) -> Problem | None:
        """How the object at the key differs from the one that may be replaced; None if it may be replaced."""
        now = SeenObject.of(facts).describe()
        if self.forbidden:
            return Problem(Code.OBJECT_WOULD_BE_LOST, **now)
        if self.seen is None or self.seen.is_same(facts):
            return None
        before = {f"seen_{name}": value for name, value in self.seen.describe().items()}
        return Problem(Code.OBJECT_REPLACED_MEANWHILE, **before, **now)


NOTHING = Replacement()
ANYTHING = Replacement(any_object=True)
