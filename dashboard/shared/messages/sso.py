"""Texts about single sign-on: why nobody is signed in, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.SSO_UNAVAILABLE: _(
        "The sign-in service at %(issuer)s does not respond as it should. Try again in a minute. If it stays like "
        "this, tell an administrator: the log of the web server says what happened. Transfers continue."
    ),
    Code.SSO_BUSY: _("Many people are signing in, and the sign-in service responds slowly. Try again in a minute."),
    Code.SSO_EXPIRED: _(
        "This sign-in was begun more than 15 minutes ago, in another browser, or it was completed already. Try again. "
        "Cookies must be allowed for this site."
    ),
    Code.SSO_REFUSED: _(
        "The sign-in service did not sign you in (%(error)s). Try again, or ask an administrator whether you may use "
        "Partway."
    ),
    Code.SSO_RESPONSE_INVALID: _(
        "The response of the sign-in service is not valid, so nobody was signed in. Try again. If it stays like this, "
        "tell an administrator: the log of the web server says what is wrong."
    ),
    Code.SSO_GROUPS_LEFT_OUT: _(
        "The sign-in service left out your groups because there are too many, so your rights are unknown. Tell an "
        "administrator: at the service, assign only the groups that Partway needs."
    ),
    Code.SSO_NO_GROUP: _("You are in no group that may use Partway. Ask an administrator to add you to one."),
    Code.SSO_NO_ACCOUNT: _("You have no account here. Ask an administrator for one."),
    Code.SSO_EMAIL_AMBIGUOUS: _(
        "Several users here have the e-mail address %(email)s, so it is unclear which one you are. Ask an "
        "administrator to correct the addresses."
    ),
    Code.SSO_USER_DISABLED: _("Your account here is disabled. Ask an administrator to enable it."),
}
