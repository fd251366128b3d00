"""Texts of codes about receiving and staging."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from dashboard.shared.messages.types import Message
from uploads.problems import Code

NODES: Mapping[str, Message] = {
    Code.DISK_OF_OTHER_NODE: _(
        "STAGING_DIR (%(folder)s) belongs to the node “%(other)s”, and NODE_NAME is “%(name)s”. Set "
        "NODE_NAME=%(other)s, or give this node a folder of its own. To rename a node, finish or cancel its transfers "
        "first, and stop all of its processes for %(silent_seconds)s."
    ),
    Code.NODE_NAME_TAKEN: _(
        "A node with the name “%(name)s” and another staging disk reported %(ago_seconds)s ago. Two nodes need two "
        "names: set another NODE_NAME here. If this is the same node with another disk, start it again "
        "%(silent_seconds)s after its last report."
    ),
    Code.DISK_NOT_HERE: _(
        "STAGING_DIR (%(folder)s) does not have the staging disk of the node “%(name)s”. Mount the disk: the staged "
        "bytes wait for it."
    ),
}

SHA256: Mapping[str, Message] = {
    Code.INVALID_SHA256: _("A SHA-256 consists of 64 hexadecimal digits."),
    Code.SHA256_UNKNOWN: _(
        "The SHA-256 of this file can no longer be computed, so the object is not completed. Discard the transfer and "
        "send the file again."
    ),
    Code.SHA256_MISSING: _(
        "This file was to be verified with a SHA-256, and the browser did not send one, so the object is not "
        "completed. Discard the transfer and send the file again."
    ),
    Code.SHA256_MISMATCH: _(
        "The file that arrived has the SHA-256 %(received)s; %(expected)s was expected. The object is not completed. "
        "Discard the transfer and send the file again."
    ),
}

STOPPED: Mapping[str, Message] = {
    Code.TRANSFER_CANCELLED: _("The transfer was cancelled."),
    Code.TRANSFER_FAILED: _("The transfer failed between Partway and the store. Retry or discard it."),
    Code.TRANSFER_DONE: _("The transfer is done."),
    Code.TRANSFER_PAUSED: _("The transfer is paused."),
    Code.SENDER_LEFT: _("The connection from the browser ended before the whole file had arrived."),
    Code.SENDER_SILENT: _("Nothing arrived from the browser for %(silent_seconds)s."),
    Code.SENDER_TOO_SLOW: _("The browser sent less than %(rate_bytes)s per second."),
    Code.CONNECTION_ENDED: _("The connection ended %(missing_bytes)s before the end of the body."),
    Code.CHUNKS_ENDED: _("The connection ended before the last chunk of the body."),
    Code.CHUNKS_INVALID: _("The chunks of the body are malformed: %(detail)s."),
}

STAGING: Mapping[str, Message] = {
    Code.QUOTA_EXCEEDED: _("Staging is full. Try again when parts have been sent to the store."),
    Code.WRITER_BUSY: _("Another connection is sending this file."),
    Code.FOLDER_BEING_REMOVED: _("The staged bytes of this transfer are being removed."),
    Code.STAGING_FAILED: _("The bytes could not be staged: %(detail)s."),
    Code.OTHER_NODE: _("The bytes of this transfer are staged on %(node)s. Send the rest there."),
    Code.RECEIVE_SLOTS_BUSY: _("The server is receiving too many files. Try again in a few seconds."),
    Code.CREATE_SLOTS_BUSY: _("The server is creating too many transfers. Try again in a few seconds."),
    Code.GAVE_WAY: _(
        "Less than %(rate_bytes)s per second arrived, and other transfers need the space of the incomplete part. The "
        "parts before it are kept. Try again in a few seconds."
    ),
}

OF_USER: Mapping[str, Message] = {
    Code.USER_CREATING: ngettext_lazy(
        "You are creating %(count)s transfer now, and may not create more at the same time. Try again in a second.",
        "You are creating %(count)s transfers now, and may not create more at the same time. Try again in a second.",
        "count",
    ),
    Code.USER_RECEIVING: ngettext_lazy(
        "You are sending %(count)s file already, and may not send more at the same time. Try again when it has been "
        "sent.",
        "You are sending %(count)s files already, and may not send more at the same time. Try again when one of them "
        "has been sent.",
        "count",
    ),
    Code.USER_OPEN_TRANSFERS: ngettext_lazy(
        "You have %(count)s transfer in progress, and may not have more. Wait until it has ended, or cancel it.",
        "You have %(count)s transfers in progress, and may not have more. Wait until some have ended, or cancel those "
        "that you do not need.",
        "count",
    ),
    Code.USER_RESERVED: _(
        "Your transfers may take %(limit_bytes)s of staging, and have taken them. Try again when parts have been sent "
        "to the store, or cancel transfers that you do not need."
    ),
}

LENGTHS: Mapping[str, Message] = {
    Code.TOGETHER_INVALID: _(
        "Send a document with a size and metadata, also a fingerprint, for each of at most %(count)s files, and then "
        "exactly their bytes, at most %(limit_bytes)s."
    ),
    Code.BODY_TOO_LONG: _("A body of %(length_bytes)s would exceed the announced size of %(size_bytes)s."),
    Code.BODY_GOES_ON: _("The body has more bytes than the rest of the file. The file was not completed."),
    Code.FILE_TOO_LONG: _("The file is longer than its announced size of %(size_bytes)s."),
    Code.FILE_ENDED_EARLY: _("The file ended before its announced size of %(size_bytes)s."),
    Code.CHECKED_BODY_LIMIT: _(
        "A body with a checksum can have at most %(limit_bytes)s. This one has %(length_bytes)s."
    ),
    Code.CHECKED_BODY_TOO_LARGE: ngettext_lazy(
        "A body of %(length_bytes)s with a checksum spans %(count)s part, which is more than staging can have at once. "
        "Send at most the %(fitting_bytes)s that complete the current part.",
        "A body of %(length_bytes)s with a checksum spans %(count)s parts, which is more than staging can have at "
        "once. Send at most the %(fitting_bytes)s that complete the current part.",
        "count",
    ),
    Code.WRONG_OFFSET: _("The next byte has the offset %(expected)s, not %(given)s."),
    Code.ALL_RECEIVED: _("All %(size_bytes)s of the file have already arrived."),
}

TUS: Mapping[str, Message] = {
    Code.HEADER_MISSING: _("The header %(header)s is missing."),
    Code.HEADER_NOT_A_NUMBER: _("The header %(header)s must be a number of bytes, not “%(given)s”."),
    Code.HEADER_REPEATED: _("The header %(header)s was sent several times. Send it once."),
    Code.HEADER_NOT_SUPPORTED: _("The header %(header)s is not supported here. Supported: %(allowed)s."),
    Code.HEADER_CHANGED: _("The header %(header)s cannot be changed: it is %(expected)s, not “%(given)s”."),
    Code.LENGTH_REQUIRED: _(
        "Upload-Defer-Length is not supported: the size of the file must be known when its upload is created. Send it "
        "in Upload-Length."
    ),
    Code.CONCAT_NOT_SUPPORTED: _(
        "Upload-Concat is not supported: a file is sent as one upload, from its first byte to its last. In "
        "tus-js-client and Uppy, set parallelUploads to 1. Several files can be sent at the same time."
    ),
    Code.TRAILER_NOT_SUPPORTED: _("%(header)s is not supported as a trailer. Send it as a header."),
    Code.CONTENT_ENCODING_NOT_SUPPORTED: _(
        "A body with Content-Encoding: %(given)s is not supported. Send the bytes of the file as they are."
    ),
    Code.OTHER_PROTOCOL: _(
        "This server uses tus %(version)s, and no draft of another protocol. Send Tus-Resumable: %(version)s. In "
        "tus-js-client, set protocol to tus-v1."
    ),
    Code.MISSING_CONTENT_LENGTH: _("The header Content-Length is missing."),
    Code.WRONG_CONTENT_TYPE: _("The content type of the body must be %(expected)s, not “%(given)s”."),
    Code.MISSING_TUS_VERSION: _("The header Tus-Resumable: %(version)s is missing."),
    Code.WRONG_TUS_VERSION: _("The header Tus-Resumable must be %(version)s, not “%(given)s”."),
    Code.METADATA_HEADER_TOO_LARGE: _(
        "The header Upload-Metadata can have at most %(limit_bytes)s. This one has %(size_bytes)s."
    ),
    Code.METADATA_NAME_REPEATED: _("The header Upload-Metadata has “%(name)s” twice."),
    Code.METADATA_NOT_BASE64: _("The value of “%(name)s” in Upload-Metadata is not UTF-8 text in base64."),
    Code.CHECKSUM_MISMATCH: _("The bytes that arrived have another %(algorithm)s. None of them were kept."),
    Code.UNSUPPORTED_CHECKSUM: _("“%(given)s” is not a supported checksum algorithm. Supported: %(allowed)s."),
    Code.CHECKSUM_NOT_BASE64: _("The header Upload-Checksum is not base64."),
    Code.CHECKSUM_WRONG_LENGTH: _("A digest of %(size_bytes)s in Upload-Checksum cannot be a %(algorithm)s."),
    Code.CSRF_FAILED: _("The request was not accepted: its X-CSRFToken header is missing or has expired."),
    Code.METHOD_NOT_ALLOWED: _("This address accepts only %(allowed)s."),
}

FORM: Mapping[str, Message] = {
    Code.FORM_NOT_MULTIPART: _("The form must be sent as multipart/form-data."),
    Code.FORM_FIELDS_TOO_LARGE: _("The fields before the file have more than %(limit_bytes)s."),
    Code.FORM_UNREADABLE: _("The form could not be read: %(detail)s"),
    Code.FORM_FILE_MISSING: _("The form has no field “%(field)s”."),
    Code.FORM_FILE_NOT_LAST: _("The file must be the last field of the form."),
    Code.FORM_SIZE_MISSING: _(
        "A form in chunks must state the size of the file in bytes, in a field “size” before the file. Or send "
        "Content-Length."
    ),
    Code.INVALID_FORM: _("Some fields are not valid."),
    Code.FILE_NOT_SELECTED: _("Select a file."),
    Code.KEY_MISSING: _("Enter a key or a filename."),
}

MESSAGES: Mapping[str, Message] = {**NODES, **SHA256, **STOPPED, **STAGING, **OF_USER, **LENGTHS, **TUS, **FORM}
