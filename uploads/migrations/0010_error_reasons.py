"""Errors that were stored as one English text are split into a reason, its parameters, and the store's own message.

The texts are those of the version before codes were stored. A row whose text is not recognised keeps it, and pages
show it unchanged. Codes of our own get the style of the store's codes: `unreachable` becomes `Unreachable`.
"""

import re

from django.db import migrations

MODELS = ("Transfer", "Part", "OperationItem", "StoreCheck")
BATCH = 500

OLD_SENTENCES = {
    "unreachable": "The store could not be reached.",
    "tls": "No secure connection to the store could be made.",
    "timeout": "The store did not answer in time.",
    "connection-lost": "The connection to the store was lost.",
    "nonsense": "The store answered something that is not an answer of the S3 API.",
    "credentials": "The store does not accept the credentials.",
    "credentials-expired": "The temporary credentials have expired: new ones are waited for.",
    "permission": "The credentials are not allowed to do this.",
    "clock-skew": "This machine's clock and the store's differ too much.",
    "wrong-region": "The bucket is in another region.",
    "no-such-bucket": "The bucket does not exist.",
    "addressing": "The store does not take this addressing of buckets: change it in the store's settings.",
    "no-such-upload": "The upload no longer exists in the store: it was completed or aborted.",
    "exists": "An object of this key came meanwhile and was not replaced: choose another key, or send the file again with “replace”.",
    "ObjectAppeared": "An object of this key came meanwhile and was not replaced: complete the upload again to replace it, or abort it.",
    "digest-mismatch": "What the store received differs from what was sent, again and again.",
    "throttled": "The store asks to slow down.",
    "store-fault": "The store failed.",
    "refused": "This was refused.",
}
"""The sentence that a text began with, by reason."""

REASONS_WITHOUT_SENTENCE = ("bad-key", "bad-argument", "no-such-key")

CODES = {
    "nonsense": "UnreadableResponse",
    "tls": "TlsFailed",
    "bad-argument": "InvalidArgument",
    "permission": "AccessDenied",
    "exists": "ObjectExists",
}
"""Codes of our own that are not the reason in the style of codes."""

ADVICE = {
    "Allow s3:ListAllMyBuckets (on OSS oss:ListBuckets).": "ListBuckets",
    "Allow s3:ListBucketMultipartUploads (on OSS oss:ListMultipartUploads).": "ListMultipartUploads",
    "Allow s3:ListMultipartUploadParts (on OSS oss:ListParts).": "ListParts",
    "Allow s3:PutObject (on OSS oss:PutObject).": "PutObject",
    "Allow s3:AbortMultipartUpload (on OSS oss:AbortMultipartUpload).": "AbortMultipartUpload",
    "Allow s3:GetObject and s3:ListBucket (on OSS oss:GetObject).": "HeadObject",
    "Allow s3:DeleteObject (on OSS oss:DeleteObject).": "DeleteObject",
    "Ask whoever runs the bucket to allow it.": "",
}
"""The advice that a refused permission ended with, and an operation that needs that permission."""

ADDED = (
    (r" ?Somebody aborted or completed it behind this transfer's back\.$", "UploadEndedByOthers"),
    (
        r" ?It may be this transfer's own object, of an earlier try: the credentials do not allow HEAD, which would tell\.$",
        "ObjectMayBeOurs",
    ),
    (r" ?It points to (?P<location>.+), which is not followed\.$", "RedirectNotFollowed"),
    (r" ?The bucket's region is (?P<region>\S+)\.$", "BucketRegion"),
)
"""Sentences of ours that could follow a message, the last one first."""

OWN = (
    (r"The store cannot be reached: (?P<detail>.+)", "ConnectionFailed"),
    (r"TLS with the store failed: (?P<detail>.+)", "TlsFailed"),
    (r"The CA bundle (?P<path>.+) is not there\.", "CaBundleMissing"),
    (r"The connection stalled: no byte moved for as long as is allowed\.", "ConnectionStalled"),
    (r"The connection was lost: (?P<detail>.+)", "ConnectionLost"),
    (r"The store's answer is not HTTP, or not what it says it is: (?P<detail>.+)", "ResponseNotHttp"),
    (r"The store's answer is larger than (?P<limit_bytes>[\d,]+) bytes\.", "ResponseTooLarge"),
    (r"The store's answer is empty where XML is due\.", "ResponseEmpty"),
    (r"The store's answer has a DTD \(as HTML has\), which this API does not use\.", "ResponseHasDtd"),
    (
        r"Something before the store answered (?P<status>\d+): it is not known whether the store acted\.",
        "GatewayError",
    ),
    (r"The store answered (?P<status>\d+) without saying why\.", "ErrorWithoutMessage"),
    (
        r"After (?P<count>\d+) aborts the store still lists parts of this upload: something keeps sending to it\.",
        "StillListed",
    ),
    (
        r"Of (?P<count>\d+) parts (?P<present>\d+) are in this upload: it is not completed\. Discard this transfer and send the file again\.",
        "PartsNotInUpload",
    ),
    (
        r"The object in the store has the CRC-64 (?P<stored>[0-9a-f]{16}); the bytes that were sent have (?P<sent>[0-9a-f]{16})\. The object is there and must not be trusted: send the file again\.",
        "Crc64Mismatch",
    ),
    (
        r"After completion the store should hold this transfer's object of \d+ bytes and holds none: somebody may have replaced or deleted it at the same moment\.",
        "ObjectMissing",
    ),
    (
        r"After completion the store should hold this transfer's object of (?P<expected_size>\d+) bytes and holds one of (?P<size>\d+) bytes: somebody may have replaced or deleted it at the same moment\.",
        "ObjectDiffers",
    ),
)
"""Messages of ours that stood in the place of the store's."""

