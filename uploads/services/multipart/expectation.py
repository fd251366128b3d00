"""The object that a completion must create, and what the response to HEAD proves about it. Sends no request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from uploads.domain.proofs import Proof
from uploads.objectstore.checksums import ReportedCrc64, as_hex
from uploads.objectstore.types import ObjectFacts, SentBytes
from uploads.problems import Code, Problem
from uploads.services.multipart.appearance import Appearance

_MD5_ETAG = re.compile(r"[0-9a-f]{32}(-[0-9]+)?\Z")
"""The ETag of an object that was sent at once, or in parts. An ETag of another form proves nothing."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The object that a completion must create. `size` is None if the store names no valid size for each part.

    `etag` is computed from MD5s; it and `crc64` are empty if they are not known. `metadata` is what identifies an
    object of ours. `appearance` is what was there before the request. `requires_crc64`: the store verified the parts by
    their CRC-64, so that no MD5 is known, and only the CRC-64 proves the content.
    """

    size: int | None
    etag: str = ""
    crc64: ReportedCrc64 | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    appearance: Appearance | None = None
    requires_crc64: bool = False

    def proofs_in(self, facts: ObjectFacts | None, reported: ReportedCrc64 | None = None) -> tuple[Proof, ...]:
        """What is proved by HEAD, and by the CRC-64 that the store `reported` in its response to the completion."""
        return tuple(self._proofs(facts, reported))

    def _proofs(self, facts: ObjectFacts | None, reported: ReportedCrc64 | None) -> Iterator[Proof]:
        if facts is not None and facts.size == self.size:
            yield Proof.SIZE
        if facts is not None and self._compares_etag(facts) and facts.etag.lower() == self.etag:
            yield Proof.ETAG
        if self.crc64 is not None and self.crc64 in (reported, facts.crc64 if facts else None):
            yield Proof.CRC64
        if facts is not None and self.metadata and self._has_metadata(facts):
            yield Proof.TRANSFER_ID
        if facts is not None and self.appearance is not None and self.appearance.confirms(facts):
            yield Proof.DATE

    def identifies(self, facts: ObjectFacts | None) -> bool:
        """Whether an object is certainly the expected one, although the response to the completion is not known.

        By its metadata if the object is ours, else by its ETag and CRC-64, else by its size and its date.
        """
        if facts is None or self._has_other_size(facts) or not self._has_metadata(facts):
            return False
        if self.metadata:
            return True
        if self.appearance is not None and self.appearance.was_there(facts):
            return False
        known = [facts.etag.lower() == self.etag] if self._compares_etag(facts) else []
        if self._compares_crc64(facts.crc64):
            known.append(facts.crc64 == self.crc64)
        if known:
            return all(known)
        return self.size is not None and self.appearance is not None and self.appearance.confirms(facts)

    def problem_of(self, facts: ObjectFacts, response: SentBytes) -> Problem | None:
        """Why the object that HEAD shows is not the one whose completion the store has confirmed with `response`."""
        if self._is_another(facts, response):
            known = "?" if self.size is None else self.size
            return Problem(Code.OBJECT_DIFFERS, expected_size=known, size=facts.size)
        if problem := self.crc64_problem(facts.crc64):
            return problem
        if self._compares_etag(facts) and facts.etag.lower() != self.etag:
            return Problem(Code.OBJECT_ETAG_DIFFERS, etag=facts.etag, expected=self.etag)
        if self.requires_crc64 and Proof.CRC64 not in self.proofs_in(facts, response.reported_crc64):
            return Problem(Code.OBJECT_WITHOUT_CRC64)
        return None

    def crc64_problem(self, reported: ReportedCrc64 | None) -> Problem | None:
        """The difference between the CRC-64 that the store reports and the expected one."""
        if self.crc64 is None or reported is None or not self._compares_crc64(reported) or reported == self.crc64:
            return None
        return Problem(Code.CRC64_MISMATCH, stored=as_hex(reported.value), sent=as_hex(self.crc64.value))

    def _is_another(self, facts: ObjectFacts, response: SentBytes) -> bool:
        """Whether the object has another size or is not ours. Versity confirms the completion of a missing upload if an
        object with its key exists.
        """
        if self._has_other_size(facts):
            return True
        if not self.metadata:
            return bool(response.etag) and facts.etag != response.etag
        if self._has_metadata(facts):
            return False
        # A proxy may remove the metadata; then the content decides.
        is_named = any(name in facts.metadata for name in self.metadata)
        return is_named or not {Proof.ETAG, Proof.CRC64} & set(self.proofs_in(facts))

    def _has_other_size(self, facts: ObjectFacts) -> bool:
        return self.size not in (None, facts.size)

    def _has_metadata(self, facts: ObjectFacts) -> bool:
        return all(facts.metadata.get(name) == value for name, value in self.metadata.items())

    def _compares_etag(self, facts: ObjectFacts) -> bool:
        return bool(self.etag) and not facts.is_encrypted and _MD5_ETAG.match(facts.etag.lower()) is not None

    def _compares_crc64(self, reported: ReportedCrc64 | None) -> bool:
        """Whether both CRC-64 are known and use the same polynomial."""
        return self.crc64 is not None and reported is not None and self.crc64.algorithm == reported.algorithm
