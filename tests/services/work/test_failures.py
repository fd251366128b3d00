"""What a row keeps of a failure, and the text that is made of it."""

from __future__ import annotations

import pytest

from dashboard.shared.messages import error_json, error_text, text_of
from uploads.models import Transfer
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused
from uploads.problems import Code, Problem, RecordedError
from uploads.services.work.failures import NO_ERROR, error_fields, problem_fields

OURS = {Reason.BAD_KEY, Reason.BAD_ARGUMENT, Reason.NO_SUCH_KEY}
"""Reasons of our own, not of a store: before a byte is sent, and of an object that is not the one that was created."""


def recorded(error: ObjectStoreError, reason: str = "") -> RecordedError:
    row = Transfer(**error_fields(error, reason=reason))
    assert row.error is not None
    return row.error


@pytest.mark.parametrize("reason", sorted(set(Reason) - OURS))
def test_every_reason_has_a_text_and_keeps_the_store_message(reason: Reason) -> None:
    error = Refused("The store's.", code="TheCode", status=400, reason=reason, request_id="r", operation="PutObject")
    kept = recorded(error)
    text, said, _ = error_text(kept).partition(" The store says: The store's.")
    assert said
    assert text.endswith(".")
    assert (kept.code, kept.reason, kept.store_message, kept.request_id) == ("TheCode", reason, "The store's.", "r")


def test_a_store_message_is_kept_as_sent() -> None:
    error = Refused("  The store could not be reached.\n", code="C", status=500, reason=Reason.STORE_FAULT)
    assert error_fields(error)["error_message"] == "  The store could not be reached.\n"


def test_another_reason_replaces_the_text() -> None:
    error = Refused("The store's.", code="C", status=409, reason=Reason.EXISTS)
    text = error_text(recorded(error, Code.OBJECT_APPEARED))
    assert text.startswith("An object with this key appeared")


def test_details_follow_the_reason() -> None:
    error = NotSent(Problem(Code.UPLOAD_ENDED_BY_OTHERS), reason=Reason.NO_SUCH_UPLOAD)
    assert error_text(recorded(error)).endswith(text_of(Problem(Code.UPLOAD_ENDED_BY_OTHERS)))


def test_an_error_without_a_store_response_has_a_code_in_the_same_style() -> None:
    assert error_fields(NotSent("refused", reason=Reason.UNREACHABLE))["error_code"] == "Unreachable"


def test_a_problem_is_kept_with_its_parameters() -> None:
    row = Transfer(**problem_fields(Problem(Code.INTERNAL_ERROR, detail=1)))
    assert row.error == RecordedError("InternalError", "InternalError", {"detail": 1})


def test_a_row_from_before_codes_is_shown_unchanged() -> None:
    row = Transfer(error_code="X", error_message="What was written then.")
    assert error_json(row.error) == {"code": "X", "message": "What was written then.", "request_id": ""}


def test_a_row_without_an_error_has_none() -> None:
    assert Transfer(**NO_ERROR).error is None
