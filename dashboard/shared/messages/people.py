"""Texts about users, groups, invitations and access tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.domain.roles import TokenScope
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.TOKEN_UNKNOWN: _("The access token is unknown. Send the whole token, in the header Authorization: Bearer."),
    Code.TOKEN_EXPIRED: _("The access token “%(name)s” has expired. Create a new one."),
    Code.TOKEN_REVOKED: _("The access token “%(name)s” has been revoked. Create a new one."),
    Code.TOKEN_USER_DISABLED: _("The user of the access token “%(name)s” is disabled."),
    Code.TOKEN_NOT_ACCEPTED: _("This address does not accept access tokens. Sign in to use it."),
    Code.TOKEN_NAME_TAKEN: _("You already have a token “%(name)s”. Revoke it first, or enter another name."),
    Code.TOO_MANY_TOKENS: _("You have %(limit)s tokens, which is the most. Revoke some first."),
    Code.NO_SUCH_TOKEN: _("There is no such access token."),
    Code.NO_SUCH_USER: _("There is no such user."),
    Code.NO_SUCH_GROUP: _("There is no such group."),
    Code.NO_SUCH_GRANT: _("There is no such grant. Somebody may have removed it."),
    Code.USERNAME_TAKEN: _("There is already a user “%(name)s”."),
    Code.GROUP_NAME_TAKEN: _("There is already a group “%(name)s”."),
    Code.GRANT_EXISTS: _("This grant exists already."),
    Code.LAST_ADMINISTRATOR: _(
        "Nobody would be left who can administer this site. Make another user an administrator first; one who was "
        "invited counts after the first sign-in."
    ),
    Code.INVITED_USER_DISABLED: _("This user is disabled. Enable the user first."),
    Code.INVITATION_UNKNOWN: _(
        "This link is not valid. Open the whole link, as it was sent to you, or ask an administrator for a new one."
    ),
    Code.INVITATION_USED: _(
        "This link has been used. Sign in with the password that was set with it. If that was not you, tell an "
        "administrator at once."
    ),
    Code.INVITATION_EXPIRED: _("This link has expired. Ask an administrator for a new one."),
    Code.INVITATION_REVOKED: _("This link is no longer valid: it was revoked, or a newer link has replaced it."),
}

SCOPES: Mapping[TokenScope, Message] = {
    TokenScope.READ: _("Read: list uploads, and see transfers and operations"),
    TokenScope.TRANSFER: _("Transfer: send files, and pause, resume or cancel transfers"),
    TokenScope.OPERATE: _("Operate: abort and complete uploads"),
}
SCOPE_NAMES: Mapping[TokenScope, Message] = {
    TokenScope.READ: _("read"),
    TokenScope.TRANSFER: _("transfer"),
    TokenScope.OPERATE: _("operate"),
}
"""For lists."""


def scope_names(scopes: Iterable[str]) -> str:
    """The names of stored scopes, in the order of the form."""
    stored = set(scopes)
    return ", ".join(str(name) for scope, name in SCOPE_NAMES.items() if scope in stored)
