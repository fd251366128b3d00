"""The quirks of each test server, and how Partway handles them.

A test asks `server.does("...")` with the text of a quirk. The table in docs/stores.md shows the quirk and how Partway
handles it. Tried on Swift 2.38, Ceph 16.2.15 and Versity 1.8.0. The OSS test server does what OSS documents.
"""

from __future__ import annotations

from collections.abc import Mapping

Quirks = Mapping[str, str]

SWIFT: Quirks = {
    "reports success again for an upload that was completed before": "Partway checks the object with HEAD.",
    "does not report the region of a bucket": "The region of the store's settings is used.",
    "refuses unknown storage classes": "The error is shown with the store's code.",
    "returns no CRC-64": "Parts are verified by their MD5, the object by its ETag and size.",
    "checks for an existing object only when the object is created": "A transfer then fails at its end.",
    "keeps listing the parts of completed uploads": "An upload is completed when HEAD shows its object.",
    "reports an unknown access key as a wrong signature": "Both are explained as wrong credentials.",
    "ignores unknown session tokens": "It does not need them.",
    "fails on listings with control characters in keys": "Partway creates no upload on such a key.",
    "orders uploads by key and upload id, joined by a slash": "Pages and folders have this order. With the "
    "prefix `a/`, the uploads of the key `a` are left out.",
    "reports a page with exactly all remaining uploads as truncated": "An empty last page is shown as the end.",
    "returns no markers with a page of one upload": "The last upload of the page is the marker.",
    "returns the common prefixes of all later pages on every page": "Each is shown once, in its place.",
    "adds a slash to a key marker without an upload id marker": "Pages continue with both markers, which skip nothing.",
    "encodes keys, but not markers and prefixes": "Only keys are decoded.",
}

OSS: Quirks = {
    "returns no owner of an upload": "The column stays empty.",
    "computes the ETag of an object in another way": "The object is verified by its CRC-64.",
    "reports a wrong digest as InvalidDigest": "The part is sent again, as after BadDigest.",
    "does not report the correct region": "The page says that the region is wrong.",
    "refuses keys that start with a slash or backslash": "Partway refuses them before it sends a byte.",
    "accepts keys of at most 1,023 bytes": "Partway refuses longer ones before it sends a byte.",
}

CEPH: Quirks = {
    "does not report the region of a bucket": "The region of the store's settings is used.",
    "returns no ETag in its first response to Complete": "HEAD returns it.",
    "refuses unknown storage classes": "The error is shown with the store's code.",
    "returns no CRC-64": "Parts are verified by their MD5, the object by its ETag and size.",
    "refuses to replace an object with PutObject, but not with Complete": "Partway looks for an "
    "object immediately before it creates one.",
    "returns NoSuchKey for a missing upload": "It is treated as NoSuchUpload.",
    "returns 500 when a missing upload is completed": "ListParts and HEAD show the outcome.",
    "completes parts in any order": "Partway always sends them in order.",
    "compares the number of parts before it checks them": "Partway names each part once.",
    "completes an upload only with all of its parts": "Partway completes with all parts.",
    "reports success again for an upload that was completed before": "Partway checks the object with HEAD.",
    "accepts part numbers out of range": "Partway refuses them before it sends a byte.",
    "ignores unknown session tokens": "It does not need them.",
    "accepts requests for any region": "The region in the store's settings does not matter.",
    "orders uploads by key and upload id, joined by a dot": "Pages have this order.",
    "leaves out uploads when a delimiter is given": "Partway never sends one and groups each page into folders itself.",
    "lists the uploads of the key marker's key again": "They are left out.",
    "encodes keys without reporting the encoding": "Partway does not request one. It decodes "
    "characters that XML cannot have.",
}

VERSITY: Quirks = {
    "reports the last change of an upload as its start": "The parts show its age. While parts arrive, a "
    "listing may show an upload twice or not at all.",
    "ignores the requested storage class": "The class that the store returns is shown.",
    "returns no owner of an upload": "The column stays empty.",
    "returns only the CRC-64 of the object, and only to Complete": "It is compared there.",
    "checks for an existing object only when the object is created": "A transfer then fails at its end.",
    "reports success again for an upload that was completed before": "Partway checks the object with HEAD.",
    "reports success for a missing upload if there is an object": "Partway checks the object with "
    "HEAD: a transfer fails unless the object is its own, and a completion stays unverified.",
    "has its own code for an unknown access key": "It is explained as wrong credentials.",
    "uses keys as file paths": "Partway refuses keys that would become another key before it sends a byte.",
    "drops a slash at the start of a key": "Partway refuses keys that start with a slash or backslash before it sends "
    "a byte.",
    "completes no upload whose key is below that of an object": "The error is shown with the store's code, and the "
    "upload can be aborted.",
    "refuses bytes for a key that ends with a slash": "The error is shown with the store's code.",
    "accepts uploads with names that are too long for it, and cannot complete them": "The completion fails "
    "with the store's error, and the upload can be aborted.",
    "lists control characters as other characters": "The upload is found under its own key, not under the listed one.",
    "orders the uploads of a key by their start": "Pages have this order.",
    "refuses the markers that it returns": "Partway sends a marker just before the key instead. If that upload "
    "has ended in the meantime, open the listing again.",
    "ignores encoding-type": "Partway does not request it.",
}

