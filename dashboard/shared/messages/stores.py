"""Texts about store settings and connection tests."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.types import Message
from uploads.problems import Code

MESSAGES: Mapping[str, Message] = {
    Code.STORE_NAME_INVALID: _("Use lower-case letters, digits and hyphens, and do not start with a hyphen."),
    Code.STORE_CHANGED: _("The store was changed in the meantime."),
    Code.ENDPOINT_URL_NOT_HTTP: _("Enter an http or https URL with a host, such as https://s3.example.org:9000."),
    Code.ENDPOINT_URL_WITH_EXTRAS: _("Enter the endpoint URL without credentials, query or fragment."),
    Code.ENDPOINT_NEEDED: _(
        "Enter the endpoint URL: it does not follow from provider and region. It looks like %(example)s."
    ),
    Code.ENDPOINT_NEEDED_FOR_REGION: _(
        "Enter the endpoint URL: %(region)s is not at %(pattern)s, but at another endpoint."
    ),
    Code.ENDPOINT_OF_OTHER_PROVIDER: _(
        "This is an endpoint of %(owner)s, which does not support %(signature)s. %(provider)s is at %(endpoint_url)s."
    ),
    Code.REGION_NOT_IN_HOST_NAMES: _(
        "No endpoint URL can be built from “%(region)s”: it cannot be part of a host name."
    ),
    Code.SECRET_NEEDED_AGAIN: _("Enter this again: the stored value cannot be decrypted with CREDENTIALS_KEYS."),
    Code.SECRET_NEEDED_AT_NEW_ENDPOINT: _(
        "Enter this again, because the endpoint has another address now. A stored secret is never sent to an address "
        "that it was not entered for."
    ),
    Code.SIGNATURE_NOT_SUPPORTED: _("%(provider)s requires %(signature)s."),
    Code.SIGNATURE_OF_OTHER_PROVIDER: _(
        "%(provider)s requires %(signature)s. For this signature, select the provider %(others)s."
    ),
    Code.SIGNATURE_NOT_SUPPORTED_AT_ENDPOINT: _(
        "This is an endpoint of %(owner)s, which does not support %(signature)s."
    ),
}

SIGNATURES: Mapping[str, str] = {"sigv4": "AWS Signature Version 4", "oss4": "OSS V4 (OSS4-HMAC-SHA256)"}
"""The names of signatures in their documentation; they are not translated."""
