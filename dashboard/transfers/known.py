"""Which of the selected files resume earlier transfers: requested once, before any file is sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from dashboard.shared.jsonapi import json_error
from dashboard.shared.numbers import count_text
from dashboard.transfers.serializers import known_json
from uploads import access
from uploads.models import Transfer
from uploads.objectstore.errors import ObjectStoreError
from uploads.selectors.transfers import SelectedFile, find_known
from uploads.services.transfers.start import allow_replacing, needs_leave

log = logging.getLogger(__name__)

MAX_FILES = 1000


class InvalidRequest(ValueError):
    """The body does not have the expected form. The text says what is expected."""


@require_POST
def known(request: HttpRequest) -> HttpResponse:
    """Takes `{"store", "bucket", "files": [{"key", "size", "fingerprint", "replace"}]}` and returns the known files.

    `replace` allows the transfer of a known file to replace the object with its key that is there now.
    """
    try:
        store_name, bucket, files, replacing = _read(request.body)
    except InvalidRequest as error:
        return json_error("InvalidRequest", str(error), status=400)
    store = access.store_to_transfer_to(request.user, store_name, bucket)
    transfers = find_known(request.user, store, bucket, files)
    to_allow = [transfer for transfer, _ in transfers if transfer.key in replacing and needs_leave(transfer)]
    _allow(access.actor(request.user), to_allow)
    return JsonResponse({"known": [known_json(transfer, received) for transfer, received in transfers]})


def _allow(actor: User, transfers: Sequence[Transfer]) -> None:
    """One HEAD each. If one fails, the others would wait as well: they end as before if an object is in the way."""
    try:
        for transfer in transfers:
            allow_replacing(actor, transfer)
    except ObjectStoreError as error:
        log.warning("The objects to be replaced could not be looked at: %s", error)


def _read(body: bytes) -> tuple[str, str, list[SelectedFile], set[str]]:
    """The store, the bucket, the files, and the keys whose object may be replaced."""
    try:
        request: Any = json.loads(body)
        files = [
            SelectedFile(_text(each["key"]), int(each["size"]), _text(each["fingerprint"])) for each in request["files"]
        ]
        replacing = {_text(each["key"]) for each in request["files"] if each.get("replace") is True}
        store, bucket = _text(request["store"]), _text(request["bucket"])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidRequest(_("Send JSON with store, bucket, and files with key, size and fingerprint.")) from error
    if len(files) > MAX_FILES:
        raise InvalidRequest(
            _("Send at most %(limit)s files at a time. These are %(count)s.")
            % {"limit": count_text(MAX_FILES), "count": count_text(len(files))}
        )
    return store, bucket, files, replacing


def _text(value: object) -> str:
    """Text that a database accepts: JSON can contain lone surrogates. Raises ValueError."""
    text = str(value)
    text.encode()
    if "\0" in text:
        raise ValueError("The text contains a NUL character.")
    return text
