"""Migration 0010: rows as the version before wrote them, and what pages show of them afterwards."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from dashboard.shared.messages import error_text
from tests.migrations.conftest import Migrate
from uploads.models import OperationItem, Part, StoreCheck, Transfer
from uploads.objectstore.errors import Reason

BEFORE = "0009_payload_signing"
AFTER = "0010_error_reasons"

migration = import_module(f"uploads.migrations.{AFTER}")

ARRIVED, PROMISED = "a" * 64, "b" * 64

OWN = (
    (
        "unreachable",
        "The store could not be reached. The store cannot be reached: [Errno 111] Connection refused",
        ("Unreachable", "unreachable", [("ConnectionFailed", {"detail": "[Errno 111] Connection refused"})], ""),
    ),
    (
        "timeout",
        "The store did not answer in time. The connection stalled: no byte moved for as long as is allowed.",
        ("Timeout", "timeout", [("ConnectionStalled", {})], ""),
    ),
    (
        "connection-lost",
        "The connection to the store was lost. The connection was lost: timed out\nagain",
        ("ConnectionLost", "connection-lost", [("ConnectionLost", {"detail": "timed out\nagain"})], ""),
    ),
    (
        "store-fault",
        "The store failed. Something before the store answered 502: it is not known whether the store acted.",
        ("StoreFault", "store-fault", [("GatewayError", {"status": 502})], ""),
    ),
    (
        "refused",
        "This was refused. Of 3 parts 2 are in this upload: it is not completed. Discard this transfer and send the "
        "file again.",
        ("Refused", "refused", [("PartsNotInUpload", {"count": 3, "present": 2})], ""),
    ),
    (
        "refused",
        "This was refused. After 8 aborts the store still lists parts of this upload: something keeps sending to it.",
        ("Refused", "refused", [("StillListed", {"count": 8})], ""),
    ),
    (
        "digest-mismatch",
        "What the store received differs from what was sent, again and again. The object in the store has the CRC-64 "
        "0123456789abcdef; the bytes that were sent have fedcba9876543210. The object is there and must not be "
        "trusted: send the file again.",
        (
            "DigestMismatch",
            "digest-mismatch",
            [("Crc64Mismatch", {"stored": "0123456789abcdef", "sent": "fedcba9876543210"})],
            "",
        ),
    ),
    (
        "no-such-key",
        "After completion the store should hold this transfer's object of 20 bytes and holds one of 30 bytes: somebody "
        "may have replaced or deleted it at the same moment.",
        ("NoSuchKey", "no-such-key", [("ObjectDiffers", {"expected_size": 20, "size": 30})], ""),
    ),
)

FROM_STORES = (
    (
        "SlowDown",
        "The store asks to slow down. Please reduce your request rate.",
        ("SlowDown", "throttled", [], "Please reduce your request rate."),
    ),
    (
        "AccessDenied",
        "The credentials are not allowed to do this. Access Denied. Allow s3:AbortMultipartUpload (on OSS "
        "oss:AbortMultipartUpload).",
        ("AccessDenied", "permission", [], "Access Denied."),
    ),
    (
        "NoSuchUpload",
        "The upload no longer exists in the store: it was completed or aborted. The specified upload does not exist. "
        "Somebody aborted or completed it behind this transfer's back.",
        ("NoSuchUpload", "no-such-upload", [("UploadEndedByOthers", {})], "The specified upload does not exist."),
    ),
    (
        "FileAlreadyExists",
        "An object of this key came meanwhile and was not replaced: choose another key, or send the file again with "
        "“replace”. The object exists. It may be this transfer's own object, of an earlier try: the credentials do not "
        "allow HEAD, which would tell.",
        ("FileAlreadyExists", "exists", [("ObjectMayBeOurs", {})], "The object exists."),
    ),
    (
        "PreconditionFailed",
        "An object of this key came meanwhile and was not replaced: complete the upload again to replace it, or abort "
        "it. At least one of the pre-conditions you specified did not hold",
        (
            "PreconditionFailed",
            "ObjectAppeared",
            [],
            "At least one of the pre-conditions you specified did not hold",
        ),
    ),
    (
        "PermanentRedirect",
        "The bucket is in another region. Use the other endpoint. The bucket's region is eu-west-1. It points to "
        "s3.example.com, which is not followed.",
        (
            "PermanentRedirect",
            "wrong-region",
            [
                ("BucketRegion", {"region": "eu-west-1"}),
                ("RedirectNotFollowed", {"location": "s3.example.com"}),
            ],
            "Use the other endpoint.",
        ),
    ),
    (
        "500",
        "The store failed. The store answered 500 without saying why.",
        ("500", "store-fault", [("ErrorWithoutMessage", {"status": 500})], ""),
    ),
    ("InternalError", "The store failed.", ("InternalError", "store-fault", [], "")),
)

WHOLE = (
    (
        "Sha256Mismatch",
        f"The file that arrived has the SHA-256 {ARRIVED}; {PROMISED} was promised: it is not completed. Discard it "
        "and send the file again.",
        ("Sha256Mismatch", {"received": ARRIVED, "expected": PROMISED}),
    ),
    (
        "Sha256Missing",
        "A SHA-256 was promised for this file and never came: it is not completed. Discard it and send the file again.",
        ("Sha256Missing", {}),
    ),
    (
        "Sha256Unknown",
        "A SHA-256 was promised for this file and can no longer be checked: it is not completed. Discard it and send "
        "the file again.",
        ("Sha256Unknown", {}),
    ),
    (
        "Expired",
        "No byte came from the browser for 1.5 hours: what was staged is cleaned away.",
        ("Expired", {"silent_seconds": 5400}),
    ),
    (
        "BytesGone",
        "Part 7 cannot be sent: its staged bytes are gone. Discard this transfer and send the file again.",
        ("StagedPartLost", {"number": 7}),
    ),
    (
        "BytesGone",
        "Part 7 cannot be sent: it is in the store no more as it was sent. Discard this transfer and send the file "
        "again.",
        ("SentPartLost", {"number": 7}),
    ),
    ("IncompleteBody", "No byte has come from the browser for 15 minutes.", ("SenderSilent", {"silent_seconds": 900})),
    (
        "IncompleteBody",
        "The connection ended 1,234 bytes before the end of the body.",
        ("ConnectionEnded", {"missing_bytes": 1234}),
    ),
    ("IncompleteBody", "The file ended before its announced size.", ("FileEndedEarly", {"size_bytes": 20})),
    (
        "IncompleteBody",
        "The connection from the browser ended before the whole file had arrived.",
        ("SenderLeft", {}),
    ),
    (
        "OwnedByTransfer",
        "A transfer that has not ended owns this upload: cancel it there.",
        ("OwnedByTransfer", {}),
    ),
    ("AlreadyOrdered", "Another operation is already working on this upload.", ("AlreadyOrdered", {})),
    (
        "GapNotAllowed",
        "Part numbers are missing, and completing with a gap was not confirmed.",
        ("GapNotAllowed", {}),
    ),
    (
        "PreflightFailed",
        "2 parts are below this store's minimum of 5,242,880 bytes, which only the last part may be: 1, 3, .... The "
        "object would have 6,000 bytes; the store takes 5,000.",
        (
            "PreflightFailed",
            {
                "details": [
                    {"code": "PartsTooSmall", "params": {"count": 2, "limit_bytes": 5242880, "parts": "1, 3, ..."}},
                    {"code": "ObjectTooLarge", "params": {"size": 6000, "limit": 5000}},
                ]
            },
        ),
    ),
    ("Died", "The check was begun 3 times, and its process died each time.", ("Died", {"count": 3})),
    (
        "EndpointChanged",
        "The store's endpoint was changed while the check was under way: check it again.",
        ("EndpointChanged", {}),
    ),
    ("Interrupted", "The check was interrupted.", ("Interrupted", {})),
)

UNKNOWN = (
    ("IncompleteBody", "[Errno 28] No space left on device"),
    ("PreflightFailed", "This store wants parts of equal size but the last, and these differ: 2."),
    ("EntityTooSmall", "A text of another version."),
)


@pytest.mark.parametrize(("code", "message", "expected"), [*OWN, *FROM_STORES])
def test_store_error_is_split(code: str, message: str, expected: tuple[str, str, list[Any], str]) -> None:
    columns = {"error_code": code, **migration.recognise(code, message)}
    details = [(each["code"], each["params"]) for each in columns["error_params"]["details"]]
    assert (columns["error_code"], columns["error_reason"], details, columns["error_message"]) == expected
    assert_has_text(columns)


@pytest.mark.parametrize(("code", "message", "expected"), WHOLE)
def test_error_of_our_own_gets_its_reason(code: str, message: str, expected: tuple[str, dict[str, Any]]) -> None:
    columns = migration.recognise(code, message, 20)
    assert (columns["error_reason"], columns["error_params"], columns["error_message"]) == (*expected, "")
    assert_has_text({"error_code": code, **columns})


def assert_has_text(columns: dict[str, Any]) -> None:
    """Pages have a text for the reason and for each detail."""
    error = Transfer(**columns).error
    assert error is not None
    text = error_text(error)
    assert error.reason == Reason.NO_SUCH_KEY or not text.startswith(error.reason)
    assert "=" not in text, "a code without a text is shown with its parameters"


@pytest.mark.parametrize(("code", "message"), UNKNOWN)
def test_unknown_text_stays(code: str, message: str) -> None:
    assert migration.recognise(code, message, 20) == {}


def test_code_of_our_own_gets_the_style_of_codes_though_its_text_stays() -> None:
    message = "The key has 1,030 bytes of UTF-8: at most 1,024 are allowed."
    assert migration.recognise("bad-key", message) == {"error_code": "BadKey"}
    assert migration.recognise("nonsense", "A text of another version.") == {"error_code": "UnreadableResponse"}


def test_permission_keeps_the_operation_that_was_refused() -> None:
    code, message, _ = FROM_STORES[1]
    assert migration.recognise(code, message)["error_params"]["operation"] == "AbortMultipartUpload"


LATER = {
    Reason.KEY_NOT_ALLOWED,
    Reason.ACCOUNT,
    Reason.FORBIDDEN,
    Reason.STORE_FULL,
    Reason.STORE_NOT_ANSWERING,
    Reason.STORE_BUSY,
    Reason.SECRET_UNREADABLE,
    Reason.ADDRESS_REFUSED,
    Reason.NOT_AN_ENDPOINT,
}
"""Reasons that rows from before the migration cannot have."""


def test_every_reason_had_a_sentence_or_is_named() -> None:
    known = {*map(str, set(Reason) - LATER), "ObjectAppeared"}
    assert {*migration.OLD_SENTENCES, *migration.REASONS_WITHOUT_SENTENCE} == known


def test_rows_of_every_model_are_migrated(migrate: Migrate) -> None:
    old = migrate(BEFORE)
    owner = old.get_model("auth", "User").objects.create(username="olga")
    store = old.get_model("uploads", "Store").objects.create(name="s", endpoint_url="http://s", access_key="a")
    facts = {"owner": owner, "store": store, "size": 20, "part_size": 10, "part_count": 2, "node": "n"}
    code, message, _ = OWN[0]
    failed = {"error_code": code, "error_message": message, "error_request_id": "r"}
    transfers = old.get_model("uploads", "Transfer").objects
    transfer = transfers.create(**facts, **failed)
    untouched = transfers.create(**facts)
    unknown = transfers.create(**facts, error_code=UNKNOWN[0][0], error_message=UNKNOWN[0][1])
    part = old.get_model("uploads", "Part").objects.create(transfer=transfer, number=1, size=10, **failed)
    operation = old.get_model("uploads", "Operation").objects.create(kind="abort", actor=owner, store=store)
    item = old.get_model("uploads", "OperationItem").objects.create(operation=operation, **failed)
    check = old.get_model("uploads", "StoreCheck").objects.create(store=store, bucket="b", **failed)

    migrate()

    for model, row in ((Transfer, transfer), (Part, part), (OperationItem, item), (StoreCheck, check)):
        error = model._default_manager.get(pk=row.pk).error
        assert error is not None
        assert (error.code, error.reason, error.store_message, error.request_id) == (
            "Unreachable",
            "unreachable",
            "",
            "r",
        )
        assert [each.code for each in error.details] == ["ConnectionFailed"]
    assert Transfer.objects.get(pk=untouched.pk).error is None
    kept = Transfer.objects.get(pk=unknown.pk).error
    assert kept is not None
    assert error_text(kept) == UNKNOWN[0][1]


def test_way_back_keeps_a_text(migrate: Migrate) -> None:
    """The version before shows only the message, and rows may have errors that it does not know."""
    new = migrate(AFTER)
    owner = new.get_model("auth", "User").objects.create(username="olga")
    store = new.get_model("uploads", "Store").objects.create(name="s", endpoint_url="http://s", access_key="a")
    facts = {"owner": owner, "store": store, "size": 20, "part_size": 10, "part_count": 2, "node": "n"}
    transfers = new.get_model("uploads", "Transfer").objects
    details = [{"code": "ConnectionFailed", "params": {"detail": "100% lost"}}]
    refused = {"error_code": "SlowDown", "error_reason": "throttled", "error_message": "Slow down."}
    connection_failed = {
        "error_code": "Unreachable",
        "error_reason": "unreachable",
        "error_params": {"operation": "UploadPart", "details": details},
    }
    silent = {"error_code": "X", "error_reason": "SenderSilent", "error_params": {"silent_seconds": 900}}
    unchanged = {"error_code": "X", "error_message": "A text of another version."}
    rows = [transfers.create(**facts, **each) for each in (refused, connection_failed, silent, unchanged, {})]

    old = migrate("0007_open_store_uploads")

    messages = dict(old.get_model("uploads", "Transfer").objects.values_list("pk", "error_message"))
    assert [messages[row.pk] for row in rows] == [
        "The store asks to slow down. Slow down.",
        "The store could not be reached. ConnectionFailed detail=100% lost",
        "SenderSilent silent_seconds=900",
        "A text of another version.",
        "",
    ]
    newest = migrate(AFTER).get_model("uploads", "Transfer").objects
    again = newest.only("error_code", "error_reason", "error_params", "error_message").get(pk=rows[0].pk)
    assert (again.error_reason, again.error_message) == ("throttled", "Slow down.")
