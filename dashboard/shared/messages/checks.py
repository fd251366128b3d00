"""Texts about store checks: names, groups, verdicts and steps, leftovers, and errors of a check as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from dashboard.shared.messages import findings
from dashboard.shared.messages.types import Message
from uploads.objectstore.probing.results import Group, Verdict
from uploads.problems import Code
from uploads.services.stores.checks.run import CLEANING_UP, CLEANING_UP_EARLIER

Text = Promise | str

MESSAGES: Mapping[str, Message] = {
    Code.INTERRUPTED: _("The check was interrupted."),
    Code.DIED: ngettext_lazy(
        "The check was started %(count)s time, and its process died.",
        "The check was started %(count)s times, and its process died each time.",
        "count",
    ),
    Code.ENDPOINT_CHANGED: _("The store's endpoint changed while the check was running. Check the store again."),
    Code.UPLOAD_MAY_EXIST: _(
        "It may have been started: no response contained its upload id, and uploads could not be listed."
    ),
    Code.LEFT_AT_OTHER_ENDPOINT: _(
        "The store's endpoint was %(endpoint_url)s at that time. Set it back and check again, or remove this at that "
        "endpoint."
    ),
    **findings.MESSAGES,
}

TITLES: Mapping[str, Message] = {
    "reach": _("The endpoint responds"),
    "tls": _("The connection is encrypted"),
    "credentials": _("The credentials are accepted"),
    "clock": _("The clocks agree"),
    "bucket": _("The bucket exists"),
    "list-buckets": _("ListBuckets"),
    "list-uploads": _("ListMultipartUploads"),
    "put-object": _("PutObject"),
    "head-object": _("HeadObject"),
    "delete-object": _("DeleteObject"),
    "create": _("CreateMultipartUpload"),
    "upload-part": _("UploadPart"),
    "list-parts": _("ListParts"),
    "abort": _("AbortMultipartUpload"),
    "complete": _("CompleteMultipartUpload"),
    "prefix": _("Prefix"),
    "order": _("Order of uploads"),
    "rows": _("Order within a page"),
    "key-marker": _("Key marker alone"),
    "both-markers": _("Key marker and upload id marker"),
    "max-uploads": _("Page size"),
    "next-of-two": _("Next markers of a page of 2"),
    "next-of-one": _("Next markers of a page of 1"),
    "exact-fit": _("A page that holds exactly all uploads"),
    "delimiter": _("Delimiter"),
    "delimiter-pages": _("Delimiter, page by page"),
    "ended": _("Ended uploads leave the listing"),
    "encoding": _("encoding-type=url"),
    "all-pages": _("All pages"),
    "replace": _("A part sent again"),
    "parts-paging": _("Pages of ListParts"),
    "list-parts-ended": _("ListParts of an ended upload"),
    "abort-ended": _("Abort of an ended upload"),
    "part-etag": _("ETag of a part"),
    "completed-etag": _("ETag of a completed upload"),
    "head-etag": _("HEAD after Complete"),
    "crc64": _("CRC-64"),
    "md5-part": _("UploadPart with a wrong Content-MD5"),
    "md5-object": _("PutObject with a wrong Content-MD5"),
    "crc64-part": _("Multipart upload with x-amz-checksum-crc64nvme"),
    "crc64-object": _("PutObject with x-amz-checksum-crc64nvme"),
    "lifecycle": _("Read lifecycle rules"),
    "wrong-etag": _("Complete with a wrong ETag"),
    "wrong-order": _("Complete in the wrong order"),
    "too-small": _("Complete with parts that are too small"),
    "complete-ended": _("Complete of an aborted upload"),
    "complete-over": _("Complete of an aborted upload over an object"),
    "repeated": _("Complete a second time"),
    "forbid-overwrite": _("An object that must not be replaced"),
    "key-plus": _("A key with space, plus and percent"),
    "key-unicode": _("A key in Unicode"),
    "key-query": _("A key with ? and #"),
    "key-dots": _("A key with a dot segment"),
    "key-slashes": _("A key with a double slash"),
    "key-leading": _("A key that starts with a slash"),
}
"""What each check is called, by its name."""

GROUPS: Mapping[Group, Text] = {
    Group.REACH: _("Reaching the store"),
    Group.PERMISSIONS: _("Permissions"),
    Group.LISTING: _("Listing uploads"),
    Group.PARTS: _("Parts"),
    Group.COMPLETION: _("Completing"),
    Group.DIGESTS: _("Digests"),
    Group.KEYS: _("Odd keys"),
}

VERDICTS: Mapping[Verdict, Text] = {
    Verdict.OK: _("ok"),
    Verdict.DIFFERS: _("differs"),
    Verdict.FAILED: _("failed"),
    Verdict.DENIED: _("denied"),
    Verdict.UNKNOWN: _("not known"),
    Verdict.NOT_TRIED: _("not tried"),
}

STEPS: Mapping[str, Message] = {
    CLEANING_UP_EARLIER: _("Cleaning up after earlier checks"),
    CLEANING_UP: _("Cleaning up"),
}
"""What a check does besides its checks."""


def title_of(name: str, otherwise: str = "") -> str:
    """The title of a check; of one that this version does not know, `otherwise` or its name."""
    return str(TITLES.get(name, otherwise or name))


def step_text(step: str) -> str:
    """What a running check does now. A row stored before steps had names holds the text."""
    return str(STEPS[step]) if step in STEPS else title_of(step)
