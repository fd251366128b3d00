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
    Code.CHECKSUM_NOT_OF_PROVIDER: _("%(provider)s does not verify CRC-64/NVME. Choose Content-MD5."),
    Code.CHECKSUM_OF_NEW_STORE: _(
        "Nobody knows yet whether this store verifies CRC-64. Add it with Content-MD5, run a store check, and then "
        "choose CRC-64."
    ),
    Code.CHECKSUM_OF_OTHER_STORE: _(
        "With another endpoint, provider or signature, nobody knows whether the store verifies CRC-64. Choose "
        "Content-MD5 and save, run a store check, and then choose CRC-64 again."
    ),
    Code.CHECKSUM_NOT_PROVED: _(
        "No store check has proved that this store refuses a wrong CRC-64. Choose Content-MD5, or run a store check: "
        "if it finds that both kinds of requests with x-amz-checksum-crc64nvme are verified, choose CRC-64 then."
    ),
    Code.SIGNATURE_NOT_SUPPORTED: _("%(provider)s requires %(signature)s."),
    Code.SIGNATURE_OF_OTHER_PROVIDER: _(
        "%(provider)s requires %(signature)s. For this signature, select the provider %(others)s."
    ),
    Code.SIGNATURE_NOT_SUPPORTED_AT_ENDPOINT: _(
        "This is an endpoint of %(owner)s, which does not support %(signature)s."
    ),
}

CHECKSUMS: Mapping[str, str] = {"md5": "Content-MD5", "crc64nvme": "CRC-64/NVME"}
"""The names of checksums, which are not translated."""

SIGNATURES: Mapping[str, str] = {"sigv4": "AWS Signature Version 4", "oss4": "OSS V4 (OSS4-HMAC-SHA256)"}
"""The names of signatures in their documentation; they are not translated."""
