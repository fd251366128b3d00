"""Texts about access: what does not exist for this user, what the role does not allow, and the names of roles."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.domain.roles import Role
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.NOT_SIGNED_IN: _("Sign in first."),
    Code.ACCOUNT_LOCKED: _(
        "Too many attempts to sign in with this name have failed. Try again after %(until_at)s, or ask an "
        "administrator to lift the lock. Other names are not affected."
    ),
    Code.ADDRESS_LOCKED: _(
        "Too many attempts to sign in from your address have failed. Try again after %(until_at)s, or ask an "
        "administrator to lift the lock. Other addresses are not affected."
    ),
    Code.CODE_WRONG: _("This code is wrong, has expired, or was used before. Enter the one that the app shows now."),
    Code.CODE_TOO_SOON: _("The last code was wrong. Try again in %(wait_seconds)s."),
    Code.SECOND_FACTOR_EXISTS: _("Your account already has an app for codes."),
    Code.SECOND_FACTOR_REQUIRED: _(
        "Your role needs a second factor: set up an app for codes on the page of your account."
    ),
    Code.SIGN_IN_BUSY: _("Many people are signing in at this moment. Try again in a few seconds."),
    Code.ACCESS_DENIED: _("Your role does not allow this."),
    Code.ROLE_REQUIRED: _("This needs the role “%(role)s”, which you do not have here."),
    Code.NO_ROLE: _("You have no role here yet. This needs the role “%(role)s”: ask an administrator to grant it."),
    Code.ROLE_LOST: _(
        "%(user)s has lost the role “%(role)s” here since this was requested. Nothing more was done. Grant the role "
        "again, or have somebody who has it repeat the request."
    ),
    Code.TOKEN_LOST: _(
        "The access token “%(name)s”, which requested this, has been revoked since. Nothing more was done. Retry or "
        "repeat the request with another token, or signed in."
    ),
    Code.ACTOR_DISABLED: _("%(user)s was disabled after this was requested. Nothing more was done."),
    Code.TOKEN_SCOPE_REQUIRED: _("The scopes of the access token do not include this."),
    Code.NO_SUCH_PLACE: _("There is no such bucket or key, or you may not see it."),
    Code.NO_SUCH_PAGE: _("There is nothing at this address."),
    Code.NO_SUCH_STORE: _("There is no store “%(store)s”."),
    Code.NO_SUCH_CHECK: _("There is no such check of this store."),
    Code.NO_SUCH_OPERATION: _("There is no such operation."),
    Code.NO_SUCH_SCAN: _("There is no such scan."),
    Code.NO_SUCH_TRANSFER: _("There is no such transfer."),
    Code.OPERATION_DELETED: _(
        "This operation has ended, and was deleted after the time for which this site keeps operations. The audit log "
        "still has what was done."
    ),
    Code.TRANSFER_DELETED: _(
        "This transfer has ended, and was deleted after the time for which this site keeps transfers. The audit log "
        "still has what was done."
    ),
    Code.DATABASE_UNAVAILABLE: _("The database of Partway is unavailable: it is down, or it restarts."),
    Code.DATABASE_BUSY: _("The database of Partway is busy: all connections are in use, or others write."),
    Code.DATABASE_FULL: _(
        "The disk of the database of Partway is full: nothing can be changed. An administrator has to free space on "
        "it. Work in progress continues then."
    ),
    Code.DATABASE_READ_ONLY: _(
        "The database of Partway can only be read: nothing can be changed. Its disk is mounted read-only or does not "
        "allow writing, or its server is a standby. An administrator has to change that."
    ),
    Code.ORIGIN_UNTRUSTED: _(
        "The form was sent from %(origin)s, but the address of this site is %(address)s. Nothing was changed. If "
        "%(origin)s is an address of Partway, add it to the setting CSRF_TRUSTED_ORIGINS, and have the proxy send the "
        "header Host unchanged."
    ),
    Code.ORIGIN_SCHEME: _(
        "The form was sent from %(origin)s, but the web server received it as %(address)s. Nothing was changed. Behind "
        "a proxy with TLS, add %(origin)s to the setting CSRF_TRUSTED_ORIGINS, or set BEHIND_TLS_PROXY if the proxy "
        "sends X-Forwarded-Proto."
    ),
    Code.ORIGIN_HIDDEN: _(
        "The browser hides from which site the form was sent (Origin: null). Nothing was changed. Open Partway in a "
        "normal tab, without an extension that removes this header."
    ),
    Code.REFERER_MISSING: _(
        "The browser sent neither Origin nor a valid Referer, which are needed over HTTPS. Nothing was changed. Open "
        "Partway without an extension or a proxy that removes these headers."
    ),
    Code.REFERER_INSECURE: _(
        "The form was opened over HTTP and sent over HTTPS. Nothing was changed. Open Partway with https:// and try "
        "again."
    ),
    Code.CSRF_COOKIE_MISSING: _(
        "The browser did not send the cookie %(cookie)s. Nothing was changed. Allow cookies for this site, open it "
        "with https:// if SECURE_COOKIES is set, reload the page and try again."
    ),
    Code.FORM_EXPIRED: _(
        "The form was not sent from this site, or its token has expired. Nothing was changed. Go back, reload the page "
        "and try again."
    ),
}

ROLES: Mapping[Role, Message] = {
    Role.VIEWER: _("Viewer"),
    Role.OPERATOR: _("Operator"),
    Role.STORE_ADMINISTRATOR: _("Store administrator"),
    Role.ADMINISTRATOR: _("Administrator"),
}
