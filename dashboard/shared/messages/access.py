"""Texts about access: what does not exist for this user, what the role does not allow, and the names of roles."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.access import Role
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.NOT_SIGNED_IN: _("Sign in first."),
    Code.ACCESS_DENIED: _("Your role does not allow this."),
    Code.ADMINISTRATOR_REQUIRED: _("Only an administrator may do this."),
    Code.NO_SUCH_PAGE: _("There is nothing at this address."),
    Code.NO_SUCH_STORE: _("There is no store “%(store)s”."),
    Code.NO_SUCH_CHECK: _("There is no such check of this store."),
    Code.NO_SUCH_OPERATION: _("There is no such operation."),
    Code.NO_SUCH_TRANSFER: _("There is no such transfer."),
    Code.OPERATION_DELETED: _(
        "This operation has ended, and was deleted after the time for which this site keeps operations. The audit log "
        "still has what was done."
    ),
    Code.TRANSFER_DELETED: _(
        "This transfer has ended, and was deleted after the time for which this site keeps transfers. The audit log "
        "still has what was done."
    ),
}

ROLES: Mapping[Role, Message] = {
    Role.OPERATOR: _("Operator"),
    Role.ADMINISTRATOR: _("Administrator"),
}