SEAWEEDFS: Quirks = {
    "does not report the region of a bucket": "The region of the store's settings is used.",
    "creates a missing bucket with its first upload": "Create fails on most stores, so compare the name of the bucket.",
    "lists no storage class and no owner of an upload": "The columns stay empty.",
    "returns no CRC-64": "Parts are verified by their MD5, the object by its ETag and size.",
    "checks for an existing object only when the object is created": "A transfer then fails at its end.",
    "reports success for an abort of an upload that has ended": "ListParts shows that the upload is gone.",
    "lists a part once for each time it was sent": "The newest copy counts. The page says that there are several.",
    "sorts part 10,000 before part 1,000": "Partway sorts parts by number, and continues after the part before "
    "which none is left out.",
    "reports a part number out of range as InvalidPart": "Partway refuses them before it sends a byte.",
    "accepts a negative part number": "Partway refuses them before it sends a byte.",
    "completes a part that is named twice": "Partway names each part once.",
    "reports an upload that is completed without parts as missing": "Partway names all parts.",
    "reports success again for an upload that was completed before": "Partway checks the object with HEAD.",
    "accepts requests for any region": "The region in the store's settings does not matter.",
    "uses keys as file paths": "Partway refuses keys that would become another key before it sends a byte.",
    "drops a slash at the start of a key": "Partway refuses keys that start with a slash or backslash before it sends "
    "a byte.",
    "keeps the bytes of a key that ends with a slash under another key": "Partway refuses such keys before it sends a "
    "byte.",
    "keeps at most 255 bytes between two slashes": "Partway refuses longer keys before it sends a byte.",
    "refuses dot segments in keys": "Partway refuses them before it sends a byte.",
    "finds an upload by another spelling of its key": "Partway shows it only under the key that the store names.",
    "lists control characters as other characters": "The upload is found under its own key, not under the listed one.",
    "orders uploads by upload id": "Pages have this order. Folders are grouped on each page.",
    "returns only an upload id marker": "Pages continue with it.",
    "continues after an upload id marker alone": "Partway sends it alone.",
    "lists only the key of a key marker": "Partway does not send a key marker.",
    "reports a page with exactly all remaining uploads as truncated": "An empty last page is shown as the end.",
    "ignores the delimiter": "Partway never sends one and groups each page into folders itself.",
    "declares an encoding and does not encode": "Partway does not request one.",
}

S3PROXY: Quirks = {
    "does not report the region of a bucket": "The region of the store's settings is used.",
    "refuses unknown storage classes": "The error is shown with the store's code.",
    "returns no CRC-64": "Parts are verified by their MD5, the object by its ETag and size.",
    "checks for an existing object only when the object is created": "A transfer then fails at its end.",
    "does not check upload ids": "Partway looks for the upload in the listing before it aborts it, and where the "
    "store lists no part of it.",
    "accepts parts of uploads that do not exist": "The transfer fails at its end, as the upload does not exist.",
    "lists all parts on one page": "Partway reads them from it.",
    "completes parts in any order": "Partway always sends them in order.",
    "completes a part that is named twice": "Partway names each part once.",
    "reports success again for an upload that was completed before": "Partway checks the object with HEAD.",
    "does not know session tokens": "The error is shown with the store's code.",
    "accepts requests for any region": "The region in the store's settings does not matter.",
    "ignores the delimiter": "Partway never sends one and groups each page into folders itself.",
    "refuses delimiters other than a slash": "Partway never sends one.",
    "uses keys as file paths": "Partway refuses keys that would become another key before it sends a byte.",
    "keeps no bytes of a key that ends with a slash": "Partway compares ETag and size of the object, and reports the "
    "difference.",
    "returns 500 for names that are too long for it": "The error is shown with the store's code.",
    "completes no upload whose key is below that of an object": "The error is shown with the store's code, and the "
    "upload can be aborted.",
    "cannot write control characters in the response to Create": "Partway looks for its upload in the listing, and "
    "aborts it.",
}

RCLONE: Quirks = {
    "lists the upload of both markers again": "It is left out, so that a page shows one upload less.",
    "refuses two slashes in a row": "The error is shown with the store's code.",
    "discards an upload that it is asked to complete with a gap": "The completion fails with the store's error. The "
    "object is not replaced.",
    "refuses other bytes for a part that was sent": "The store check reports it as a failure. A part that arrived "
    "damaged cannot be sent again, so the transfer fails.",
}

QUIRKS: Mapping[str, Quirks] = {
    "swift": SWIFT,
    "oss": OSS,
    "ceph": CEPH,
    "versity": VERSITY,
    "seaweedfs": SEAWEEDFS,
    "s3proxy": S3PROXY,
    "rclone": RCLONE,
}
