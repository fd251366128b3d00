"""Texts of codes about planning, beginning and steering transfers."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.OBJECT_MAY_BE_OURS: _(
        "It may be this transfer's own object, from an earlier attempt: the credentials do not allow HEAD, which "
        "would tell."
    ),
    Code.UPLOAD_ENDED_BY_OTHERS: _("Somebody else aborted or completed it while the transfer was running."),
    Code.INTERNAL_ERROR: _("An internal error occurred. The log has the details."),
}
