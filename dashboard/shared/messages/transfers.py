"""Texts of codes about planning, starting and controlling transfers."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from dashboard.shared.messages.types import Message
from uploads.problems import Code

PLANNING: Mapping[str, Message] = {
    Code.NEGATIVE_SIZE: _("The size of a file cannot be negative."),
    Code.FILE_TOO_LARGE: _("The file has %(size)s bytes. This store accepts objects of at most %(limit)s bytes."),
    Code.FILE_TOO_LARGE_FOR_PARTS: _(
        "The file has %(size)s bytes, more than %(max_parts)s parts of %(max_part_size)s bytes hold. These are the "
        "limits of the store and of staging on this server."
    ),
    Code.PART_SIZE_AND_COUNT: _("Enter a part size or a number of parts, not both."),
    Code.PART_SIZE_ZERO: _("A part has at least 1 byte."),
    Code.PART_COUNT_OUT_OF_RANGE: _("The number of parts must be from 1 to %(limit)s."),
    Code.MORE_PARTS_THAN_BYTES: ngettext_lazy(
        "A file of %(size)s bytes cannot be split into %(count)s part.",
        "A file of %(size)s bytes cannot be split into %(count)s parts.",
        "count",
    ),
    Code.TOO_MANY_PARTS: ngettext_lazy(
        "Parts of %(part_size)s bytes would make %(count)s part. This store accepts at most %(limit)s. Select a part "
        "size of at least %(smallest)s bytes.",
        "Parts of %(part_size)s bytes would make %(count)s parts. This store accepts at most %(limit)s. Select a part "
        "size of at least %(smallest)s bytes.",
        "count",
    ),
    Code.PART_TOO_LARGE: _(
        "A part would have %(size)s bytes. The store and staging on this server allow at most %(limit)s bytes."
    ),
    Code.PART_TOO_SMALL: _(
        "Parts of %(size)s bytes are too small. This store requires at least %(limit)s bytes in every part except the "
        "last."
    ),
}

STARTING: Mapping[str, Message] = {
    Code.STAGING_TOO_SMALL: _(
        "Staging on this server is limited to %(limit_bytes)s, but this store requires parts of at least "
        "%(min_part_size_bytes)s. Ask an administrator to raise STAGING_QUOTA."
    ),
    Code.OBJECT_EXISTS: _(
        "An object with this key exists (%(size_bytes)s, ETag %(etag)s). Confirm that you want to replace it, or enter "
        "another key."
    ),
    Code.DESTINATION_REFUSED: _(
        "The store does not accept files there, so no file was sent (%(code)s, request id %(request_id)s)."
    ),
    Code.OBJECT_CHECK_FAILED: _("Partway could not check whether an object with this key exists."),
    Code.KEY_BUSY: _("A transfer to this key is already in progress."),
    Code.KEY_BUSY_RECEIVING: _(
        "A transfer to this key is unfinished. It was started at %(started_at)s with another file, or with this file "
        "before it changed, and %(received_bytes)s of %(size_bytes)s have been received. Discard it to send this file, "
        "or enter another key."
    ),
    Code.KEY_BUSY_RECEIVED: _(
        "A transfer to this key is in progress: all of its %(size_bytes)s have been received, and Partway sends them "
        "to the store. It was started at %(started_at)s with another file, or with this file before it changed. Wait "
        "until it is done, discard it to send this file instead, or enter another key."
    ),
    Code.KEY_BUSY_COMPLETING: _(
        "A transfer to this key has all of its bytes in the store and is being completed, so it cannot be discarded. "
        "Wait until it is done. Then this file can replace its object."
    ),
    Code.KEY_BUSY_CANCELLING: _(
        "The earlier transfer to this key is being cancelled. This file can be sent in a few seconds."
    ),
    Code.KEY_BUSY_OTHER_OPERATOR: _(
        "Another operator is sending a file to this key. Enter another key, or ask an administrator to cancel that "
        "transfer."
    ),
    Code.RESUMED_WITH_OTHER_SIZE: _(
        "This file has %(size_bytes)s, and the file of the transfer %(expected_bytes)s: it is another file."
    ),
    Code.RESUMED_WITH_OTHER_BYTES: _(
        "This file has other bytes than were received before: it is another file, or it has changed. What was received "
        "is kept."
    ),
    Code.RESUMED_ELSEWHERE: _("The transfer is resumed in another window, or it is complete. Nothing was changed."),
    Code.RESUME_NEEDS_DIGEST: _(
        "The browser that started this transfer computes a SHA-256 while sending, so only a browser with JavaScript "
        "can resume it."
    ),
    Code.DISCARDED_FOR_OTHER_FILE: _("Discarded, because another file is sent to its key."),
    Code.DISCARD_OTHER_KEY: _("The transfer to discard has another key, bucket or store than this file."),
    Code.KEY_BUSY_ON_SILENT_NODE: _(
        "An unfinished transfer to this key has its bytes on the node %(node)s, which has been silent since "
        "%(since_at)s. Discard it to send this file, or start the node again."
    ),
    Code.SHA256_UNAVAILABLE: _("This server cannot verify a SHA-256. Send the file without one."),
}

STEPS: Mapping[str, Message] = {
    Code.SHA256_NOT_REQUESTED: _("This transfer was started without SHA-256 verification."),
    Code.SHA256_CONFLICT: _("Another SHA-256 was already given for this transfer."),
    Code.CANNOT_PAUSE: _("Only a transfer that is receiving or sending can be paused."),
    Code.CANNOT_RESUME: _("Only a paused transfer can be resumed."),
    Code.CANNOT_CANCEL: _(
        "This transfer cannot be cancelled now: its object is being completed, it has finished, or it is being "
        "cancelled already."
    ),
    Code.CANNOT_RETRY: _("Only a failed transfer can be retried."),
    Code.NO_LOST_CREATE: _("This transfer has no possible orphan to dismiss."),
    Code.CANNOT_VERIFY: _("Only a transfer that is done, and whose object is not verified, can be verified again."),
    Code.STILL_NOT_VERIFIED: _("The object is still not verified. The page of the transfer shows the reason."),
    Code.BYTES_MISSING: _(
        "Some bytes of this transfer are neither in the store nor staged on its node. Send the file again."
    ),
    Code.STAGED_BYTES_LOST: ngettext_lazy(
        "The staged bytes of part %(parts)s are lost: the disk of the node %(node)s does not have them any more.",
        "The staged bytes of %(count)s parts (%(parts)s) are lost: the disk of the node %(node)s does not have them "
        "any more.",
        "count",
    ),
}

WAITING: Mapping[str, Message] = {
    Code.WAITING_FOR_NODE: _(
        "The bytes are on the node %(node)s, which has been silent since %(since_at)s. Start its sender again, and the "
        "transfer resumes. If the node is lost, cancel the transfer and send the file again."
    ),
    Code.BROWSER_STOPPED: _("The browser has stopped sending. Select the same file again to resume."),
    Code.FORM_STOPPED: _(
        "The browser has stopped sending. A file that is sent with the plain form cannot be resumed: the transfer is "
        "cancelled if nothing more arrives. Cancel it to send the file again at once."
    ),
    Code.WAITING_FOR_STORE_SPACE: _(
        "The store is full. The transfer is retried for an hour, and keeps its bytes if it fails."
    ),
    Code.WAITING_FOR_CREDENTIALS: _(
        "The temporary credentials have expired. The transfer resumes automatically when new credentials are entered."
    ),
    Code.WAITING_FOR_SECRET: _(
        "The stored secrets of the store cannot be decrypted. The transfer resumes automatically when they are entered "
        "again, or when the missing key is added to CREDENTIALS_KEYS."
    ),
    Code.WAITING_FOR_CLOCK: _(
        "The clocks of this machine and of the store differ too much. The transfer resumes automatically when they "
        "agree."
    ),
    Code.WAITING_FOR_SENDER: _(
        "No process sends the parts that have arrived on the node %(node)s. They are kept, and sent when a sender runs "
        "there."
    ),
    Code.WAITING_FOR_RETRY: _("The last attempt failed. It is retried automatically."),
    Code.WAITING_FOR_SPACE: _("Staging is full. The upload resumes automatically when space is free."),
}

SENDING: Mapping[str, Message] = {
    Code.OBJECT_MAY_BE_OURS: _(
        "The object may be this transfer's own object, from an earlier attempt. The credentials do not allow HEAD, "
        "which would show whether it is."
    ),
    Code.UPLOAD_ENDED_BY_OTHERS: _("Someone else aborted or completed the upload while the transfer was running."),
    Code.UPLOADS_NOT_LISTABLE: _("The store does not allow the uploads to be listed."),
    Code.UPLOADS_TOO_MANY: _("The store has too many uploads whose keys start with this key to look at all of them."),
    Code.PARTS_NOT_IN_UPLOAD: ngettext_lazy(
        "The file has %(count)s part, and %(present)s of them are in this upload. The upload was not completed. "
        "Discard this transfer and send the file again.",
        "The file has %(count)s parts, and %(present)s of them are in this upload. The upload was not completed. "
        "Discard this transfer and send the file again.",
        "count",
    ),
    Code.COMPLETED_NOT_VERIFIED: _(
        "Completed in the store; not verified yet. The check of the object with HEAD is repeated automatically."
    ),
    Code.COMPLETION_UNKNOWN: _(
        "The completion was requested, and no usable response arrived. It is not known whether the object is complete."
    ),
    Code.COMPLETED_OBJECT_MISSING: _(
        "The store confirmed the completion (request id %(request_id)s), but now has no object with this key. Someone "
        "may have deleted it."
    ),
    Code.OBJECT_ETAG_DIFFERS: _(
        "The object has the expected size, but its ETag %(etag)s is not the one of its parts (%(expected)s). Compare "
        "the object with the file. If it is the same, run a store check, which finds how this store computes ETags."
    ),
    Code.OBJECT_WITHOUT_CRC64: _(
        "The store has verified the CRC-64 of every part, but reports none of the object, so the object is not proved. "
        "Compare it with the file, and run a store check: it finds whether the store still verifies this checksum."
    ),
    Code.PARTS_REPLACED: ngettext_lazy(
        "Someone else has replaced or removed part %(parts)s of this upload in the store, and its bytes are no longer "
        "staged on this server. All that remains is to discard the transfer.",
        "Someone else has replaced or removed %(count)s parts of this upload in the store (%(parts)s), and their bytes "
        "are no longer staged on this server. All that remains is to discard the transfer.",
        "count",
    ),
    Code.PARTS_NOT_COMPARED: _(
        "The parts in the store could not be compared with what was sent: ListParts failed (%(code)s, request id "
        "%(request_id)s)."
    ),
    Code.PARTS_LISTED_AS_SENT: _(
        "The store lists no part that differs from what was sent, and refuses the parts nevertheless."
    ),
    Code.OBJECT_MISSING: _(
        "After completion, no object with this key exists. Someone may have deleted it at the same moment."
    ),
    Code.OBJECT_DIFFERS: _(
        "After completion, the object with this key is not the expected one of %(expected_size)s bytes but another one "
        "of %(size)s bytes. Someone may have replaced it at the same moment."
    ),
    Code.CRC64_MISMATCH: _(
        "The object in the store has the CRC-64 %(stored)s, but the bytes that were sent have %(sent)s. Do not use "
        "this object. Send the file again."
    ),
    Code.INTERNAL_ERROR: _("An internal error occurred. The log has the details."),
    Code.WORKER_LOST: _(
        "The worker process ended before it finished this step. It may have been killed, for example for lack of "
        "memory. The logs of the system may have the details."
    ),
}

MESSAGES: Mapping[str, Message] = {**PLANNING, **STARTING, **STEPS, **WAITING, **SENDING}
