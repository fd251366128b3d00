"""Which of the files that were chosen go on with transfers that began before: asked once, before any is sent."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from dashboard.shared.jsonapi import json_error
from uploads import access
from uploads.selectors.transfers import Chosen, find_known
from uploads.services.transfers.start import allow_replacing

MAX_FILES = 1000


class BadQuestion(ValueError):
    """The body is not what is expected here."""


@require_POST
def known(request: HttpRequest) -> HttpResponse:
    """`{"store", "bucket", "files": [{"key", "size", "fingerprint", "replace"}]}` to those of them that are known.

    `replace`: the operator agrees that an object of the key is replaced, which a known transfer then does.
    """
    try:
        store_name, bucket, files, replacing = _read(request.body)
    except BadQuestion as error:
        return json_error("InvalidRequest", str(error), status=400)
    store = access.store_to_transfer_to(request.user, store_name)
    found = find_known(request.user, store, bucket, files)
    for transfer, _ in found:
        if transfer.forbid_overwrite and transfer.key in replacing:
            allow_replacing(access.actor(request.user), transfer)
    answer = [
        {
            "key": transfer.key,
            "size": transfer.size,
            "fingerprint": transfer.fingerprint,
            "id": str(transfer.pk),
            "url": reverse("file", args=[transfer.pk]),
            "bytes_received": received,
            "state": transfer.state.value,
            "wants_sha256": transfer.verify_sha256 and not transfer.expected_sha256,
        }
        for transfer, received in found
    ]
    return JsonResponse({"known": answer})


def _read(body: bytes) -> tuple[str, str, list[Chosen], set[str]]:
    """Store, bucket, the files, and the keys whose object may be replaced."""
    try:
        asked: Any = json.loads(body)
        files = [Chosen(_text(each["key"]), int(each["size"]), _text(each["fingerprint"])) for each in asked["files"]]
        replacing = {_text(each["key"]) for each in asked["files"] if each.get("replace") is True}
        store, bucket = _text(asked["store"]), _text(asked["bucket"])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise BadQuestion("Ask with JSON: store, bucket, and files with key, size and fingerprint.") from error
    if len(files) > MAX_FILES:
        raise BadQuestion(f"Ask for at most {MAX_FILES:,} files at a time; these are {len(files):,}.")
    return store, bucket, files, replacing


def _text(value: object) -> str:
    """Text that a database can be asked for: JSON may hold halves of characters. Raises ValueError."""
    text = str(value)
    text.encode()
    if "\0" in text:
        raise ValueError("a NUL")
    return text
