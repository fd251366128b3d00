"""Arguments that are refused before sending, and logs without secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.objectstore.conftest import MakeClient
from tests.objectstore.fault_server import (
    FaultServer,
    error,
    respond,
)
from tests.objectstore.responses import CREATED, PARTS
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, Reason, Refused
from uploads.objectstore.types import CompletedPart, Credentials, FileSlice

# Arguments


@pytest.mark.parametrize(
    "act",
    [
        lambda client: client.list_multipart_uploads("bucket", max_uploads=0),
        lambda client: client.list_multipart_uploads("bucket", max_uploads=1001),
        lambda client: client.list_multipart_uploads("bucket", prefix="\ud800"),
        lambda client: client.list_multipart_uploads("../bucket"),
        lambda client: client.list_parts("bucket", "k", "u", max_parts=0),
        lambda client: client.list_parts("bucket", "k", "u", max_parts=1001),
        lambda client: client.list_parts("bucket", "k", "u", part_number_marker=-1),
        lambda client: client.list_parts("bucket", "k", ""),
        lambda client: client.abort_multipart_upload("bucket", "k", ""),
        lambda client: client.abort_multipart_upload("bucket", "", "u"),
        lambda client: client.complete_multipart_upload("bucket", "k", "", PARTS),
        lambda client: client.complete_multipart_upload("bucket", "k", "u", []),
        lambda client: client.complete_multipart_upload("bucket", "k", "u", [CompletedPart(0, "e")]),
        lambda client: client.complete_multipart_upload("bucket", "k", "u", [CompletedPart(10_001, "e")]),
        lambda client: client.upload_part("bucket", "k", "u", 0, FileSlice(Path(__file__), 0, 1)),
        lambda client: client.upload_part("bucket", "k", "u", 10_001, FileSlice(Path(__file__), 0, 1)),
        lambda client: client.upload_part("bucket", "k", "", 1, FileSlice(Path(__file__), 0, 1)),
        lambda client: client.upload_part("bucket", "k", "u", 1, FileSlice(Path(__file__), 0, 10**9)),
        lambda client: client.put_object("bucket", "k" * 1025, None),
        lambda client: client.put_object("bucket", "k", None, content_type="a\r\nX: y"),
        lambda client: client.create_multipart_upload("bucket", "k", metadata={"a b": "c"}),
        lambda client: client.create_multipart_upload("bucket", "k", storage_class="ä"),
        lambda client: client.head_object("bucket", "a\0b"),
        lambda client: client.head_bucket(""),
    ],
)
def test_invalid_arguments_are_refused_before_sending(
    server: FaultServer, client: ObjectStoreClient, act: Callable[[ObjectStoreClient], object]
) -> None:
    with pytest.raises(NotSent) as caught:
        act(client)
    assert caught.value.reason in (Reason.BAD_ARGUMENT, Reason.BAD_KEY)
    assert server.connections == 0


# Logs


def test_each_attempt_is_logged_with_identifiers_and_without_secrets(
    server: FaultServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(error(503, "SlowDown"), respond(200, CREATED, {"x-amz-request-id": "r-2"}))
    client = make_client(server.url, credentials=Credentials("AKID", "TOPSECRET", "TOKENTOKEN"))
    with caplog.at_level(logging.DEBUG, logger="uploads.objectstore"):
        client.create_multipart_upload("bucket", "a\nb", metadata={"m": "value"})
    failed, done = (record for record in caplog.records if record.name == "uploads.objectstore")
    assert (failed.levelname, failed.__dict__["code"], failed.__dict__["status"]) == ("WARNING", "SlowDown", 503)
    assert (done.levelname, done.__dict__["request_id"], done.__dict__["key"]) == ("DEBUG", "r-2", "a\nb")
    assert "\n" not in done.getMessage()
    everything = "".join(f"{record.getMessage()}{record.__dict__}" for record in caplog.records)
    assert not any(secret in everything for secret in ("TOPSECRET", "TOKENTOKEN", "Signature", "AWS4-HMAC"))


def test_repr_contains_no_secret() -> None:
    assert "TOPSECRET" not in repr(Credentials("AKID", "TOPSECRET", "TOKENTOKEN"))


def test_expected_refusals_are_no_warnings(
    server: FaultServer, make_client: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client(server.url)
    server.script(respond(404), respond(403), error(404, "NoSuchUpload"), error(403, "AccessDenied"))
    with caplog.at_level(logging.DEBUG, logger="uploads.objectstore"):
        for _ in range(2):
            with pytest.raises(Refused):
                client.head_object("bucket", "key")
        client.check_writing("bucket", "key")
        with pytest.raises(Refused):
            client.check_writing("bucket", "key")
    levels = [record.levelname for record in caplog.records if record.name == "uploads.objectstore"]
    assert levels == ["DEBUG", "WARNING", "DEBUG", "WARNING"]
