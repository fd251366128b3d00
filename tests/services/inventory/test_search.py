"""Finding the upload id in a line of a log. Ids of real servers are tested in tests/objectstore/on_stores."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.services.inventory.lines import lines_with
from uploads.selectors.inventory.search import MAX_WORDS, words_of

IDS = ("AAEw4.x_kQ--", "2~Zm9v-YmFy_1", "0004B9894A22E5B1888A1E29F8236E2D", "d61f2c2e-0000-4a2b-9d7c-1f2e3d4c5b6a")


@pytest.mark.parametrize("upload_id", IDS)
def test_an_id_is_found_in_lines_of_logs(upload_id: str) -> None:
    for line in lines_with(upload_id):
        assert upload_id in words_of(line), line


def test_an_id_with_separators_is_found_where_it_is_named() -> None:
    upload_id = "ab+cd/ef=="
    for value in (upload_id, quote(upload_id, safe="")):
        assert upload_id in words_of(f"GET /b/k?uploadId={value}&max-parts=1 HTTP/1.1")


def test_an_id_is_found_among_many_words() -> None:
    upload_id = "2~" + "a" * 60
    text = " ".join(f"shorter-{number}" for number in range(MAX_WORDS * 2))
    assert upload_id in words_of(f"{text} {upload_id}")
    assert len(words_of(text)) == MAX_WORDS
