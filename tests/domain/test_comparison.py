"""Which upload of a key to complete."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from uploads.domain.comparison import Advice, Candidate, advise

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHOLE = Candidate(parts=3, size=300, last_activity=NOW, is_whole=True, is_recent=False)
SMALLER = replace(WHOLE, parts=2, size=200)
GAP = replace(WHOLE, is_whole=False)
EMPTY = replace(WHOLE, parts=0, size=0, last_activity=None)
RECENT = replace(WHOLE, is_recent=True)
OWNED = replace(WHOLE, is_owned=True)
GONE = replace(WHOLE, parts=None, size=None, is_whole=False, is_gone=True)
UNREAD = replace(GONE, is_gone=False)


@pytest.mark.parametrize(
    ("candidates", "advice"),
    [
        ([], []),
        ([SMALLER, WHOLE], [Advice.ABORT, Advice.COMPLETE]),
        ([WHOLE, EMPTY, GONE], [Advice.COMPLETE, Advice.ABORT, Advice.GONE]),
        ([WHOLE, GAP], [Advice.COMPLETE, Advice.ABORT]),
        ([WHOLE, replace(GAP, size=500)], [Advice.COMPLETE, Advice.LOOK]),
        ([WHOLE, RECENT], [Advice.WAIT_FOR_OTHER, Advice.WAIT]),
        ([SMALLER, WHOLE, OWNED], [Advice.LOOK, Advice.WAIT_FOR_OTHER, Advice.OWNED]),
        ([GAP, UNREAD], [Advice.LOOK, Advice.LOOK]),
        ([EMPTY, EMPTY], [Advice.ABORT, Advice.ABORT]),
        ([replace(WHOLE, size=None)], [Advice.LOOK]),
        ([WHOLE, replace(WHOLE, last_activity=NOW + timedelta(hours=1))], [Advice.ABORT, Advice.COMPLETE]),
    ],
)
def test_advice(candidates: list[Candidate], advice: list[Advice]) -> None:
    assert advise(candidates) == advice
