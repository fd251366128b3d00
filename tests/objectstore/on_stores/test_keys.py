"""Exact keys on every server: a key reaches itself or is refused before sending, but never reaches another key."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.objectstore.conftest import MakeFile
from tests.objectstore.on_stores.helpers import assert_key_is_not_sent, is_there, listed, objects, send_parts
from tests.stores.servers import Server
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, OutcomeUnknown, Reason, Refused, UnreadableResponse
from uploads.objectstore.payload import Payload
from uploads.objectstore.transport import Call
from uploads.objectstore.types import CompletedPart, FileSlice
from uploads.problems import Code

PATHS = ("a/../b", "a/./b", "../x", "../../x", "//x", "/x", "a//b", "/", "//", ".", "..", "a/..", "/..")
SPELLINGS = ("//x", "/x", "a//b")
"""Paths that a file system finds under their normalised form."""

LONG = ("k" * 1024, "é" * 512)
HOSTILE_KEYS = (
    *PATHS,
    *LONG,
    *("..a", "a/", "a b", " ", " a ", "a+b", "a%b", "a%2Fb", "%2e%2e/x", "a?b", "?uploads", "a#b", "a&b", "a;b"),
    *("a=b", "it's", '"', "<&>", "~", "*", "\\", "ü/日本", "é", "e\u0301", "😀", "\u202e", "a\rb", "a\tb", "a\x7fb"),
)


def is_refused_by_profile(server: Server, key: str) -> bool:
    """Whether the profile of this server does not allow the key."""
    if key[0] in "/\\" and (
        server.does("refuses keys that start with a slash or backslash")
        or server.does("drops a slash at the start of a key")
    ):
        return True
    if len(key.encode()) > 1023 and server.does("accepts keys of at most 1,023 bytes"):
        return True
    if key in LONG and server.does("keeps at most 255 bytes between two slashes"):
        return True
    if key == "a/" and server.does("keeps the bytes of a key that ends with a slash under another key"):
        return True
    return key in PATHS and server.does("uses keys as file paths")


@pytest.mark.parametrize("key", HOSTILE_KEYS)
def test_hostile_key_reaches_only_itself(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile, key: str
) -> None:
    """Keys with dots, slashes, spaces, `%`, Unicode or 1,024 bytes reach only themselves, as uploads and as objects"""
    body = make_file(b"content")
    if is_refused_by_profile(server, key):
        assert_key_is_not_sent(client, bucket, key, body)
        assert (listed(client, bucket), objects(server, bucket)) == ([], [])
        return
    if key.endswith("/") and server.does("refuses bytes for a key that ends with a slash"):
        for act in (lambda: client.put_object(bucket, key, body), lambda: client.create_multipart_upload(bucket, key)):
            with pytest.raises(Refused) as caught:
                act()
            assert caught.value.code == "DirectoryObjectContainsData"
        assert (listed(client, bucket), objects(server, bucket)) == ([], [])
        return
    if key in LONG and server.does("accepts uploads with names that are too long for it, and cannot complete them"):
        assert_cannot_be_completed(client, bucket, key, make_file)
        return
    if key.endswith("/") and server.does("keeps no bytes of a key that ends with a slash"):
        assert_bytes_are_lost(client, bucket, key, body)
        return
    if key in LONG and server.does("returns 500 for names that are too long for it"):
        assert_is_a_fault(client, bucket, key, body)
        return
    client.put_object(bucket, key, make_file(b"before"))
    upload_id = client.create_multipart_upload(bucket, key)
    (part,) = send_parts(client, bucket, key, upload_id, [body])
    assert listed(client, bucket) == [(key, upload_id)]
    assert [each.etag for each in client.iter_parts(bucket, key, upload_id)] == [part.etag]
    client.complete_multipart_upload(bucket, key, upload_id, [part])
    assert client.head_object(bucket, key).size == len(b"content")
    assert objects(server, bucket) == [key]
    upload_id = client.create_multipart_upload(bucket, key)
    client.abort_multipart_upload(bucket, key, upload_id)
    assert listed(client, bucket) == []


def assert_bytes_are_lost(client: ObjectStoreClient, bucket: str, key: str, body: FileSlice) -> None:
    """The ETag shows it for PutObject, HEAD for an upload."""
    with pytest.raises(OutcomeUnknown) as caught:
        client.put_object(bucket, key, body)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    upload_id = client.create_multipart_upload(bucket, key)
    client.complete_multipart_upload(bucket, key, upload_id, send_parts(client, bucket, key, upload_id, [body]))
    assert client.head_object(bucket, key).size == 0


def assert_is_a_fault(client: ObjectStoreClient, bucket: str, key: str, body: FileSlice) -> None:
    """PutObject and Create fail with an internal error, and leave nothing."""
    for act in (lambda: client.put_object(bucket, key, body), lambda: client.create_multipart_upload(bucket, key)):
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.reason is Reason.STORE_FAULT
    assert listed(client, bucket) == []


def assert_cannot_be_completed(client: ObjectStoreClient, bucket: str, key: str, make_file: MakeFile) -> None:
    """PutObject is refused, Complete fails with an internal error, and the upload can be aborted."""
    with pytest.raises(Refused) as caught:
        client.put_object(bucket, key, make_file(b"content"))
    assert (caught.value.reason, caught.value.code) == (Reason.KEY_NOT_ALLOWED, "KeyTooLongError")
    upload_id = client.create_multipart_upload(bucket, key)
    parts = send_parts(client, bucket, key, upload_id, [make_file(b"content")])
    with pytest.raises(Refused) as caught:
        client.complete_multipart_upload(bucket, key, upload_id, parts)
    assert caught.value.reason is Reason.STORE_FAULT
    assert listed(client, bucket) == [(key, upload_id)]
    client.abort_multipart_upload(bucket, key, upload_id)
    assert listed(client, bucket) == []


@pytest.mark.parametrize(
    ("key", "normalised"),
    [
        ("a/../b", "b"),
        ("a/./b", "a/b"),
        ("//x", "x"),
        ("/x", "x"),
        ("a//b", "a/b"),
        ("./b", "b"),
        ("a/b/..", "a"),
        ("a%2Fb", "a/b"),
        ("a+b", "a b"),
        ("a%20b", "a b"),
    ],
)
def test_normalised_key_is_not_reached(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile, key: str, normalised: str
) -> None:
    """The normalised form of a hostile key is not reached"""
    client.put_object(bucket, normalised, make_file(b"bystander"))
    bystander = client.create_multipart_upload(bucket, normalised)
    part = client.upload_part(bucket, normalised, bystander, 1, make_file(b"part"))
    is_slashed = key[0] == "/" and server.does("refuses keys that start with a slash or backslash")
    same_upload = key in SPELLINGS and server.does("finds an upload by another spelling of its key")
    dotted = "." in key and server.does("refuses dot segments in keys")
    for act in () if same_upload else (client.abort_multipart_upload, client.list_parts):
        with pytest.raises(Refused) as caught:
            act(bucket, key, bystander)
        expected = Reason.KEY_NOT_ALLOWED if is_slashed else Reason.REFUSED if dotted else Reason.NO_SUCH_UPLOAD
        assert caught.value.reason is expected
    if same_upload:
        with pytest.raises(UnreadableResponse, match=Code.RESPONSE_FOR_OTHER_UPLOAD):
            client.list_parts(bucket, key, bystander)
    is_path = key != normalised and "%" not in key and "+" not in key and server.does("uses keys as file paths")
    complete = [CompletedPart(1, part.etag)]
    with pytest.raises(NotSent if is_path or is_slashed else Refused):
        client.complete_multipart_upload(bucket, key, bystander, complete)
    if is_path:
        # HEAD changes nothing. If it finds an object, it is the other one.
        with suppress(Refused):
            assert client.head_object(bucket, key).size == len(b"bystander")
    else:
        with pytest.raises(Refused):
            client.head_object(bucket, key)
    if is_path or is_slashed:
        assert_key_is_not_sent(client, bucket, key, make_file(b"mine"))
    else:
        client.put_object(bucket, key, make_file(b"mine"))
    assert client.head_object(bucket, normalised).size == len(b"bystander")
    assert listed(client, bucket) == [(normalised, bystander)]


def test_key_does_not_reach_another_bucket(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile
) -> None:
    """A key with `..` does not reach another bucket"""
    other = server.store.new_bucket()
    client.put_object(other, "k", make_file(b"bystander"))
    keys = [f"../{other}/k", f"a/../../{other}/k"]
    for key in keys:
        if server.does("uses keys as file paths"):
            assert_key_is_not_sent(client, bucket, key, make_file(b"mine"))
            with pytest.raises(Refused):
                server.send(Call("PutObject", "PUT", bucket, key, payload=Payload(b"mine")))
        else:
            client.put_object(bucket, key, make_file(b"mine"))
    assert client.head_object(other, "k").size == len(b"bystander")
    assert objects(server, other) == ["k"]
    assert sorted(objects(server, bucket)) == ([] if server.does("uses keys as file paths") else sorted(keys))


@pytest.mark.parametrize("key", ["", "a\0b", "\ud800", "k" * 1025, "é" * 513])
def test_key_that_cannot_be_sent_exactly_is_refused(
    client: ObjectStoreClient, bucket: str, make_file: MakeFile, key: str
) -> None:
    """Keys that cannot be sent exactly (empty, NUL, invalid Unicode, over 1,024 bytes) are refused"""
    assert_key_is_not_sent(client, bucket, key, make_file(b"x"))
    assert listed(client, bucket) == []


@pytest.mark.parametrize("character", ["\x01", "\n", "\x1f", "\ufffe"])
def test_page_with_control_character_is_readable(
    server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile, character: str
) -> None:
    """A page that lists a key with a control character can be read, and the key is exact"""
    key = f"b{character}b"
    others = [(each, client.create_multipart_upload(bucket, each)) for each in ("a", "c")]
    if server.does("fails on listings with control characters in keys"):
        with pytest.raises(NotSent) as caught:
            client.create_multipart_upload(bucket, key)
        assert caught.value.reason is Reason.BAD_KEY
        # Objects with such a key work.
        client.put_object(bucket, key, make_file(b"x"))
        assert client.head_object(bucket, key).size == 1
        assert sorted(listed(client, bucket)) == others
        return
    if character in "\x01\x1f" and server.does("cannot write control characters in the response to Create"):
        assert_is_created_without_response(client, bucket, key)
        assert sorted(listed(client, bucket)) == others
        return
    upload_id = client.create_multipart_upload(bucket, key)
    changed = character != "\n" and server.does("lists control characters as other characters")
    shown = "b\ufffdb" if changed else key
    assert sorted(listed(client, bucket)) == sorted([*others, (shown, upload_id)])
    if changed:
        assert_no_such_upload(lambda: client.list_parts(bucket, shown, upload_id))
        assert_no_such_upload(lambda: client.abort_multipart_upload(bucket, shown, upload_id))
    (part,) = send_parts(client, bucket, key, upload_id, [make_file(b"x")])
    client.complete_multipart_upload(bucket, key, upload_id, [part])
    assert client.head_object(bucket, key).size == 1
    assert sorted(listed(client, bucket)) == others


def assert_is_created_without_response(client: ObjectStoreClient, bucket: str, key: str) -> None:
    """The response to Create cannot be read, but the upload is listed, and can be aborted."""
    with pytest.raises(UnreadableResponse):
        client.create_multipart_upload(bucket, key)
    (upload_id,) = (each for name, each in listed(client, bucket) if name == key)
    client.abort_multipart_upload(bucket, key, upload_id)


def assert_no_such_upload(act: Callable[[], object]) -> None:
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.reason is Reason.NO_SUCH_UPLOAD


def test_key_below_another(server: Server, client: ObjectStoreClient, bucket: str, make_file: MakeFile) -> None:
    """An upload with the key `k/b` is completed next to an object `k`"""
    client.put_object(bucket, "k", make_file(b"x"))
    upload_id = client.create_multipart_upload(bucket, "k/b")
    parts = send_parts(client, bucket, "k/b", upload_id, [make_file(b"xy")])
    if server.does("completes no upload whose key is below that of an object"):
        with pytest.raises(Refused) as caught:
            client.complete_multipart_upload(bucket, "k/b", upload_id, parts)
        assert caught.value.code in {"ObjectParentIsFile", "InternalError"}
        assert listed(client, bucket) == [("k/b", upload_id)]
    else:
        client.complete_multipart_upload(bucket, "k/b", upload_id, parts)
        assert client.head_object(bucket, "k/b").size == 2
    assert is_there(client, bucket, "k")
