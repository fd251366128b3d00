"""The verdicts in words, and why an upload in progress has its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from dashboard.shared.messages.types import Message
from uploads.problems import Code

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

VERDICTS: Mapping[str, StrPromise] = {
    "dead": _("dead"),
    "superseded": _("superseded"),
    "completable": _("completable"),
    "stalled": _("stalled"),
    "alive": _("alive"),
    "unchecked": _("not checked yet"),
    "unjudged": _("cannot be judged"),
}

BASES: Mapping[str, StrPromise] = {
    "dead": _("By its last part, the upload is dead."),
    "stalled": _("By its last part, the upload is stalled."),
}
"""What a superseded or a completable upload is besides."""

MESSAGES: Mapping[str, Message] = {
    Code.UPLOAD_OWNED: _("A transfer of this site that is in progress owns the upload."),
    Code.UPLOAD_PART_LATELY: _(
        "The last part arrived %(since_seconds)s ago; an upload is alive for %(limit_seconds)s after its last part."
    ),
    Code.UPLOAD_STARTED_LATELY: _(
        "The upload was started %(since_seconds)s ago; an upload is alive for %(limit_seconds)s after its start."
    ),
    Code.UPLOAD_PARTS_REFUSED: _("The parts could not be read, so nobody can say when the last part arrived."),
    Code.UPLOAD_PARTS_UNREAD: _("The parts have not been read yet."),
    Code.UPLOAD_PARTS_UNDATED: _("The store does not say when the parts arrived."),
    Code.UPLOAD_STALLED: _(
        "Nothing arrived for %(since_seconds)s; %(limit_seconds)s without a part make an upload dead."
    ),
    Code.UPLOAD_TO_CHECK_AGAIN: _(
        "Nothing is known to have arrived for %(since_seconds)s, but the parts were last read %(checked_seconds)s ago; "
        "%(limit_seconds)s without a part make an upload dead once its parts are read again."
    ),
    Code.UPLOAD_PART_LONG_AGO: _(
        "The last part arrived %(since_seconds)s ago; %(limit_seconds)s without a part make an upload dead."
    ),
    Code.UPLOAD_NEVER_HAD_PARTS: _(
        "The upload was started %(since_seconds)s ago and never had a part; %(limit_seconds)s make it dead."
    ),
    Code.UPLOAD_SUPERSEDED: _(
        "The object with this key is %(newer_seconds)s newer than the last part: completing the upload would replace "
        "newer data."
    ),
    Code.OBJECT_UNDATED: _("The store does not say when the object with this key was changed."),
    Code.UPLOAD_COMPLETABLE: ngettext_lazy(
        "The upload has %(count)s part and no gap, and nothing arrived for %(since_seconds)s: it may be worth "
        "completing.",
        "The upload has %(count)s parts, no gap and none too small, and nothing arrived for %(since_seconds)s: "
        "it may be worth completing.",
        "count",
    ),
}
