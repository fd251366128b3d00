"""What each server does otherwise than the API says (or leaves open), by name, and what becomes of it in Partway.

A test asks `server.does("...")` by these names. Each sentence says what Partway makes of it; the table in
docs/stores.md shows both. Tried on Swift 2.38, Ceph 16.2.15 and Versity 1.8.0; the OSS test server does what OSS
documents.
"""

from __future__ import annotations

from collections.abc import Mapping

Ways = Mapping[str, str]

SWIFT: Ways = {
    "says so again when an upload was completed before": "HEAD decides.",
    "does not tell a bucket's region": "The region of the store's settings is used.",
    "refuses storage classes that it does not have": "The refusal is shown with the store's code.",
    "names no CRC-64": "Parts are proved by their MD5, the object by its ETag and size.",
    "looks for the object only when it is made": "A transfer that must not replace one fails at its end.",
    "goes on listing the parts of completed uploads": "An upload is completed when HEAD shows its object.",
    "says of an unknown access key that the signature is wrong": "Both are explained as wrong credentials.",
    "ignores a session token that it did not ask for": "It is not needed there.",
    "fails on listings with control characters in keys": "No upload is begun on such a key.",
    "orders by key and upload id joined by a slash": "Pages are shown and folders placed in that order; of the "
    "prefix `a/` the uploads of a key `a` are left out.",
    "calls a page that just holds all truncated": "An empty last page is said to be the end.",
    "names no markers behind a page of one upload": "The page's last upload serves as markers.",
    "names the common prefixes of all that follows on every page": "Each is shown once, where it belongs.",
    "takes a key marker alone for one that ends with a slash": "Pages go on by both markers, which skip nothing.",
    "encodes keys, but no markers and prefixes": "Only keys are decoded.",
}

OSS: Ways = {
    "names no owner of an upload": "The column stays empty.",
    "makes another ETag of the parts": "The object is proved by its CRC-64.",
    "calls another digest an invalid one": "It is sent again, as after BadDigest.",
    "does not say which region is the right one": "The page says that the region is wrong.",
    "takes no keys that begin with a slash or backslash": "They are refused before a byte is sent.",
    "takes keys of 1,023 bytes at most": "A longer one is refused before a byte is sent.",
}

CEPH: Ways = {
    "does not tell a bucket's region": "The region of the store's settings is used.",
    "names no ETag in its first answer to Complete": "HEAD names it.",
    "refuses storage classes that it does not have": "The refusal is shown with the store's code.",
    "names no CRC-64": "Parts are proved by their MD5, the object by its ETag and size.",
    "refuses to replace an object by PutObject, but not by Complete": "Partway does not rely on it: it looks before a "
    "transfer and before a completion whether an object is there.",
    "answers NoSuchKey where an upload is missing": "It is understood as NoSuchUpload.",
    "answers 500 when there is no such upload to complete": "ListParts and HEAD tell what is the case.",
    "completes parts in any order": "Partway sends them in order, and nothing else.",
    "counts the parts before it looks at them": "Partway names each part once.",
    "completes only all parts of an upload": "Partway completes with all of them.",
    "says so again when an upload was completed before": "HEAD decides.",
    "takes part numbers out of range": "They are refused before a byte is sent.",
    "ignores a session token that it did not ask for": "It is not needed there.",
    "takes requests for any region": "The region of the store's settings does not matter there.",
    "orders by key and upload id joined by a dot": "Pages are shown in that order.",
    "loses uploads when a delimiter is given": "It is never sent: folders are made here, page by page.",
    "lists the uploads of a key marker's own key again": "They are left out.",
    "encodes keys without saying so": "Encoding is not asked for; what XML cannot write is read all the same.",
}

VERSITY: Ways = {
    "takes the last change of an upload for its beginning": "Its parts tell how old it is; paging while parts arrive "
    "may show an upload twice, or not.",
    "ignores the storage class that is asked for": "The class that the store names is shown.",
    "names no owner of an upload": "The column stays empty.",
    "names the CRC-64 of the whole only, and only to Complete": "It is compared there.",
    "looks for the object only when it is made": "A transfer that must not replace one fails at its end.",
    "says so again when an upload was completed before": "HEAD decides.",
    "says of uploads that are not there that they are completed, where an object is": "HEAD decides: a "
    "transfer fails unless the object is its own, a completion stays unproved.",
    "has a code of its own for an unknown access key": "It is explained as wrong credentials.",
    "takes keys for file paths": "Keys that would become another one are refused before a byte is sent.",
    "keeps no bytes under a key that ends with a slash": "The refusal is shown with the store's code.",
    "takes uploads on names that are too long for it, and cannot complete them": "The upload fails with the store's "
    "fault, and can be aborted.",
    "lists control characters as another character": "Under that key no upload is found; by its true one it is.",
    "orders the uploads of a key by the time they began": "Pages are shown in that order.",
    "refuses the markers that it names": "Markers just before the key are sent, which it takes; where that upload has "
    "ended meanwhile, the listing has to be opened anew.",
    "ignores encoding-type": "Encoding is not asked for.",
}

WAYS: Mapping[str, Ways] = {"swift": SWIFT, "oss": OSS, "ceph": CEPH, "versity": VERSITY}
