"""Which object counts as the expected one after a completion, and which difference is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from uploads.objectstore.checksums import ReportedCrc64
from uploads.objectstore.errors import (
    NotSent,
    ObjectStoreError,
    OutcomeUnknown,
    Reason,
    Refused,
)
from uploads.objectstore.types import ObjectFacts
from uploads.problems import Code, Problem
from uploads.services.multipart.complete import Expectation, may_have_been_done

ECMA = ReportedCrc64("ecma", 7)
FACTS = ObjectFacts(10, "etag-2", None, metadata={"partway-transfer": "id", "other": "x"}, crc64=ECMA)
OURS = Expectation(10, metadata={"partway-transfer": "id"})


def test_object_of_ours_is_identified_by_size_and_metadata() -> None:
    assert OURS.identifies(FACTS)
    assert not OURS.identifies(None)
    assert not OURS.identifies(replace(FACTS, size=11))
    assert not OURS.identifies(replace(FACTS, metadata={"partway-transfer": "another"}))
    assert not OURS.identifies(replace(FACTS, metadata={}))


def test_crc64_mismatch_does_not_hide_that_an_object_is_ours() -> None:
    expected = replace(OURS, crc64=ReportedCrc64("ecma", 8))
    assert expected.identifies(FACTS)
    mismatch = Problem(Code.CRC64_MISMATCH, stored="0000000000000007", sent="0000000000000008")
    assert expected.crc64_problem(ECMA) == mismatch


@pytest.mark.parametrize(
    ("etag", "crc64", "identified"),
    [
        ("etag-2", None, True),
        ("", ECMA, True),
        ("etag-2", ECMA, True),
        ("etag-2", ReportedCrc64("nvme", 8), True),
        ("etag-3", ECMA, False),
        ("etag-2", ReportedCrc64("ecma", 8), False),
        ("", ReportedCrc64("nvme", 7), False),
        ("", None, False),
    ],
)
def test_other_object_is_identified_by_every_known_proof(
    etag: str, crc64: ReportedCrc64 | None, identified: bool
) -> None:
    """The size alone proves nothing, and neither does a CRC-64 of another polynomial."""
    assert Expectation(10, etag, crc64).identifies(FACTS) is identified
    assert not Expectation(9, etag, crc64).identifies(FACTS)


def test_only_crc64_of_one_polynomial_are_compared() -> None:
    expected = Expectation(10, crc64=ECMA)
    assert expected.crc64_problem(None) is None
    assert expected.crc64_problem(ECMA) is None
    assert expected.crc64_problem(ReportedCrc64("nvme", 8)) is None
    assert expected.crc64_problem(ReportedCrc64("ecma", 8)) is not None
    assert Expectation(10).crc64_problem(ECMA) is None


def refused(reason: Reason, status: int) -> Refused:
    return Refused("no", code="X", status=status, reason=reason)


@pytest.mark.parametrize(
    ("error", "possible"),
    [
        (OutcomeUnknown("lost", reason=Reason.CONNECTION_LOST), True),
        (refused(Reason.NO_SUCH_UPLOAD, 404), True),
        (refused(Reason.EXISTS, 409), True),
        (refused(Reason.STORE_FAULT, 500), True),
        (refused(Reason.THROTTLED, 503), True),
        (refused(Reason.PERMISSION, 403), False),
        (refused(Reason.REFUSED, 400), False),
        (NotSent("down", reason=Reason.UNREACHABLE), False),
    ],
)
def test_which_failed_completion_may_have_succeeded(error: ObjectStoreError, possible: bool) -> None:
    assert may_have_been_done(error) is possible
