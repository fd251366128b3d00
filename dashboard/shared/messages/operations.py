"""Texts of codes about operations, cleanup and reconciliation."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.OBJECT_APPEARED: _(
        "An object with this key appeared in the meantime and was not replaced. Complete the upload again to replace "
        "it, or abort the upload."
    ),
}
