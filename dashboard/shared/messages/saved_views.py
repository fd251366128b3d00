"""Texts about saved views of the inventory."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.NO_SUCH_VIEW: _("There is no such view, or it is not yours."),
    Code.VIEW_NAME_TAKEN: _("You already have a view “%(name)s”. Enter another name."),
    Code.TOO_MANY_VIEWS: _("You have %(limit)s views, which is the most. Delete some first."),
}
