"""What an operator saw and confirmed before a completion, and how the store differs from it. Pure.

A confirmation travels through a form or a request of a script, so that it cannot be replaced by a newer look at the
store: it has a digest of the parts, the gaps, and the object that may be replaced.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from uploads.domain.part_numbers import name_numbers, write_numbers
from uploads.objectstore.types import MAX_PART_NUMBER, ListedPart, ObjectFacts
from uploads.problems import Code, Problem

MARK_BYTES = 3
"""Bytes that tell whether a single part was replaced. They only name the part: the digest decides."""

MAX_SEEN_TEXT = 256 * 1024
"""Characters of seen parts as text; 10,000 parts with every second number missing need less than 100,000."""

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class InvalidConfirmation(ValueError):
    """A text that is not a confirmation; the message names the field."""


@dataclass(frozen=True, slots=True)
class SeenParts:
    """The parts that were seen: a SHA-256 of all, and for the texts their numbers and a few bytes of each.

    A script may give the digest alone. Then it is known that something differs, but not what.
    """

    digest: str
    numbers: tuple[int, ...] | None = None
    marks: bytes = b""

    @classmethod
    def of(cls, parts: Iterable[ListedPart]) -> SeenParts:
        """The digest is over one line for each part, in ascending order: number, size in bytes and ETag."""
        ordered = sorted(parts, key=lambda part: part.number)
        whole, marks = hashlib.sha256(), bytearray()
        for part in ordered:
            line = f"{part.number} {part.size} {part.etag}\n".encode("utf-8", "surrogatepass")
            whole.update(line)
            marks += hashlib.sha256(line).digest()[:MARK_BYTES]
        numbers = tuple(part.number for part in ordered)
        if any(not 1 <= number <= MAX_PART_NUMBER for number in numbers):
            return cls(whole.hexdigest())
        return cls(whole.hexdigest(), numbers, bytes(marks))

    def __str__(self) -> str:
        """`DIGEST` or `DIGEST/NUMBERS/MARKS`; plain ASCII without spaces."""
        if self.numbers is None:
            return self.digest
        marks = base64.urlsafe_b64encode(self.marks).decode().rstrip("=")
        return f"{self.digest}/{write_numbers(self.numbers)}/{marks}"

    @classmethod
    def from_text(cls, text: str) -> SeenParts:
        """Raises InvalidConfirmation for anything that `str` does not write."""
        digest, *rest = text.strip().split("/", 2)
        if len(text) > MAX_SEEN_TEXT or not _DIGEST.match(digest) or len(rest) not in (0, 2):
            raise InvalidConfirmation("parts-seen")
        if not rest:
            return cls(digest)
        numbers = read_numbers(rest[0], "parts-seen")
        try:
            marks = base64.b64decode(rest[1] + "=" * (-len(rest[1]) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise InvalidConfirmation("parts-seen") from None
        if len(marks) != MARK_BYTES * len(numbers):
            raise InvalidConfirmation("parts-seen")
        return cls(digest, numbers, marks)

    def changes(self, parts: Sequence[ListedPart]) -> tuple[Problem, ...]:
        """How the parts in the store differ from those that were seen; empty if they are the same."""
        now = SeenParts.of(parts)
        if now.digest == self.digest:
            return ()
        if self.numbers is None or now.numbers is None:
            return (Problem(Code.PARTS_NOT_AS_SEEN),)
        before, after = self._by_number(), now._by_number()
        found = (
            (Code.PARTS_ARRIVED, after.keys() - before.keys()),
            (
                Code.PARTS_SENT_AGAIN,
                {number for number in after.keys() & before.keys() if after[number] != before[number]},
            ),
            (Code.PARTS_VANISHED, before.keys() - after.keys()),
        )
        named = tuple(
            Problem(code, count=len(numbers), parts=name_numbers(sorted(numbers))) for code, numbers in found if numbers
        )
        return named or (Problem(Code.PARTS_NOT_AS_SEEN),)

    def _by_number(self) -> dict[int, bytes]:
        starts = range(0, len(self.marks), MARK_BYTES)
        return {number: self.marks[at : at + MARK_BYTES] for number, at in zip(self.numbers or (), starts, strict=True)}


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


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What an operator confirmed: these parts, with these gaps, and which object may be replaced.

    `gaps` are the missing part numbers that were seen, as `write_numbers` writes them. Without `replaces` no object may
    be replaced. `replaces_unseen`: HEAD was not allowed, and an object that nobody has looked at may be replaced.
    """

    parts: SeenParts
    gaps: str = ""
    replaces: SeenObject | None = None
    replaces_unseen: bool = False

    @property
    def may_replace(self) -> bool:
        return self.replaces is not None or self.replaces_unseen

    def as_json(self) -> dict[str, Any]:
        stored: dict[str, Any] = {"parts": str(self.parts), "gaps": self.gaps, "replaces_unseen": self.replaces_unseen}
        if (seen := self.replaces) is not None:
            date = seen.last_modified.isoformat() if seen.last_modified else None
            stored["replaces"] = {"etag": seen.etag, "size": seen.size, "last_modified": date}
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Confirmation:
        """Read what `as_json` returned."""
        replaced = stored.get("replaces")
        if replaced is not None:
            date = replaced["last_modified"]
            replaced = SeenObject(replaced["etag"], replaced["size"], datetime.fromisoformat(date) if date else None)
        return cls(SeenParts.from_text(stored["parts"]), stored["gaps"], replaced, stored["replaces_unseen"])


def missing_numbers(parts: Iterable[ListedPart]) -> tuple[int, ...]:
    """The part numbers below the last one that are not there."""
    present = {part.number for part in parts}
    last = min(max(present, default=0), MAX_PART_NUMBER)
    return tuple(number for number in range(1, last) if number not in present)


def read_numbers(text: str, field: str) -> tuple[int, ...]:
    """The part numbers that `write_numbers` wrote; spaces are allowed. Raises InvalidConfirmation with the field."""
    numbers: list[int] = []
    for run in filter(None, text.replace(" ", "").split(",")):
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", run, re.ASCII)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else 0
        if not (numbers[-1] if numbers else 0) < first <= last <= MAX_PART_NUMBER:
            raise InvalidConfirmation(field)
        numbers += range(first, last + 1)
    return tuple(numbers)
