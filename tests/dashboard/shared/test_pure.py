"""Pure functions of pages: formats, form values, the trail, the picture and the explanations."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from html import escape
from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import RequestFactory
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from dashboard.shared import formatting
from dashboard.shared.explain import REASON_TEXTS, explain
from dashboard.shared.messages import error_code, error_text, text_of
from dashboard.shared.numbers import count_text
from dashboard.shared.parameters import MAX_TRAIL, Query, quoted, read_trail, read_upload, write_trail, write_upload
from dashboard.uploads.picture import MAX_BARS, WIDTH, draw
from uploads.domain.part_summary import summarize_parts
from uploads.objectstore.error_codes import REASONS
from uploads.objectstore.errors import NotSent, OutcomeUnknown, Reason, Refused
from uploads.objectstore.types import ListedPart, UploadRef
from uploads.problems import Code, Problem
from uploads.services.work.failures import recorded_error

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
MARKERS = st.lists(st.tuples(TEXT, TEXT), max_size=300)


class Text(HTMLParser):
    """The text of an HTML fragment."""

    def __init__(self, fragment: str) -> None:
        super().__init__()
        self.text = ""
        self.feed(fragment)
        self.close()

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.00 KiB"),
        (1024 * 1023, "1.00 MiB"),
        (5 * 1024**2, "5.00 MiB"),
        (1024**2 - 1, "1.00 MiB"),
        (153 * 1024**3, "153 GiB"),
        (50_000 * 1024**3, "48.8 TiB"),
    ],
)
def test_bytes(size: int, text: str) -> None:
    assert formatting.bytes_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3 * 86400 + 5, "3 days ago"),
        (400 * 86400, "1 year ago"),
        (-7300, "in 2 hours"),
    ],
)
def test_age(seconds: int, text: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert formatting.age_text(now - timedelta(seconds=seconds), at_time=now) == text


@pytest.mark.parametrize("language", ["en", "de"])
def test_times_of_many_rows_are_those_of_one(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
    monkeypatch.setattr(formatting, "now", lambda: now)
    with translation.override(language):
        times = formatting.Times()
        for seconds in (0, 4.9, 5, -5, 59, 60, 61, 3600, 86400, 86400.5, 40 * 86400, 400 * 86400, -7300, -0.1):
            for zone in (UTC, timezone(timedelta(hours=-7))):
                at = (now - timedelta(seconds=seconds)).astimezone(zone)
                assert times.age_text(at) == formatting.age_text(at)
                assert times.time_text(at) == formatting.time_text(at)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "0 s"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86400 + 59, "1 d"),
        (90000, "1 d 1 h"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert formatting.duration_text(seconds) == text


def test_numbers_and_dates_follow_the_language() -> None:
    at = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)
    assert count_text(10_000) == "10,000"
    assert "2026-01-31 12:30:00" in formatting.time_html(at)
    with translation.override("de"):
        assert count_text(10_000) == "10.000"
        assert formatting.bytes_text(1536) == "1,50 KiB"
        assert "31. Januar 2026 12:30" in formatting.time_html(at)


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("a/b.c", "a/b.c"),
        ("a  b", "a  b"),
        (" a ", "␣a␣"),
        ("   ", "␣␣␣"),
        ("a\nb", "a␊b"),
        ("a\u202eb", "aU+202Eb"),
        ("a\xa0b", "aU+00A0b"),
        ("<b>&", "<b>&"),
        ("東京", "東京"),
        ("a\u2003b", "aU+2003b"),  # Another kind of space.
        ("a\ufe0fb", "aU+FE0Fb"),  # A variation selector.
        ("a\u3164b", "aU+3164b"),  # A letter that is drawn as a space.
        ("a\u200bb", "aU+200Bb"),
        ("é", "é"),
        ("e\u0301", "e\u0301NFD"),
        ("e\u0301é", "e\u0301U+0065 U+0301é"),
        ("\u212b", "\u212bU+212B"),  # The angstrom sign, which is no letter.
    ],
)
def test_keys_show_invisible_characters(key: str, shown: str) -> None:
    assert Text(formatting.key_html(key)).text == shown


@given(st.text("eéE\u0301\u0323\u00c5\u212b가\u1100\u1161 a", max_size=6))
def test_keys_that_look_the_same_have_different_marks(key: str) -> None:
    """The ways to write the same accented characters. A browser draws them all in the same way."""
    looks = Text(formatting.key_html(key)).text
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, key)
        if other != key:
            assert Text(formatting.key_html(other)).text != looks
            drawn = unicodedata.normalize("NFC", Text(formatting.key_html(other)).text)
            assert drawn != unicodedata.normalize("NFC", looks)
            assert formatting.key_mark_text(other) != formatting.key_mark_text(key)


@given(TEXT)
def test_key_adds_no_markup(key: str) -> None:
    html = formatting.key_html(key)
    assert html.count("<") == html.count("</span>") * 2


@given(st.one_of(TEXT, st.text("aé E\u0301\u200b東/", min_size=30, max_size=80)))
def test_key_in_two_pieces_is_the_same_key(key: str) -> None:
    """The row of a table cuts the first piece where it is too long. Both together show the key as anywhere else."""
    start, end = formatting.split_key_html(key)
    assert Text(start + end).text == Text(formatting.key_html(key)).text
    assert (start + end).count("<") == (start + end).count("</span>") * 2
    # Characters that are shown by their names make a piece longer.
    assert "<" in start + end or len(Text(start).text) >= len(Text(end).text)


@given(st.one_of(TEXT, st.text("a&<'é\u200b /", min_size=30, max_size=80)))
def test_key_of_a_row_is_the_key_of_other_tables(key: str) -> None:
    start, end = formatting.split_key_html(key)
    assert formatting.row_key(key) == (start, end, escape(formatting.key_mark_text(key)))


@given(st.one_of(TEXT, st.text("a% /+.~-_é", max_size=20)))
def test_names_are_quoted_as_by_the_library(name: str) -> None:
    assert quoted(name) == quote(name, safe="")


@given(TEXT, TEXT)
def test_upload_survives_its_form_value(key: str, upload_id: str) -> None:
    value = write_upload(UploadRef(key, upload_id))
    assert value.isascii()
    assert value.isprintable()
    assert read_upload(value) == UploadRef(key, upload_id)


@given(MARKERS)
def test_trail_keeps_the_last_markers_that_fit(markers: list[tuple[str, str]]) -> None:
    trail = write_trail(markers)
    assert len(trail) <= MAX_TRAIL
    kept = read_trail(Query(RequestFactory().get("/", {"trail": trail})))
    assert kept == markers[len(markers) - len(kept) :]
    assert kept or not markers


def test_trail_of_1500_pages_stays_short() -> None:
    trail: list[tuple[str, str]] = []
    for number in range(1500):
        trail.append((f"folder/{number:06}/{number * 7919:x}", f"{number * 104729:040x}"))
        text = write_trail(trail)
        assert len(text) <= MAX_TRAIL
        trail = read_trail(Query(RequestFactory().get("/", {"trail": text})))
    assert len(trail) >= 10


def test_pair_of_the_longest_markers_fits() -> None:
    longest = [("", ""), ("".join(chr(0x4E00 + number) for number in range(341)), "f" * 64)]
    assert write_trail(longest)


@given(st.sets(st.integers(1, 10_000), max_size=400), st.integers(1, 3))
def test_picture_stays_inside_its_width_and_small(numbers: set[int], sizes: int) -> None:
    parts = [ListedPart(number, 10 * 1024**2 + number % sizes, "", None) for number in numbers]
    picture = draw(summarize_parts(parts, 5 * 1024**2))
    assert len(picture.bars) <= MAX_BARS
    assert all(float(bar.x) >= 0 and float(bar.x) + float(bar.width) <= WIDTH + 0.02 for bar in picture.bars)
    assert sum(entry.count for entry in picture.legend) == max(numbers, default=0)


def test_one_missing_part_of_10000_is_visible() -> None:
    parts = [ListedPart(number, 10**7, "", None) for number in range(1, 10_001) if number != 5000]
    (gap,) = [bar for bar in draw(summarize_parts(parts, 0)).bars if bar.kind == "missing"]
    assert float(gap.width) >= 2
    assert gap.title == "Part 5,000: missing"


def test_every_reason_has_an_explanation() -> None:
    assert set(REASON_TEXTS) == set(Reason)
    for reason in Reason:
        explained = explain(NotSent("why", reason=reason))
        assert explained.title
        assert explained.advice
        assert 400 <= explained.http_status < 600


def test_explanation_has_the_response_of_the_store() -> None:
    refused = Refused(
        "Go there.", code="PermanentRedirect", status=301, reason=Reason.WRONG_REGION, request_id="tx", region="eu-1"
    )
    explained = explain(refused)
    assert (explained.code, explained.request_id, explained.status) == ("PermanentRedirect", "tx", 301)
    assert "eu-1" in explained.advice
    assert explained.certainty.startswith("The store refused")
    assert (explained.own_text, explained.store_message) == ("", "Go there.")
    assert explained.message == "The store says: Go there."
    assert explain(OutcomeUnknown("?", reason=Reason.TIMEOUT)).certainty.endswith("not known.")
    assert error_code(refused) == "PermanentRedirect"
    assert error_code(NotSent("?", reason=Reason.BAD_KEY)) == "BadKey"
    assert error_code(NotSent("?", reason=Reason.TLS)) == "TlsFailed"


@pytest.mark.parametrize("code", ["QuotaExceeded", "UserSuspended", "InvalidTokenId", "SecurityTokenExpired"])
def test_refusal_that_is_no_missing_permission_does_not_ask_for_one(code: str) -> None:
    """Of a full store, an account and credentials: neither the long nor the recorded text names a permission."""
    refused = Refused("Why.", code=code, status=403, reason=REASONS[code], operation="PutObject")
    for text in (explain(refused).advice, explain(refused).title, error_text(recorded_error(refused))):
        assert "s3:PutObject" not in text
        assert "permission" not in text.lower()


def test_unknown_refusal_may_be_a_permission_or_an_account() -> None:
    refused = Refused("Why.", code="Strange", status=403, reason=Reason.FORBIDDEN, operation="PutObject")
    explained = explain(refused)
    assert (explained.code, "account" in explained.meaning) == ("Strange", True)
    assert "If a permission is missing: Allow s3:PutObject" in explained.advice
    text = error_text(recorded_error(refused))
    assert "A permission may be missing" in text
    assert "s3:PutObject" not in text


@pytest.mark.parametrize(
    ("status", "code", "reason", "is_known"),
    [
        (500, "500", Reason.STORE_FAULT, False),
        (500, "InternalError", Reason.STORE_FAULT, False),
        (503, "503", Reason.THROTTLED, False),
        (503, "SlowDown", Reason.THROTTLED, True),
        (403, "403", Reason.PERMISSION, False),
        (403, "AccessDenied", Reason.PERMISSION, True),
    ],
)
def test_effect_of_a_refusal_is_known_only_from_the_code_of_the_store(
    status: int, code: str, reason: Reason, is_known: bool
) -> None:
    """Errors of which a proxy may be the author, and internal errors: pages said that nothing changed."""
    acting = Refused("", code=code, status=status, reason=reason, operation="CompleteMultipartUpload")
    assert explain(acting).certainty.endswith("nothing changed." if is_known else "not known.")
    reading = Refused("", code=code, status=status, reason=reason, operation="ListParts")
    assert explain(reading).certainty == "The request only reads: nothing changed."


def test_text_of_our_own_is_not_shown_as_the_message_of_the_store() -> None:
    problem = Problem(Code.ERROR_WITHOUT_MESSAGE, status=403)
    explained = explain(Refused(problem, code="403", status=403, reason=Reason.PERMISSION))
    assert (explained.own_text, explained.store_message) == (text_of(problem), "")
    assert explained.message == explained.own_text


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (403, Reason.PERMISSION, "AccessDenied"),
        (404, Reason.NO_SUCH_KEY, "NoSuchKey"),
        (412, Reason.EXISTS, "ObjectExists"),
        (429, Reason.THROTTLED, "Throttled"),
    ],
)
def test_status_without_a_code_gets_the_code_of_its_reason(status: int, reason: Reason, code: str) -> None:
    assert error_code(Refused("", code=str(status), status=status, reason=reason)) == code


def test_templates_show_keys_and_names_of_files_with_their_marks() -> None:
    """Without the filter, keys that differ only in invisible characters look the same."""
    plain = re.compile(r"\{\{ [\w.]*(?:\.key|filename)(?!\w)(?!\|key_text|\|key_mark|\|exactly)[^}]*\}\}")
    form_fields = {"{{ given.key }}", "{{ form.filename }}"}
    found = {
        (path.name, each)
        for path in (settings.BASE_DIR / "templates").rglob("*.html")
        for each in plain.findall(path.read_text())
        if each not in form_fields
    }
    assert found == set()
