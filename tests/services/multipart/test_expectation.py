"""Which object counts as the expected one after a completion, and which difference is reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from uploads.domain.proofs import Proof
from uploads.objectstore.checksums import ReportedCrc64
from uploads.objectstore.errors import (
    NotSent,
    ObjectStoreError,
    OutcomeUnknown,
    Reason,
    Refused,
)
from uploads.objectstore.types import ObjectFacts, SentBytes
from uploads.problems import Code, Problem
from uploads.services.multipart.appearance import Appearance, ObjectBefore
from uploads.services.multipart.complete import may_have_been_done
from uploads.services.multipart.expectation import Expectation

ETAG, OTHER_ETAG = f"{2:032x}-2", f"{3:032x}-2"
ECMA = ReportedCrc64("ecma", 7)
FACTS = ObjectFacts(10, ETAG, None, metadata={"partway-transfer": "id", "other": "x"}, crc64=ECMA)
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
        (ETAG, None, True),
        ("", ECMA, True),
        (ETAG, ECMA, True),
        (ETAG, ReportedCrc64("nvme", 8), True),
        (OTHER_ETAG, ECMA, False),
        (ETAG, ReportedCrc64("ecma", 8), False),
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


@pytest.mark.parametrize("etag", ["", "5-opaque", "0x8DA1", ETAG.upper() + "x", f"{3:032x}+2"])
def test_etag_of_another_form_proves_nothing_and_contradicts_nothing(etag: str) -> None:
    """Every ETag that is no MD5, or that depends on encryption keys: it is neither a proof nor a difference."""
    expected = replace(OURS, etag=ETAG)
    for facts in (replace(FACTS, etag=etag), replace(FACTS, etag=OTHER_ETAG, is_encrypted=True)):
        assert expected.problem_of(facts, SentBytes("")) is None
        assert expected.proofs_in(facts) == (Proof.SIZE, Proof.TRANSFER_ID)


def test_proofs_are_what_was_compared() -> None:
    expected = replace(OURS, etag=ETAG, crc64=ECMA)
    assert expected.proofs_in(FACTS) == (Proof.SIZE, Proof.ETAG, Proof.CRC64, Proof.TRANSFER_ID)
    assert expected.proofs_in(replace(FACTS, crc64=None)) == (Proof.SIZE, Proof.ETAG, Proof.TRANSFER_ID)
    assert expected.proofs_in(None) == ()
    assert expected.proofs_in(None, reported=ECMA) == (Proof.CRC64,)
    assert Expectation(10).proofs_in(FACTS) == (Proof.SIZE,)
    assert Expectation(11, OTHER_ETAG, ReportedCrc64("ecma", 8)).proofs_in(FACTS) == ()


def test_other_etag_of_the_right_form_is_a_problem() -> None:
    """Also if size and id are right: the store may have built the object of other copies of the parts."""
    problem = replace(OURS, etag=OTHER_ETAG).problem_of(FACTS, SentBytes(""))
    assert problem == Problem(Code.OBJECT_ETAG_DIFFERS, etag=ETAG, expected=OTHER_ETAG)


def test_removed_metadata_is_no_difference_if_the_content_is_proved() -> None:
    bare = replace(FACTS, metadata={}, crc64=None)
    assert replace(OURS, etag=ETAG).problem_of(bare, SentBytes("")) is None
    assert OURS.problem_of(bare, SentBytes("")) is not None
    other = replace(bare, metadata={"partway-transfer": "another"})
    assert replace(OURS, etag=ETAG).problem_of(other, SentBytes("")) is not None
    assert not replace(OURS, etag=ETAG).identifies(bare), "the upload may still be open"


SENT = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER, EARLIER = SENT + timedelta(seconds=3), SENT - timedelta(hours=1)
NO_OBJECT = ObjectBefore()


@pytest.mark.parametrize(
    ("date", "before", "sent_at", "identified"),
    [
        (LATER, NO_OBJECT, SENT, True),
        (EARLIER, NO_OBJECT, SENT, True),
        (None, NO_OBJECT, None, True),
        (LATER, None, SENT, True),
        (SENT - timedelta(seconds=4), None, SENT, True),
        (EARLIER, None, SENT, False),
        (None, None, SENT, False),
        (LATER, None, None, False),
        (LATER, ObjectBefore(10, "opaque", EARLIER.isoformat()), SENT, True),
        (LATER, ObjectBefore(10, "opaque", LATER.isoformat()), SENT, False),
        (EARLIER, ObjectBefore(10, "before", EARLIER.isoformat()), SENT, False),
    ],
)
def test_object_without_usable_etag_is_identified_by_size_and_appearance(
    date: datetime | None, before: ObjectBefore | None, sent_at: datetime | None, identified: bool
) -> None:
    """On stores whose ETags prove nothing: the object is ours only if it certainly appeared after the request."""
    facts = ObjectFacts(10, "opaque", date)
    expected = Expectation(10, ETAG, appearance=Appearance(sent_at, before))
    assert expected.identifies(facts) is identified
    assert not expected.identifies(replace(facts, size=11))
    assert (Proof.DATE in expected.proofs_in(facts)) is identified
