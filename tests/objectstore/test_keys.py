"""Which names can be sent exactly, and which are refused before sending."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.objectstore import keys
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.providers import PROVIDERS, check_new_key
from uploads.problems import Code, Problem

KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200)


@given(KEYS)
def test_encoded_key_decodes_to_itself(key: str) -> None:
    keys.check_key(key)
    quoted = keys.quote_key(key)
    assert unquote(quoted, errors="strict") == key
    assert quoted.isascii()
    assert not set(quoted) & set(" +?#&;=<>\"'\n\r\t")


@pytest.mark.parametrize("key", ["a/../b", "a/./b", "../x", "//x", "/x", "a//b", "a/", ".", "..", "~a-b_c.d"])
def test_slashes_dots_and_tildes_are_not_encoded(key: str) -> None:
    assert keys.quote_key(key) == key


@pytest.mark.parametrize("key", ["k" * 1024, "é" * 512, "😀" * 256])
def test_1024_bytes_are_allowed(key: str) -> None:
    keys.check_key(key)


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", Problem(Code.KEY_EMPTY, limit=1024)),
        ("k" * 1025, Problem(Code.KEY_TOO_LONG, size=1025, limit=1024)),
        ("é" * 513, Problem(Code.KEY_TOO_LONG, size=1026, limit=1024)),
        ("a\0b", Problem(Code.KEY_HAS_NUL)),
        ("a\ud800b", Problem(Code.KEY_NOT_UNICODE)),
        ("\udcff", Problem(Code.KEY_NOT_UNICODE)),
    ],
)
def test_keys_that_cannot_be_sent_exactly_are_refused(key: str, problem: Problem) -> None:
    with pytest.raises(NotSent) as caught:
        keys.check_key(key)
    assert (caught.value.reason, caught.value.problem) == (Reason.BAD_KEY, problem)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "bucket", ["", "a", ".", "..", "a/b", "a?b", "a#b", "-a", "a b", "ä", "a\n", "a" * 256, "a%2f"]
)
def test_bucket_names_that_change_the_path_are_refused(bucket: str) -> None:
    with pytest.raises(NotSent) as caught:
        keys.check_bucket(bucket)
    assert caught.value.reason is Reason.BAD_ARGUMENT


@pytest.mark.parametrize("bucket", ["abc", "a.b-c", "Legacy_Bucket", "0" * 63])
def test_valid_bucket_names_are_allowed(bucket: str) -> None:
    keys.check_bucket(bucket)


@pytest.mark.parametrize("bucket", ["Abc", "a_b", "a..b", "a-", "ab"])
def test_bucket_names_that_are_not_host_names_are_refused_for_virtual_addressing(bucket: str) -> None:
    with pytest.raises(NotSent, match=Code.BUCKET_NAME_NOT_DNS):
        keys.check_dns_bucket(bucket)


@given(st.dictionaries(st.text("abc-", min_size=1), KEYS))
def test_query_is_sorted_and_decodes_to_its_values(query: dict[str, str]) -> None:
    quoted = keys.quote_query(query)
    assert "+" not in quoted
    assert parse_qsl(quoted, keep_blank_values=True, errors="strict") == sorted(query.items())


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Evil: 1", "ä", " a", "a ", "\x7f"])
def test_metadata_values_that_would_change_are_refused(value: str) -> None:
    with pytest.raises(NotSent, match=Code.METADATA_VALUE_NOT_ASCII):
        keys.metadata_headers({"name": value})


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "a\n"])
def test_invalid_metadata_names_are_refused(name: str) -> None:
    with pytest.raises(NotSent, match=Code.METADATA_NAME_INVALID):
        keys.metadata_headers({name: "value"})


def test_empty_upload_id_is_refused() -> None:
    with pytest.raises(NotSent, match=Code.UPLOAD_ID_EMPTY):
        keys.check_upload_id("")


@pytest.mark.parametrize("key", ["a", "a b", "z/", "\x01", "a\x01", "\ue000", "é", "日", "\U0001f600", "k" * 1024])
def test_just_below_is_between_a_key_and_all_smaller_keys(key: str) -> None:
    below = keys.just_below(key).encode()
    assert below < key.encode()
    others = [
        "",
        "a",
        "a!",
        "a a",
        "a a" * 5,
        "z.",
        "z.\uffff",
        "\x01",
        "\ud7ff",
        "\ud7ff\uffff",
        "è" * 9,
        "k" * 1023,
    ]
    assert all(other.encode() <= below for other in others if other.encode() < key.encode())


@pytest.mark.parametrize("key", ["a//b", "/a", "a/../b", "./a", "..", "a/.", "//", "/", "a//"])
def test_keys_that_are_not_paths_are_refused(key: str) -> None:
    with pytest.raises(NotSent, match=Code.KEY_IS_NOT_A_PATH) as caught:
        keys.check_path_key(key)
    assert caught.value.reason is Reason.BAD_KEY


@pytest.mark.parametrize("key", ["a", "a/b", "a/b/", "..a", "a..", "...", "a/...", " "])
def test_keys_that_are_paths_are_allowed(key: str) -> None:
    keys.check_path_key(key)


@pytest.mark.parametrize("key", ["/a", "\\a"])
def test_oss_refuses_leading_slashes_and_1024_bytes(key: str) -> None:
    for each, problem in (
        (key, Problem(Code.KEY_STARTS_WITH_SLASH, character=key[0])),
        ("k" * 1024, Problem(Code.KEY_TOO_LONG, size=1024, limit=1023)),
    ):
        with pytest.raises(NotSent) as caught:
            check_new_key(PROVIDERS["oss"], each, multipart=True)
        assert caught.value.problem == problem
    check_new_key(PROVIDERS["oss"], "a" + key, multipart=True)
    check_new_key(PROVIDERS["aws"], key, multipart=True)


@pytest.mark.parametrize(
    ("provider", "key", "problem"),
    [
        ("seaweedfs", "folder/", Problem(Code.KEY_ENDS_WITH_SLASH)),
        ("seaweedfs", "/a", Problem(Code.KEY_STARTS_WITH_SLASH, character="/")),
        ("seaweedfs", "a//b", Problem(Code.KEY_IS_NOT_A_PATH)),
        ("seaweedfs", "a/" + "ü" * 128, Problem(Code.KEY_SEGMENT_TOO_LONG, size=256, limit=255)),
        ("minio", "a/" + "k" * 256, Problem(Code.KEY_SEGMENT_TOO_LONG, size=256, limit=255)),
        ("minio", "a/../b", Problem(Code.KEY_IS_NOT_A_PATH)),
        ("garage", "/a", Problem(Code.KEY_STARTS_WITH_SLASH, character="/")),
    ],
)
def test_keys_that_a_store_keeps_otherwise_are_refused(provider: str, key: str, problem: Problem) -> None:
    """The key is refused, not the store: nothing is sent that would fail at its end, or reach another key."""
    with pytest.raises(NotSent) as caught:
        check_new_key(PROVIDERS[provider], key, multipart=True)
    assert (caught.value.problem, caught.value.reason) == (problem, Reason.BAD_KEY)
    check_new_key(PROVIDERS["aws"], key, multipart=True)
    check_new_key(PROVIDERS[provider], "a/" + "k" * 255, multipart=True)