WHOLE = (
    (
        "Sha256Mismatch",
        r"The file that arrived has the SHA-256 (?P<received>[0-9a-f]{64}); (?P<expected>[0-9a-f]{64}) was promised: .*",
        "Sha256Mismatch",
    ),
    ("Sha256Unknown", r"A SHA-256 was promised for this file and can no longer be checked: .*", "Sha256Unknown"),
    ("Sha256Missing", r"A SHA-256 was promised for this file and never came: .*", "Sha256Missing"),
    (
        "Expired",
        r"No byte came from the browser for (?P<hours>[\d.]+) hours: what was staged is cleaned away\.",
        "Expired",
    ),
    ("BytesGone", r"Part (?P<number>\d+) cannot be sent: its staged bytes are gone\. .*", "StagedPartLost"),
    (
        "BytesGone",
        r"Part (?P<number>\d+) cannot be sent: it is in the store no more as it was sent\. .*",
        "SentPartLost",
    ),
    ("IncompleteBody", r"No byte has come from the browser for (?P<minutes>\d+) minutes\.", "SenderSilent"),
    ("IncompleteBody", r"No byte came for (?P<silent_seconds>\d+) seconds\.", "SenderSilent"),
    ("IncompleteBody", r"Fewer than (?P<rate_bytes>[\d,]+) bytes a second came\.", "SenderTooSlow"),
    ("IncompleteBody", r"The connection from the browser ended before the whole file had arrived\.", "SenderLeft"),
    (
        "IncompleteBody",
        r"The connection (?:ended|was lost) (?P<missing_bytes>[\d,]+) bytes before the end of the body\.",
        "ConnectionEnded",
    ),
    ("IncompleteBody", r"The file ended before its announced size\.", "FileEndedEarly"),
    ("IncompleteBody", r"The file is longer than its announced size\.", "FileTooLong"),
    ("IncompleteBody", r"Staging is full: parts have to leave for the store first\.", "NoRoom"),
    ("IncompleteBody", r"The transfer was cancelled\.", "Cancelled"),
    ("OwnedByTransfer", r"A transfer that has not ended owns this upload: .*", "OwnedByTransfer"),
    ("AlreadyOrdered", r"Another operation is already working on this upload\.", "AlreadyOrdered"),
    ("GapNotAllowed", r"Part numbers are missing, and completing with a gap was not confirmed\.", "GapNotAllowed"),
    ("Died", r"The check was begun (?P<count>\d+) times, and its process died each time\.", "Died"),
    ("EndpointChanged", r"The store's endpoint was changed while the check was under way: .*", "EndpointChanged"),
    ("Interrupted", r"The check was interrupted\.", "Interrupted"),
)
"""Whole texts by the code that they were stored with, and their reasons."""

BLOCKERS = (
    (r"No part has been uploaded: there is nothing to complete\.", "NoParts"),
    (
        r"(?P<count>[\d,]+) parts? (?:is|are) below this store's minimum of (?P<limit_bytes>[\d,]+) bytes, which only the last part may be: (?P<parts>[^.]+(?:\.\.\.)?)\.",
        "PartsTooSmall",
    ),
    (r"The store takes at most (?P<limit>[\d,]+) parts; this upload has (?P<count>[\d,]+)\.", "PartLimitExceeded"),
    (r"The object would have (?P<size>[\d,]+) bytes; the store takes (?P<limit>[\d,]+)\.", "ObjectTooLarge"),
)
"""What a completion was refused for."""

TEXTS = frozenset({"detail", "path", "location", "region", "stored", "sent", "received", "expected", "parts"})
"""Parameters that are not numbers."""


