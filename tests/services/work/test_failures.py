"""The words that are written down of a failure."""

from __future__ import annotations

import pytest

from uploads.objectstore.errors import Reason, Refused
from uploads.services.work.failures import error_fields

OURS = {Reason.BAD_KEY, Reason.BAD_ARGUMENT, Reason.NO_SUCH_KEY}
"""What is said here and not by a store: before a byte is sent, and of an object that is not the one that was made."""


@pytest.mark.parametrize("reason", sorted(set(Reason) - OURS))
def test_every_reason_has_words_before_what_the_store_said(reason: Reason) -> None:
    error = Refused("The store's.", code="TheCode", status=400, reason=reason, request_id="r", operation="PutObject")
    fields = error_fields(error)
    words, said, _ = fields["error_message"].partition(" The store's.")
    assert said
    assert words.endswith(".")
    assert (fields["error_code"], fields["error_request_id"]) == ("TheCode", "r")


def test_other_words_take_the_place_of_the_usual_ones() -> None:
    error = Refused("The store's.", code="C", status=409, reason=Reason.EXISTS)
    assert error_fields(error, "Mine.")["error_message"] == "Mine. The store's."
