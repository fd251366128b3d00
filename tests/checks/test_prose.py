"""The check that finds sentences in uploads/."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.prose import sentences

SENTENCE = "The store does not respond in time."


def found(tmp_path: Path, code: str) -> list[int]:
    """The lines of the sentences in a module."""
    path = tmp_path / "module.py"
    path.write_text(code)
    return [each.line for each in sentences(path)]


@pytest.mark.parametrize(
    "code",
    [
        f"TEXT = '{SENTENCE}'",
        f"TEXT = _('{SENTENCE}')",
        "def text(count):\n    return f'There are {count} parts of this upload.'",
        f"raise Refused('{SENTENCE}')",
        f"class Form:\n    label = '{SENTENCE}'",
    ],
)
def test_sentences_are_found(tmp_path: Path, code: str) -> None:
    assert found(tmp_path, code) == [code.count("\n") + 1]


@pytest.mark.parametrize(
    "code",
    [
        f"'''{SENTENCE}'''",
        f"LIMIT = 3\n'''{SENTENCE}'''",
        f"log.warning('{SENTENCE}')",
        f"raise ValueError('{SENTENCE}')",
        f"field = CharField(help_text='{SENTENCE}')",
        "NAMES = 'NoSuchKey NoSuchUpload NoSuchBucket AccessDenied InvalidPart'.split()",
        "TEXT = 'four words are allowed'",
        "URL = 'http://s3.amazonaws.com/doc/2006-03-01/'",
    ],
)
def test_what_no_operator_reads_is_not_found(tmp_path: Path, code: str) -> None:
    assert found(tmp_path, code) == []


def test_sentences_in_gettext_are_allowed_in_the_dashboard(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(f"ONE = _('{SENTENCE}')\nOTHER = '{SENTENCE}'")
    assert [each.line for each in sentences(path, frozenset({"_"}))] == [2]
