"""Whether an object appeared after a request: for stores whose ETags do not identify it. Sends no request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from uploads.objectstore.types import ObjectFacts

CLOCK_TOLERANCE = timedelta(seconds=5)
"""Between the clock of the store's Date header, which has whole seconds, and the clock that stamps what it stores."""


@dataclass(frozen=True, slots=True)
class ObjectBefore:
    """What HEAD showed before a request: an object's size, ETag and date; None for each if there was no object."""

    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, facts: ObjectFacts | None) -> Self:
        return cls() if facts is None else cls(facts.size, facts.etag, _written(facts.last_modified))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        return cls(value.get("size"), value.get("etag"), value.get("last_modified"))

    def as_json(self) -> dict[str, Any]:
        return {"size": self.size, "etag": self.etag, "last_modified": self.last_modified}

    @property
    def existed(self) -> bool:
        return self.size is not None


@dataclass(frozen=True, slots=True)
class Appearance:
    """When a request was sent, by the store's clock, and what was there before; None if that is not known."""

    sent_at: datetime | None
    before: ObjectBefore | None

    def was_there(self, facts: ObjectFacts) -> bool:
        """Whether this is certainly the object from before the request."""
        return self.before is not None and self.before.existed and ObjectBefore.of(facts) == self.before

    def confirms(self, facts: ObjectFacts) -> bool:
        """Whether the object certainly appeared after the request.

        Amazon S3 dates an object by the start of its upload, so if there was none before, the date does not matter.
        """
        if self.before is not None and not self.before.existed:
            return True
        if self.was_there(facts) or facts.last_modified is None or self.sent_at is None:
            return False
        return facts.last_modified >= self.sent_at - CLOCK_TOLERANCE


def _written(date: datetime | None) -> str | None:
    return date.isoformat() if date else None
