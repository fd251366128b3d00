"""Texts of codes about receiving and staging."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.INVALID_SHA256: _("A SHA-256 consists of 64 hexadecimal digits."),
    Code.SHA256_UNKNOWN: _(
        "The SHA-256 of this file can no longer be computed, so the object is not completed. Discard the transfer and "
        "send the file again."
    ),
    Code.SHA256_MISSING: _(
        "This file was to be verified with a SHA-256, and the browser did not send one, so the object is not "
        "completed. Discard the transfer and send the file again."
    ),
    Code.SHA256_MISMATCH: _(
        "The file that arrived has the SHA-256 %(received)s; %(expected)s was expected. The object is not completed. "
        "Discard the transfer and send the file again."
    ),
}