def split_errors(apps, _schema_editor):
    for name in MODELS:
        model = apps.get_model("uploads", name)
        ids = list(model.objects.filter(error_reason="").exclude(error_code="").values_list("pk", flat=True))
        for start in range(0, len(ids), BATCH):
            _split_some(model, ids[start : start + BATCH])


def _split_some(model, ids):
    rows = list(model.objects.filter(pk__in=ids))
    for row in rows:
        for column, value in recognise(row.error_code, row.error_message, getattr(row, "size", None)).items():
            setattr(row, column, value)
    model.objects.bulk_update(rows, ["error_code", "error_reason", "error_params", "error_message"])


def recognise(code, message, size=None):
    """The columns of an error that was stored with `code` and `message`; those that stay are left out."""
    columns = _whole(code, message, size) or _blockers(code, message) or _store_error(code, message) or {}
    if code in OLD_SENTENCES or code in REASONS_WITHOUT_SENTENCE:
        columns["error_code"] = CODES.get(code) or "".join(word.capitalize() for word in code.split("-"))
    return columns


def _whole(code, message, size):
    for stored, pattern, reason in WHOLE:
        found = re.fullmatch(pattern, message, re.DOTALL) if stored == code else None
        if found:
            params = _params(found)
            if "hours" in params:
                params = {"silent_seconds": round(float(found["hours"]) * 3600)}
            if "minutes" in params:
                params = {"silent_seconds": params["minutes"] * 60}
            if reason in ("FileEndedEarly", "FileTooLong"):
                params = {"size_bytes": size}
            return {"error_reason": reason, "error_params": params, "error_message": ""}
    return None


def _blockers(code, message):
    """None if one of them is not recognised."""
    details, rest = [], message if code == "PreflightFailed" else ""
    while rest:
        for pattern, blocker in BLOCKERS:
            found = re.match(pattern, rest)
            if found:
                details.append({"code": blocker, "params": _params(found)})
                rest = rest[found.end() :].lstrip()
                break
        else:
            return None
    return details and {"error_reason": code, "error_params": {"details": details}, "error_message": ""}


def _store_error(code, message):
    reason, rest = _leading_reason(code, message)
    if not reason:
        return None
    operation, rest = _without_advice(rest) if reason == "permission" else ("", rest)
    rest, details = _without_additions(rest)
    own = _own(rest)
    if rest and not own and code == reason:
        # No store has sent this, and the text is not known: pages show it as it is.
        return None
    params = {"operation": operation, "details": [*([own] if own else []), *details]}
    return {"error_reason": reason, "error_params": params, "error_message": "" if own else rest}


def _leading_reason(code, message):
    for reason, sentence in OLD_SENTENCES.items():
        if message == sentence or message.startswith(f"{sentence} "):
            return reason, message[len(sentence) + 1 :]
    return (code, message) if code in REASONS_WITHOUT_SENTENCE else ("", message)


def _without_advice(rest):
    for advice, operation in ADVICE.items():
        if rest.endswith(advice):
            return operation, rest.removesuffix(advice).removesuffix(" ")
    return "", rest


def _without_additions(rest):
    details = []
    for pattern, code in ADDED:
        found = re.search(pattern, rest)
        if found:
            details.insert(0, {"code": code, "params": _params(found)})
            rest = rest[: found.start()]
    return rest, details


def _own(rest):
    for pattern, code in OWN:
        found = re.fullmatch(pattern, rest, re.DOTALL)
        if found:
            return {"code": code, "params": _params(found)}
    return None


def _params(found):
    return {name: value if name in TEXTS else _number(value) for name, value in found.groupdict().items()}


def _number(text):
    digits = text.replace(",", "")
    return int(digits) if digits.isdigit() else text


def join_errors(apps, _schema_editor):
    """The way back: the version before shows only `error_message`, which gets codes where no sentence is known."""
    for name in MODELS:
        model = apps.get_model("uploads", name)
        ids = list(model.objects.exclude(error_reason="").values_list("pk", flat=True))
        for start in range(0, len(ids), BATCH):
            rows = list(model.objects.filter(pk__in=ids[start : start + BATCH]))
            for row in rows:
                row.error_message = joined(row.error_reason, row.error_params, row.error_message)
                row.error_reason, row.error_params = "", {}
            model.objects.bulk_update(rows, ["error_reason", "error_params", "error_message"])


def joined(reason, params, message):
    own = {name: value for name, value in params.items() if name not in ("operation", "details")}
    first = OLD_SENTENCES.get(reason) or _code_text({"code": reason, "params": own})
    return " ".join(filter(None, [first, *map(_code_text, params.get("details", [])), message]))


def _code_text(problem):
    return " ".join([problem["code"], *(f"{name}={value}" for name, value in problem["params"].items())])


class Migration(migrations.Migration):
    dependencies = [("uploads", "0009_payload_signing")]

    operations = [migrations.RunPython(split_errors, join_errors)]
