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
from typing import Any

from uploads.domain.part_numbers import name_numbers, write_numbers
from uploads.domain.replacement import NOTHING, Replacement, SeenObject
from uploads.objectstore.types import MAX_PART_NUMBER, ListedPart
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
class Confirmation:
    """What an operator confirmed: these parts, with these gaps, and which object may be replaced.

    `gaps` are the missing part numbers that were seen, as `write_numbers` writes them.
    """

    parts: SeenParts
    gaps: str = ""
    replacement: Replacement = NOTHING

    def as_json(self) -> dict[str, Any]:
        replacement = self.replacement
        stored = {"parts": str(self.parts), "gaps": self.gaps, "replaces_unseen": replacement.any_object}
        return stored if replacement.seen is None else {**stored, "replaces": replacement.seen.as_json()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Confirmation:
        """Read what `as_json` returned."""
        seen = stored.get("replaces")
        replacement = Replacement(SeenObject.from_json(seen) if seen else None, stored["replaces_unseen"])
        return cls(SeenParts.from_text(stored["parts"]), stored["gaps"], replacement)


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
