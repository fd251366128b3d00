"""Mails a link to its user, if the site can send mail."""

from __future__ import annotations

import logging
import smtplib

from django.conf import settings
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from dashboard.shared.formatting import time_text
from uploads.models import Invitation

log = logging.getLogger(__name__)

NOBODY = "django.core.mail.backends.dummy.EmailBackend"


def is_configured() -> bool:
    return settings.EMAIL_BACKEND != NOBODY


def mail_link(user: User, invitation: Invitation, link: str) -> str | None:
    """What became of the mail, as a text; None if it was sent. Nothing is logged of the link."""
    if not is_configured():
        return _("This site sends no mail. Send the link yourself, over a way that only this person reads.")
    if not user.email:
        return _("This user has no e-mail address. Send the link yourself, over a way that only this person reads.")
    subject = _("Your access to Partway")
    text = _(
        "Hello %(name)s,\n\nset a password for Partway with this link:\n\n%(link)s\n\nIt works once, until %(until)s. "
        "If you did not expect this message, ignore it."
    ) % {"name": user.get_username(), "link": link, "until": time_text(invitation.expires_at)}
    try:
        send_mail(subject, f"{text}\n", settings.DEFAULT_FROM_EMAIL, [user.email])
    except (OSError, smtplib.SMTPException, ValueError) as error:
        log.warning("the mail to user %s could not be sent: %s", user.pk, type(error).__name__)
        return _("The mail to %(address)s could not be sent. Send the link yourself.") % {"address": user.email}
    return None
