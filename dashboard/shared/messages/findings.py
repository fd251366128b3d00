"""Texts of what a store check found, by code, and the advice that follows from each."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from dashboard.shared.messages.types import Message
from uploads.objectstore.errors import Reason
from uploads.objectstore.probing.codes import FindingCode

MESSAGES: Mapping[str, Message] = {
    # Any check
    FindingCode.NEEDS_CHECK: _("Not tried: it depends on “%(check)s”, which did not work."),
    FindingCode.REQUESTS_USED_UP: _("Not tried: the check had already used its %(limit)s requests."),
    FindingCode.TIME_USED_UP: _("Not tried: the check had already used its %(limit_seconds)s."),
    FindingCode.PERMISSION_MISSING: _("These credentials do not allow %(operation)s."),
    FindingCode.REQUEST_REFUSED: _("%(operation)s was refused with %(code)s."),
    FindingCode.NOTHING_SENT: _("Nothing reached the store."),
    FindingCode.NO_USABLE_RESPONSE: _("No usable response was received."),
    # Reaching the store
    FindingCode.ENDPOINT_RESPONDS: _("The endpoint responds."),
    FindingCode.ENDPOINT_REFUSES: _("The endpoint responds (%(code)s)."),
    FindingCode.CONNECTION_ENCRYPTED: _("The connection is encrypted, and the certificate was verified."),
    FindingCode.CONNECTION_NOT_ENCRYPTED: _("The connection is not encrypted (http)."),
    FindingCode.CREDENTIALS_ACCEPTED: _("The store accepts the access key and the signature."),
    FindingCode.CLOCKS_AGREE: _("The clocks of the store and of this machine differ by %(difference_seconds)s."),
    FindingCode.CLOCK_AHEAD: _("The store's clock is %(difference_seconds)s ahead of this machine's."),
    FindingCode.CLOCK_BEHIND: _("The store's clock is %(difference_seconds)s behind this machine's."),
    FindingCode.BUCKET_EXISTS: _("The bucket exists."),
    FindingCode.BUCKET_HOST_UNREACHABLE: _("The host name of the bucket cannot be reached."),
    # Permissions
    FindingCode.BUCKETS_LISTED: ngettext_lazy("%(count)s bucket is listed.", "%(count)s buckets are listed.", "count"),
    FindingCode.UPLOADS_LISTED: _("The uploads of the bucket can be listed."),
    FindingCode.LISTING_UNSUPPORTED: _("The endpoint does not support %(operation)s (%(code)s)."),
    FindingCode.OBJECT_PUT: _("Small files can be sent."),
    FindingCode.OBJECT_INSPECTED: _("Objects can be inspected."),
    FindingCode.OBJECT_DELETED: _("Objects can be deleted, so the check can clean up."),
    FindingCode.UPLOAD_STARTED: _("Uploads can be started."),
    FindingCode.PART_SENT: _("Parts can be sent."),
    FindingCode.PARTS_LISTED: _("Parts can be listed."),
    FindingCode.UPLOAD_ABORTED: _("Uploads can be aborted."),
    FindingCode.UPLOAD_STAYS_AFTER_ABORT: _("The store reports an abort as successful, but keeps the upload."),
    FindingCode.UPLOAD_COMPLETED: _("Uploads can be completed."),
    # Listing uploads
    FindingCode.PREFIX_WORKS: _("Uploads are found by the beginning of their keys."),
    FindingCode.PREFIX_IS_WHOLE_KEY: _("Uploads are found only by their whole key."),
    FindingCode.LISTING_INCOMPLETE: _(
        "Of %(started)s uploads that were just started under one prefix, %(listed)s are listed."
    ),
    FindingCode.LISTING_UNRELIABLE: _("Not tried: a listing by prefix does not hold the uploads that it should."),
    FindingCode.ORDERED_BY_KEY: _("Uploads are listed in the order of their keys."),
    FindingCode.ORDERED_WITH_SLASH: _(
        "Uploads are listed in the order of key and upload id, joined with a slash: “a-1” comes before “a”."
    ),
    FindingCode.ORDERED_WITH_DOT: _(
        "Uploads are listed in the order of key and upload id, joined with a dot: “a-1” comes before “a”."
    ),
    FindingCode.ORDERED_BY_UPLOAD_ID: _("Uploads are listed in the order of their upload ids."),
    FindingCode.PAGES_ORDERED_BY_KEY: _("Pages are in the order of keys, but not the rows of a page."),
    FindingCode.UNORDERED: _("Uploads are listed in no particular order."),
    FindingCode.ROWS_IN_ORDER: _("The rows of a page are in the order of the pages."),
    FindingCode.ROWS_IN_OTHER_ORDER: _("The rows of a page are in another order than the pages."),
    FindingCode.NEEDS_ORDER: _("Not tried: uploads are not listed in the order of their keys."),
    FindingCode.KEY_MARKER_IGNORED: _("A key marker is ignored: every page would be the first."),
    FindingCode.KEY_MARKER_INCLUSIVE: _("A key marker alone lists the uploads with that key again."),
    FindingCode.KEY_MARKER_EXCLUSIVE: _("A key marker alone continues strictly after that key."),
    FindingCode.KEY_MARKER_SKIPS: ngettext_lazy(
        "A key marker alone skips %(count)s upload that comes after it by key.",
        "A key marker alone skips %(count)s uploads that come after it by key.",
        "count",
    ),
    FindingCode.MARKERS_REFUSED: _("The store refuses the markers of its own uploads (%(code)s)."),
    FindingCode.MARKERS_CONTINUE: _("Both markers together continue right after that upload."),
    FindingCode.MARKERS_LOSE_UPLOADS: _("Both markers together lose uploads with the marker's own key."),
    FindingCode.UPLOAD_ID_MARKER_CONTINUES: _(
        "Both markers together lose uploads. The upload id marker alone continues right after that upload."
    ),
    FindingCode.MARKERS_REPEAT_THEIR_OWN: _("Both markers together list their own upload again."),
    FindingCode.MARKERS_REPEAT: ngettext_lazy(
        "Both markers together list %(count)s earlier upload again.",
        "Both markers together list %(count)s earlier uploads again.",
        "count",
    ),
    FindingCode.MARKERS_SKIP: _("After both markers, %(missing)s of %(due)s uploads are missing."),
    FindingCode.PAGE_SIZE_RESPECTED: _("A page holds as many uploads as requested."),
    FindingCode.PAGE_SIZE_IGNORED: ngettext_lazy(
        "A page of %(requested)s uploads was requested, and %(count)s came.",
        "A page of %(requested)s uploads was requested, and %(count)s came.",
        "count",
    ),
    FindingCode.PAGE_HOLDS_EVERYTHING: _("Not tried: a page holds every upload, whatever size is requested."),
    FindingCode.PAGE_CLAIMS_TO_BE_LAST: _("A page that is not the last one is reported as the last."),
    FindingCode.NEXT_MARKERS_MISSING: _("A truncated page names no markers for the next page."),
    FindingCode.NEXT_MARKERS_OF_ONE_MISSING: _("A truncated page of one upload names no markers for the next page."),
    FindingCode.NEXT_UPLOAD_ID_MARKER_MISSING: _(
        "The next page continues correctly, although the page names no upload id marker."
    ),
    FindingCode.NEXT_KEY_MARKER_MISSING: _("The next page continues correctly, although the page names no key marker."),
    FindingCode.ALL_PAGES_COMPLETE: _("Page by page, every upload is listed."),
    FindingCode.ALL_PAGES_LOSE: _("Page by page, %(missing)s of %(due)s uploads are never listed."),
    FindingCode.NEXT_MARKERS_LOOP: _("The next markers do not advance: the same uploads are listed again."),
    FindingCode.NEXT_PAGE_CONTINUES: _("The next page continues where the page ended."),
    FindingCode.NEXT_PAGE_WRONG: ngettext_lazy(
        "The page after the store's own markers is not the next one (%(count)s upload).",
        "The page after the store's own markers is not the next one (%(count)s uploads).",
        "count",
    ),
    FindingCode.EXACT_PAGE_IS_LAST: _("A page that holds all uploads is reported as the last."),
    FindingCode.EXACT_PAGE_TRUNCATED: _("A page that holds exactly all uploads is reported as truncated."),
    FindingCode.DELIMITER_WORKS: _("A delimiter groups keys into common prefixes."),
    FindingCode.DELIMITER_LOSES: _(
        "A delimiter loses %(prefixes_lost)s of %(prefixes)s common prefixes and %(uploads_lost)s of the uploads "
        "beside them."
    ),
    FindingCode.DELIMITER_PAGES_COMPLETE: _("Page by page, every upload and common prefix is listed once."),
    FindingCode.DELIMITER_PAGES_LOSE: ngettext_lazy(
        "Page by page with a delimiter, %(count)s upload or common prefix is never listed.",
        "Page by page with a delimiter, %(count)s uploads or common prefixes are never listed.",
        "count",
    ),
    FindingCode.PREFIXES_AHEAD: _("A page names common prefixes of later pages, and the later pages name them again."),
    FindingCode.PREFIXES_REPEATED: _("Common prefixes are repeated on later pages."),
    FindingCode.ENDED_UPLOADS_LEAVE: _("Uploads that were aborted or completed leave the listing."),
    FindingCode.ENDED_UPLOADS_STAY: ngettext_lazy(
        "%(count)s upload that this check ended is still listed.",
        "%(count)s uploads that this check ended are still listed.",
        "count",
    ),
    FindingCode.ENCODING_COMPLETE: _("Keys and markers are encoded, and the response says so."),
    FindingCode.ENCODING_OF_KEYS_ONLY: _("Only the keys of uploads are encoded; markers are not."),
    FindingCode.ENCODING_IGNORED: _("encoding-type is ignored."),
    FindingCode.ENCODING_DECLARED_ONLY: _("Keys are not encoded, although the response says so."),
    FindingCode.ENCODING_NOT_DECLARED: _("Keys are encoded, but the response does not say so."),
    FindingCode.ENCODING_CHANGES_KEYS: _("With encoding-type=url, the store lists other keys."),
    FindingCode.ENCODED_KEYS_REFUSED: _("Not tried: uploads with the keys that need encoding were refused."),
    # Parts
    FindingCode.PART_REPLACED: _("A part that is sent again replaces the part with its number."),
    FindingCode.PART_NOT_REPLACED: _("A part that is sent again does not replace the part with its number."),
    FindingCode.PARTS_NOT_LISTED: _("None of the parts that were sent is listed."),
    FindingCode.PARTS_LISTED_WRONGLY: _(
        "The listed parts are not those that were sent. Listed are (number: bytes) %(parts)s."
    ),
    FindingCode.PARTS_PAGED: _("Parts are listed page by page."),
    FindingCode.PARTS_PAGE_SIZE_IGNORED: _("A page of one part does not hold one part."),
    FindingCode.PART_LISTED_TWICE: _("A part that is sent again is listed twice, with the old and the new bytes."),
    FindingCode.PARTS_ON_ONE_PAGE: _("A page of one part holds all parts."),
    FindingCode.PARTS_PAGE_WRONG: _("The second page of parts does not continue after the first."),
    FindingCode.ENDED_UPLOAD_REFUSED: _("The store refuses the request with %(code)s."),
    FindingCode.ENDED_UPLOAD_CALLED_OTHERWISE: _("The store refuses the request with %(code)s, not with NoSuchUpload."),
    FindingCode.ENDED_UPLOAD_UNCLEAR: _("%(operation)s was refused with %(code)s."),
    FindingCode.ENDED_UPLOAD_LISTS_PARTS: ngettext_lazy(
        "An upload that was aborted still lists %(count)s part.",
        "An upload that was aborted still lists %(count)s parts.",
        "count",
    ),
    FindingCode.ENDED_UPLOAD_HAS_NO_PARTS: _("ListParts of an upload that was aborted succeeds, with no parts."),
    FindingCode.ENDED_UPLOAD_ABORTED_AGAIN: _("Aborting an upload that has ended succeeds."),
    # Completing
    FindingCode.NEEDS_UPLOAD: _("Not tried: “%(check)s” completed the upload that this check needs."),
    FindingCode.LIFECYCLE_READ: _(
        "The store returns the rules of the bucket, or that it has none. They are not changed."
    ),
    FindingCode.LIFECYCLE_MISSING: _("The store has no lifecycle rules."),
    FindingCode.LIFECYCLE_KEPT: _("The bucket has a rule that aborts unfinished uploads: the store keeps such rules."),
    FindingCode.WRONG_ETAG_REFUSED: _("The store refuses the request with %(code)s."),
    FindingCode.WRONG_ETAG_ACCEPTED: _("The ETag of a part is not verified."),
    FindingCode.WRONG_ORDER_REFUSED: _("The store refuses the request with InvalidPartOrder."),
    FindingCode.WRONG_ORDER_REFUSED_OTHERWISE: _(
        "The store refuses the request with %(code)s, not with InvalidPartOrder."
    ),
    FindingCode.WRONG_ORDER_ACCEPTED: _("Parts in the wrong order are accepted."),
    FindingCode.SMALL_PARTS_REFUSED: _("The store refuses the request with EntityTooSmall."),
    FindingCode.SMALL_PARTS_REFUSED_OTHERWISE: _(
        "The store refuses the request with %(code)s, not with EntityTooSmall."
    ),
    FindingCode.SMALL_PARTS_ACCEPTED: _("Parts of a few bytes are accepted."),
    FindingCode.ABORTED_UPLOAD_UNCLEAR: _(
        "The store refuses the request with %(code)s (status %(status)s), not with NoSuchUpload."
    ),
    FindingCode.ABORTED_UPLOAD_COMPLETED: _("Completing an upload that was aborted is reported as a success."),
    FindingCode.COMPLETED_OVER_OBJECT: _(
        "Completing an upload that was aborted is reported as a success, because an object with its key exists."
    ),
    FindingCode.COMPLETED_OVER_UNSEEN_OBJECT: _(
        "Completing an upload that was aborted is reported as a success, where an object with its key exists."
    ),
    FindingCode.COMPLETED_OVER_CHANGED_OBJECT: _(
        "Completing an upload that was aborted is reported as a success, where an object with its key exists. "
        "The object is not the one from before."
    ),
    FindingCode.SECOND_COMPLETE_SUCCEEDS: _("The second request is reported as a success, too."),
    FindingCode.SECOND_COMPLETE_REFUSED: _(
        "The second request is refused with NoSuchUpload: HEAD shows that the first one succeeded."
    ),
    FindingCode.SECOND_COMPLETE_REFUSED_OTHERWISE: _("The second request is refused with %(code)s."),
    FindingCode.OBJECT_KEPT: _("With %(header)s, an existing object with the same key is kept."),
    FindingCode.OBJECT_KEPT_BY_PUT_ONLY: _(
        "With %(header)s, only PutObject keeps an existing object with the same key."
    ),
    FindingCode.OBJECT_KEPT_BY_COMPLETE_ONLY: _(
        "With %(header)s, only CompleteMultipartUpload keeps an existing object with the same key."
    ),
    FindingCode.OBJECT_NOT_KEPT: _(
        "With %(header)s, an existing object with the same key is not kept, or no object is created at all."
    ),
    FindingCode.BUCKET_KEEPS_VERSIONS: _(
        "This bucket keeps versions, so the result does not apply to the store's other buckets."
    ),
    # Digests
    FindingCode.ETAGS_ENCRYPTED: _("The bucket encrypts with KMS, so its ETags are not MD5s."),
    FindingCode.PART_ETAG_IS_MD5: _("The ETag of a part is the MD5 of its bytes."),
    FindingCode.PART_ETAG_IS_NOT_MD5: _("The ETag of a part is not the MD5 of its bytes."),
    FindingCode.COMPLETED_ETAG_MISSING: _("Not tried: the store reported no ETag of the completed object."),
    FindingCode.COMPLETED_ETAG_OF_PARTS: _("The ETag of a completed upload is computed from the MD5s of its parts."),
    FindingCode.COMPLETED_ETAG_OTHERWISE: _(
        "The ETag of a completed upload is not computed from the MD5s of its parts."
    ),
    FindingCode.HEAD_AGREES: _("Complete and HEAD return the same ETag."),
    FindingCode.HEAD_SIZE_DIFFERS: _("HEAD reports %(size_bytes)s, but %(sent_bytes)s were sent."),
    FindingCode.HEAD_ETAG_DIFFERS: _("Complete and HEAD return different ETags."),
    FindingCode.COMPLETE_WITHOUT_ETAG: _("Complete returns no ETag."),
    FindingCode.CRC64_ABSENT: _("The store reports no CRC-64. MD5 protects the bytes."),
    FindingCode.CRC64_RIGHT: _("The store reports the bytes' %(polynomial)s correctly."),
    FindingCode.CRC64_WRONG: _("The store reports a CRC-64 that is not that of the bytes."),
    FindingCode.CRC64_OF_OTHER_POLYNOMIAL: _(
        "The store reports the bytes' %(polynomial)s, not the CRC-64 of the profile."
    ),
    FindingCode.WRONG_MD5_REFUSED: _("The store refuses the request with %(code)s, and keeps nothing."),
    FindingCode.WRONG_MD5_REFUSED_OTHERWISE: _("The store refuses the request with %(code)s, not with BadDigest."),
    FindingCode.WRONG_MD5_PART_KEPT: _("A part with a wrong Content-MD5 is refused, but kept."),
    FindingCode.WRONG_MD5_OBJECT_KEPT: _("An object with a wrong Content-MD5 is refused, but created."),
    FindingCode.WRONG_MD5_PART_ACCEPTED: _("A part with a wrong Content-MD5 is accepted."),
    FindingCode.WRONG_MD5_OBJECT_ACCEPTED: _("An object with a wrong Content-MD5 is accepted."),
    FindingCode.DAMAGED_PART_UNNOTICED: _("A part with a wrong Content-MD5 is accepted."),
    FindingCode.DAMAGED_OBJECT_UNNOTICED: _("An object with a wrong Content-MD5 is accepted."),
    FindingCode.CRC64_VERIFIED: _(
        "The store refuses a wrong CRC-64 with %(code)s, and reports the right one. It can be the checksum of this "
        "store in place of Content-MD5."
    ),
    FindingCode.CRC64_NOT_OF_PROVIDER: _("Stores of this provider do not verify this checksum."),
    FindingCode.CRC64_NOT_REPORTED: _("The store does not report the CRC-64 of what it has received."),
    FindingCode.CRC64_HEADER_REFUSED: _("The store refuses requests with this checksum, with %(code)s."),
    FindingCode.WRONG_CRC64_ACCEPTED: _("A body with a wrong CRC-64 is accepted."),
    FindingCode.WRONG_CRC64_REFUSED_OTHERWISE: _("A wrong CRC-64 is refused with %(code)s, not with BadDigest."),
    FindingCode.WRONG_CRC64_OBJECT_KEPT: _("An object with a wrong CRC-64 is refused, but created."),
    # Odd keys
    FindingCode.KEY_WORKS: _("The key stays as it is, for uploads and for objects."),
    FindingCode.KEY_WORKS_FOR_UPLOADS: _("An upload with this key is listed under the same key."),
    FindingCode.KEY_ACCEPTED: _("An upload with this key is listed under the same key, and an object is accepted."),
    FindingCode.KEY_LISTED_OTHERWISE: _("An upload with this key is listed under another one."),
    FindingCode.LEADING_KEY_LISTED_OTHERWISE: _("An upload with this key is listed under another one, or not at all."),
    FindingCode.KEY_NOT_FOUND: _("An object that was put under this key is not found again."),
    FindingCode.KEY_HOLDS_ANOTHER_OBJECT: _("The object of another key is found under this key."),
    FindingCode.KEY_IS_PATH: _("Keys are treated as file paths: this key names the object of another key."),
    FindingCode.LEADING_SLASH_DROPPED: _("The store drops the slash: this key names the object of another key."),
    FindingCode.KEY_REFUSED: _("%(operation)s was refused with %(code)s."),
    FindingCode.KEY_REFUSED_BY_PROFILE: _(
        "According to the provider's profile, such a key names the object of another key."
    ),
    FindingCode.KEY_REWRITTEN: _("%(operation)s was refused with %(code)s."),
    FindingCode.LEADING_SLASH_REFUSED_BY_PROFILE: _(
        "According to the provider's profile, keys cannot start with a slash or backslash."
    ),
}

_NARROW = _("Narrow the prefix until one page holds all uploads.")
_NO_ENCODING = _("Partway does not request encoding-type.")
_NO_DELIMITER = _("Partway does not send the delimiter, and groups folders itself, page by page.")
_ONCE = _("Partway shows each of them once.")
_NO_REPEATS = _("Partway leaves out repeated uploads.")
_LAST_UPLOAD = _("Partway continues after the last upload of the page.")
_KEY_BEFORE = _("Partway sends markers just before the key, which work.")
_REFUSED_BEFORE = _("Partway refuses such keys before anything is sent.")
_AVOID = _("Do not use such keys in this store.")
_FIRST_PAGE_OF_PARTS = _("Partway may show only the first 1,000 parts of an upload.")
_ENDED_UNKNOWN = _("The store does not report whether an upload has ended: check the bucket.")
_SAME = _("Partway treats both codes the same.")
_HEAD_SHOWS = _("Partway uses HEAD to find out whether the object exists.")
_IN_FRONT = _("Check what is in front of the store, such as a proxy.")
_NOT_REPLACED = _("A file that is sent may replace an object that is created with its key in the meantime.")
_ETAG_SHOWS = _("Partway notices damaged bytes by the ETag, and sends them again.")
_DAMAGE = _("Bytes that are damaged in transit are not noticed: use https for the store.")
_KEEP_MD5 = _("Content-MD5 stays the checksum of this store.")
_NO_ETAGS = _("Partway does not compare ETags in this bucket.")

ADVICE: Mapping[str, Message] = {
    FindingCode.CONNECTION_NOT_ENCRYPTED: _("Use https, unless the store runs on this machine."),
    FindingCode.CLOCK_AHEAD: _("Set the clock by NTP: at 15 minutes, the store refuses every request."),
    FindingCode.CLOCK_BEHIND: _("Set the clock by NTP: at 15 minutes, the store refuses every request."),
    FindingCode.BUCKET_HOST_UNREACHABLE: _("Set the store's addressing to path."),
    FindingCode.LISTING_UNSUPPORTED: _("Use another endpoint of the store, or another store, to list uploads."),
    FindingCode.PREFIX_IS_WHOLE_KEY: _("Partway narrows listings by prefix itself, page by page."),
    FindingCode.LISTING_INCOMPLETE: _("Do not rely on this store's listing: open uploads by key and upload id."),
    FindingCode.ORDERED_BY_UPLOAD_ID: _("The uploads of a key or folder may be on several pages."),
    FindingCode.ROWS_IN_OTHER_ORDER: _("Partway sorts the rows of each page."),
    FindingCode.UPLOAD_ID_MARKER_CONTINUES: _("Partway sends the upload id marker alone."),
    FindingCode.NEXT_KEY_MARKER_MISSING: _("Partway sends the upload id marker alone."),
    FindingCode.ALL_PAGES_LOSE: _(
        "Every page of the listing says so. Narrow the prefix until one page of 1,000 holds all uploads."
    ),
    FindingCode.UNORDERED: _("Partway shows pages in the order of the store."),
    FindingCode.UPLOAD_STAYS_AFTER_ABORT: _("Partway aborts an upload again until the store no longer has it."),
    FindingCode.KEY_MARKER_IGNORED: _NARROW,
    FindingCode.KEY_MARKER_INCLUSIVE: _NO_REPEATS,
    FindingCode.KEY_MARKER_SKIPS: _(
        "Partway continues with both markers. A key marker that you enter may skip some uploads."
    ),
    FindingCode.MARKERS_REFUSED: _KEY_BEFORE,
    FindingCode.MARKERS_LOSE_UPLOADS: _KEY_BEFORE,
    FindingCode.MARKERS_REPEAT_THEIR_OWN: _NO_REPEATS,
    FindingCode.MARKERS_REPEAT: _NO_REPEATS,
    FindingCode.MARKERS_SKIP: _NARROW,
    FindingCode.PAGE_SIZE_IGNORED: _("Pages may be longer or shorter than requested."),
    FindingCode.PAGE_CLAIMS_TO_BE_LAST: _("Request pages of 1,000 uploads, and narrow the prefix."),
    FindingCode.NEXT_MARKERS_MISSING: _LAST_UPLOAD,
    FindingCode.NEXT_MARKERS_OF_ONE_MISSING: _LAST_UPLOAD,
    FindingCode.NEXT_UPLOAD_ID_MARKER_MISSING: _("Partway uses the upload id of the last upload of the page."),
    FindingCode.NEXT_MARKERS_LOOP: _NARROW,
    FindingCode.NEXT_PAGE_WRONG: _NARROW,
    FindingCode.EXACT_PAGE_TRUNCATED: _("An empty page follows it."),
    FindingCode.DELIMITER_LOSES: _NO_DELIMITER,
    FindingCode.DELIMITER_PAGES_LOSE: _NO_DELIMITER,
    FindingCode.PREFIXES_AHEAD: _ONCE,
    FindingCode.PREFIXES_REPEATED: _ONCE,
    FindingCode.ENDED_UPLOADS_STAY: _("Partway marks an upload that has ended when it checks it."),
    FindingCode.ENCODING_OF_KEYS_ONLY: _("Partway does not decode markers."),
    FindingCode.ENCODING_IGNORED: _NO_ENCODING,
    FindingCode.ENCODING_DECLARED_ONLY: _NO_ENCODING,
    FindingCode.ENCODING_NOT_DECLARED: _NO_ENCODING,
    FindingCode.ENCODING_CHANGES_KEYS: _("Compare keys before you abort uploads."),
    FindingCode.PART_NOT_REPLACED: _("Start the upload again instead."),
    FindingCode.PARTS_NOT_LISTED: _("Do not complete uploads that are listed like this."),
    FindingCode.PARTS_LISTED_WRONGLY: _("Do not complete uploads that are listed like this."),
    FindingCode.PARTS_PAGE_SIZE_IGNORED: _FIRST_PAGE_OF_PARTS,
    FindingCode.PART_LISTED_TWICE: _("Partway completes an upload with the newest copy of each part."),
    FindingCode.PARTS_ON_ONE_PAGE: _("Partway reads all parts from it."),
    FindingCode.PARTS_PAGE_WRONG: _FIRST_PAGE_OF_PARTS,
    FindingCode.ENDED_UPLOAD_CALLED_OTHERWISE: _SAME,
    FindingCode.ENDED_UPLOAD_UNCLEAR: _ENDED_UNKNOWN,
    FindingCode.ENDED_UPLOAD_LISTS_PARTS: _ENDED_UNKNOWN,
    FindingCode.ENDED_UPLOAD_HAS_NO_PARTS: _("Partway looks for an upload without parts in the listing."),
    FindingCode.ENDED_UPLOAD_ABORTED_AGAIN: _("Partway treats the upload as aborted."),
    FindingCode.LIFECYCLE_MISSING: _("Nothing aborts unfinished uploads by itself. Remove them by sweeps."),
    FindingCode.LIFECYCLE_KEPT: _("Partway writes lifecycle rules there from now on."),
    FindingCode.WRONG_ETAG_ACCEPTED: _("Compare size and ETag of completed objects."),
    FindingCode.WRONG_ORDER_REFUSED_OTHERWISE: _("No object is created either way."),
    FindingCode.WRONG_ORDER_ACCEPTED: _("Partway names parts in ascending order."),
    FindingCode.SMALL_PARTS_REFUSED_OTHERWISE: _("Partway reports small parts before it completes an upload."),
    FindingCode.SMALL_PARTS_ACCEPTED: _("Partway creates parts of the profile's size anyway."),
    FindingCode.ABORTED_UPLOAD_UNCLEAR: _HEAD_SHOWS,
    FindingCode.ABORTED_UPLOAD_COMPLETED: _("Rely only on what HEAD shows."),
    FindingCode.COMPLETED_OVER_OBJECT: _(
        "Partway calls a completion verified only if HEAD shows the ETag that Complete returned."
    ),
    FindingCode.COMPLETED_OVER_UNSEEN_OBJECT: _("Check the object itself: HEAD is not allowed here."),
    FindingCode.COMPLETED_OVER_CHANGED_OBJECT: _("Do not rely on completions in this store."),
    FindingCode.SECOND_COMPLETE_REFUSED_OTHERWISE: _HEAD_SHOWS,
    FindingCode.OBJECT_KEPT_BY_PUT_ONLY: _NOT_REPLACED,
    FindingCode.OBJECT_KEPT_BY_COMPLETE_ONLY: _NOT_REPLACED,
    FindingCode.OBJECT_NOT_KEPT: _NOT_REPLACED,
    FindingCode.ETAGS_ENCRYPTED: _NO_ETAGS,
    FindingCode.PART_ETAG_IS_NOT_MD5: _("Partway does not compare ETags. Content-MD5 protects the bytes."),
    FindingCode.COMPLETED_ETAG_OTHERWISE: _("Partway recognizes an object by its size and by Partway's own mark."),
    FindingCode.HEAD_SIZE_DIFFERS: _("Do not rely on objects that this store completes."),
    FindingCode.HEAD_ETAG_DIFFERS: _IN_FRONT,
    FindingCode.COMPLETE_WITHOUT_ETAG: _("Partway uses the ETag of HEAD."),
    FindingCode.CRC64_WRONG: _IN_FRONT,
    FindingCode.CRC64_OF_OTHER_POLYNOMIAL: _("Partway does not compare it."),
    FindingCode.WRONG_MD5_REFUSED_OTHERWISE: _("Nothing is kept either way."),
    FindingCode.WRONG_MD5_PART_KEPT: _("Check the parts before you complete an upload."),
    FindingCode.WRONG_MD5_OBJECT_KEPT: _("Compare objects with the files that were sent."),
    FindingCode.WRONG_MD5_PART_ACCEPTED: _ETAG_SHOWS,
    FindingCode.WRONG_MD5_OBJECT_ACCEPTED: _ETAG_SHOWS,
    FindingCode.DAMAGED_PART_UNNOTICED: _DAMAGE,
    FindingCode.DAMAGED_OBJECT_UNNOTICED: _DAMAGE,
    FindingCode.CRC64_NOT_REPORTED: _KEEP_MD5,
    FindingCode.CRC64_HEADER_REFUSED: _KEEP_MD5,
    FindingCode.WRONG_CRC64_ACCEPTED: _KEEP_MD5,
    FindingCode.WRONG_CRC64_REFUSED_OTHERWISE: _KEEP_MD5,
    FindingCode.WRONG_CRC64_OBJECT_KEPT: _KEEP_MD5,
    FindingCode.KEY_LISTED_OTHERWISE: _("Do not abort such uploads from a listing."),
    FindingCode.LEADING_KEY_LISTED_OTHERWISE: _("Do not start uploads with such keys."),
    FindingCode.KEY_NOT_FOUND: _AVOID,
    FindingCode.KEY_HOLDS_ANOTHER_OBJECT: _AVOID,
    FindingCode.KEY_IS_PATH: _REFUSED_BEFORE,
    FindingCode.LEADING_SLASH_DROPPED: _REFUSED_BEFORE,
    FindingCode.KEY_REFUSED: _("Nothing is written under another key."),
    FindingCode.KEY_REFUSED_BY_PROFILE: _REFUSED_BEFORE,
    FindingCode.KEY_REWRITTEN: _(
        "The store, or something in front of it, rewrites such keys, so that no signature matches. Do not use such "
        "keys in this store."
    ),
    FindingCode.LEADING_SLASH_REFUSED_BY_PROFILE: _REFUSED_BEFORE,
}
"""What follows from an observation, or what to do about it. An observation without an entry needs nothing."""

ADVICE_ON_ERROR: Mapping[str, Message] = {
    Reason.UNREACHABLE: _("Check the endpoint URL, and that this machine can connect to it (firewall, proxy, DNS)."),
    Reason.NOT_AN_ENDPOINT: _("Check the scheme, host and port of the endpoint URL."),
    Reason.TLS: _("Enter the CA bundle of a private authority in the store's settings, or renew the certificate."),
    Reason.TIMEOUT: _("Run the check again. If this repeats, check the store's load and proxies in front of it."),
    Reason.CONNECTION_LOST: _("Run the check again. If this repeats, look for a proxy that closes connections."),
    Reason.UNREADABLE_RESPONSE: _(
        "Check that the endpoint URL is the store's API, not its web console, and that no proxy responds instead."
    ),
    Reason.CREDENTIALS: _("Enter the access key and secret key again in the store's settings."),
    Reason.CREDENTIALS_EXPIRED: _("Enter new credentials with their session token in the store's settings."),
    Reason.SECRET_UNREADABLE: _("Enter the secrets again in the store's settings, or add the missing key."),
    Reason.ADDRESS_REFUSED: _("Check the endpoint URL, or allow its address with STORE_ALLOWED_ADDRESSES."),
    Reason.CLOCK_SKEW: _("Set the clock of the machine that runs Partway (NTP)."),
    Reason.WRONG_REGION: _("Set the store's region and endpoint to the bucket's, or add another store for it."),
    Reason.ADDRESSING: _("Set the store's addressing to virtual-hosted."),
    Reason.NO_SUCH_BUCKET: _("Check the name of the bucket. It is case-sensitive."),
    Reason.THROTTLED: _("Run the check again when the store is less busy."),
    Reason.STORE_FAULT: _("Give the request id to the operator of the store."),
    Reason.BAD_ARGUMENT: _("Check the store's settings."),
    Reason.BAD_KEY: _("Nothing to do: Partway does not send such keys."),
    Reason.KEY_NOT_ALLOWED: _AVOID,
}
"""What to do about an error that stopped a check, by its reason."""

ADVICE_ON_OTHER_ERROR = _("See the store's documentation for this code.")

ADVICE_ON_ERROR_IN: Mapping[str, Message] = {
    "key-marker": _NARROW,
    "both-markers": _NARROW,
    "next-of-two": _NARROW,
    "next-of-one": _NARROW,
    "all-pages": _NARROW,
    "delimiter-pages": _NARROW,
}
"""What to do about any error that stopped a check, by the name of the check."""
