"""Results of store checks that were stored as English texts become codes with parameters.

The texts are those of the version before codes were stored. A result whose text is not recognised keeps it, and pages
show it unchanged.
"""

import re
from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

FINDINGS = (
    (r"The endpoint answers\.", "EndpointResponds"),
    (r"The endpoint answers \((?P<code>\S+)\)\.", "EndpointRefuses"),
    (r"The connection is encrypted, and the certificate was verified\.", "ConnectionEncrypted"),
    (r"The connection is not encrypted \(http\)\.", "ConnectionNotEncrypted"),
    (r"The store accepts the access key and the signature\.", "CredentialsAccepted"),
    (r"The store's clock and this machine's differ by (?P<difference_seconds>\d+) s\.", "ClocksAgree"),
    (r"The store's clock is (?P<difference_seconds>\d+) s ahead of this machine's\.", "ClockAhead"),
    (r"The store's clock is (?P<difference_seconds>\d+) s behind this machine's\.", "ClockBehind"),
    (r"The store has the bucket\.", "BucketExists"),
    (r"(?P<count>[\d,]+) buckets? (?:is|are) listed\.", "BucketsListed"),
    (r"Uploads of the bucket may be listed\.", "UploadsListed"),
    (r"Small files may be sent\.", "ObjectPut"),
    (r"Objects may be looked at\.", "ObjectInspected"),
    (r"Objects may be deleted: this check cleans up after itself\.", "ObjectDeleted"),
    (r"Uploads may be begun\.", "UploadStarted"),
    (r"Parts may be sent\.", "PartSent"),
    (r"Parts may be listed\.", "PartsListed"),
    (r"Uploads may be aborted\.", "UploadAborted"),
    (r"Uploads may be completed\.", "UploadCompleted"),
    (r"Uploads are found by the beginning of their keys\.", "PrefixWorks"),
    (r"Uploads are found only by their whole key\.", "PrefixIsWholeKey"),
    (
        r"Of (?P<started>\d+) uploads just begun under one prefix, (?P<listed>\d+) are listed\.",
        "ListingIncomplete",
    ),
    (r"Uploads come in the order of their keys\.", "OrderedByKey"),
    (r"Uploads come in the order of key and upload id joined with a slash: .*", "OrderedWithSlash"),
    (r"Uploads come in the order of key and upload id joined with a dot: .*", "OrderedWithDot"),
    (r"Uploads come in no order\.", "Unordered"),
    (r"A key marker is ignored: every page would be the first\.", "KeyMarkerIgnored"),
    (r"A key marker alone lists the uploads of that very key again\.", "KeyMarkerInclusive"),
    (r"A key marker alone lists strictly after that key\.", "KeyMarkerExclusive"),
    (r"A key marker alone leaves out (?P<count>\d+) uploads that come after it by key\.", "KeyMarkerSkips"),
    (r"Both markers together go on right after that upload\.", "MarkersContinue"),
    (r"Both markers together lose uploads of the marker's own key\.", "MarkersLoseUploads"),
    (r"Both markers together list their own upload again\.", "MarkersRepeatTheirOwn"),
    (r"After both markers (?P<missing>\d+) of (?P<due>\d+) uploads are missing\.", "MarkersSkip"),
    (r"After both markers (?P<count>\d+) uploads come that came before\.", "MarkersRepeat"),
    (r"A page has as many uploads as were asked for\.", "PageSizeRespected"),
    (r"Of a page of (?P<requested>\d+) uploads (?P<count>\d+) came\.", "PageSizeIgnored"),
    (r"A page that is not all says that it is\.", "PageClaimsToBeLast"),
    (r"A truncated page names no place to go on from\.", "NextMarkersMissing"),
    (r"A truncated page of one upload names no place to go on from\.", "NextMarkersOfOneMissing"),
    (r"The next page goes on, though no upload id marker is named\.", "NextUploadIdMarkerMissing"),
    (r"The next markers do not lead on: the same uploads come again\.", "NextMarkersLoop"),
    (r"The next page goes on where the page ended\.", "NextPageContinues"),
    (r"The page after the store's own markers is another than is due \((?P<count>\d+) uploads\)\.", "NextPageWrong"),
    (r"A page that holds all says so\.", "ExactPageIsLast"),
    (r"A page that just holds all is said to be truncated\.", "ExactPageTruncated"),
    (r"A delimiter groups keys to common prefixes\.", "DelimiterWorks"),
    (
        r"A delimiter loses (?P<prefixes_lost>\d+) of (?P<prefixes>\d+) common prefixes"
        r"(?: and (?P<uploads_lost>\d+) uploads beside them)?\.",
        "DelimiterLoses",
    ),
    (r"Page by page, every upload and common prefix comes once\.", "DelimiterPagesComplete"),
    (
        r"Page by page with a delimiter, (?P<count>\d+) uploads or common prefixes never come\.",
        "DelimiterPagesLose",
    ),
    (r"A page names common prefixes of what follows, and later pages name them again\.", "PrefixesAhead"),
    (r"Common prefixes come again on later pages\.", "PrefixesRepeated"),
    (r"Uploads that were aborted or completed leave the listing\.", "EndedUploadsLeave"),
    (r"(?P<count>\d+) of the uploads that were ended by this check are still listed\.", "EndedUploadsStay"),
    (r"Keys and markers come encoded, and the answer says so\.", "EncodingComplete"),
    (r"Only the keys of uploads come encoded; markers come as they are\.", "EncodingOfKeysOnly"),
    (r"encoding-type is ignored\.", "EncodingIgnored"),
    (r"Keys come as they are, and are called encoded\.", "EncodingDeclaredOnly"),
    (r"Keys come encoded, and the answer does not say so\.", "EncodingNotDeclared"),
    (r"Asked for encoding-type=url, the store lists other keys\.", "EncodingChangesKeys"),
    (r"A part that is sent again replaces the one of its number\.", "PartReplaced"),
    (r"A part that is sent again does not replace the first one\.", "PartNotReplaced"),
    (r"Parts come page by page\.", "PartsPaged"),
    (r"A page of one part is not one\.", "PartsPageSizeIgnored"),
    (r"The second page of parts is not what follows\.", "PartsPageWrong"),
    (r"An upload that was aborted still lists (?P<count>\d+) parts\.", "EndedUploadListsParts"),
    (r"Aborting an upload that is gone succeeds\.", "EndedUploadAbortedAgain"),
    (r"A part's ETag is not looked at\.", "WrongETagAccepted"),
    (r"Parts in a wrong order are accepted\.", "WrongOrderAccepted"),
    (r"It is refused with InvalidPartOrder\.", "WrongOrderRefused"),
    (r"It is refused with (?P<code>\S+) instead of InvalidPartOrder\.", "WrongOrderRefusedOtherwise"),
    (r"Parts of a few bytes are accepted\.", "SmallPartsAccepted"),
    (r"It is refused with EntityTooSmall\.", "SmallPartsRefused"),
    (r"It is refused with (?P<code>\S+) instead of EntityTooSmall\.", "SmallPartsRefusedOtherwise"),
    (r"It is refused with (?P<code>NoSuchUpload)\.", "EndedUploadRefused"),
    (r"It is refused with (?P<code>\S+) instead of NoSuchUpload\.", "EndedUploadCalledOtherwise"),
    (r"It is refused with (?P<code>\S+) \((?P<status>\d+)\) instead of NoSuchUpload\.", "AbortedUploadUnclear"),
    (r"Completing an upload that was aborted is called a success\.", "AbortedUploadCompleted"),
    (
        r"A second time it is refused with NoSuchUpload: HEAD tells that the first one succeeded\.",
        "SecondCompleteRefused",
    ),
    (r"A second time it is refused with (?P<code>\S+)\.", "SecondCompleteRefusedOtherwise"),
    (r"A second time it is called a success again\.", "SecondCompleteSucceeds"),
    (r"With (?P<header>\S+) an object of the same key is kept\.", "ObjectKept"),
    (r"With (?P<header>\S+) only PutObject keeps an object of the same key\.", "ObjectKeptByPutOnly"),
    (r"With (?P<header>\S+) only Complete keeps an object of the same key\.", "ObjectKeptByCompleteOnly"),
    (r"With (?P<header>\S+) no object of the same key is kept, or none is made at all\.", "ObjectNotKept"),
    (r"The bucket encrypts by KMS: its ETags are not MD5s\.", "ETagsEncrypted"),
    (r"The ETag of a part is the MD5 of its bytes\.", "PartETagIsMD5"),
    (r"The ETag of a part is not the MD5 of its bytes\.", "PartETagIsNotMD5"),
    (r"The ETag of a completed upload is made of its parts' MD5s\.", "CompletedETagOfParts"),
    (r"The ETag of a completed upload is not made of its parts' MD5s\.", "CompletedETagOtherwise"),
    (r"HEAD says (?P<size_bytes>\d+) bytes of (?P<sent_bytes>\d+)\.", "HeadSizeDiffers"),
    (r"Complete and HEAD name the same ETag\.", "HeadAgrees"),
    (r"Complete names no ETag\.", "CompleteWithoutETag"),
    (r"Complete and HEAD name different ETags\.", "HeadETagDiffers"),
    (r"The store tells no CRC-64: MD5 guards the bytes\.", "CRC64Absent"),
    (r"The store tells a CRC-64 that is not that of the bytes\.", "CRC64Wrong"),
    (r"The store tells the bytes' (?P<polynomial>\S+), not the profile's\.", "CRC64OfOtherPolynomial"),
    (r"The store tells the bytes' (?P<polynomial>\S+), and it is right\.", "CRC64Right"),
    (r"A part with a wrong Content-MD5 is refused, and yet kept\.", "WrongMD5PartKept"),
    (r"An object with a wrong Content-MD5 is refused, and yet made\.", "WrongMD5ObjectKept"),
    (r"It is refused with (?P<code>\S+), and nothing is kept\.", "WrongMD5Refused"),
    (r"It is refused with (?P<code>\S+) instead of BadDigest\.", "WrongMD5RefusedOtherwise"),
    (r"This key is itself, as an upload and as an object\.", "KeyWorks"),
    (r"An upload of this key is listed as itself\.", "KeyWorksForUploads"),
    (r"An upload of this key is listed as itself, and an object is taken\.", "KeyAccepted"),
    (r"An upload of this key is listed under another one\.", "KeyListedOtherwise"),
    (r"An upload of this key is listed under another one, or not at all\.", "LeadingKeyListedOtherwise"),
    (r"What is put under this key is not found again\.", "KeyNotFound"),
    (r"Another key's object is found under this key\.", "KeyHoldsAnotherObject"),
    (r"Keys are taken for file paths: this one is another key's object\.", "KeyIsPath"),
    (r"Such keys are another key's object here, says the profile\.", "KeyRefusedByProfile"),
    (r"Keys may not begin with a slash or backslash here, says the profile\.", "LeadingSlashRefusedByProfile"),
    (r"Not tried, for a listing by prefix does not hold the uploads it should\.", "ListingUnreliable"),
    (r"Not tried, for uploads come in no order\.", "NeedsOrder"),
    (r"Not tried, for a page holds everything, whatever its size\.", "PageHoldsEverything"),
    (r"Not tried, for uploads on the keys that need it were refused\.", "EncodedKeysRefused"),
    (r"Not tried, for Complete told no ETag\.", "CompletedETagMissing"),
    (r"Not tried, for the (?P<limit_seconds>\d+) seconds of a check were over\.", "TimeUsedUp"),
    (r"Not tried, for the (?P<limit>\d+) requests of a check were used up\.", "RequestsUsedUp"),
)
"""Texts of the version before, as patterns, and their codes."""

BY_VERDICT = {
    ("A part with a wrong Content-MD5 is accepted.", "differs"): "WrongMD5PartAccepted",
    ("A part with a wrong Content-MD5 is accepted.", "failed"): "DamagedPartUnnoticed",
    ("An object with a wrong Content-MD5 is accepted.", "differs"): "WrongMD5ObjectAccepted",
    ("A object with a wrong Content-MD5 is accepted.", "differs"): "WrongMD5ObjectAccepted",
    ("A object with a wrong Content-MD5 is accepted.", "failed"): "DamagedObjectUnnoticed",
    (
        "Completing an upload that was aborted is called a success, as an object of its key is there.",
        "differs",
    ): "CompletedOverObject",
    (
        "Completing an upload that was aborted is called a success, as an object of its key is there.",
        "failed",
    ): "CompletedOverUnseenObject",
    (
        "Completing an upload that was aborted is called a success, as an object of its key is there. "
        "It is not the one that was there.",
        "failed",
    ): "CompletedOverChangedObject",
}
"""Texts that had another consequence with another verdict."""

WRONG_ETAG = re.compile(r"It is refused with (?P<code>\S+)\.")
VERSIONED = " This bucket keeps versions: that says nothing of the store's other buckets."
NEEDS = re.compile(r"Not tried, for it needs “(?P<title>.+)”, which did not work\.")
CONSUMED = re.compile(r"Not tried, for the upload for it was completed by “(?P<title>.+)”\.")
DENIED = re.compile(r"These credentials do not allow (?P<operation>\w+)\.( .*)?")
MOVED = re.compile(r"The store's endpoint was (?P<endpoint_url>.+) then: set it back and check again, .*")

TITLES = {
    "The endpoint answers": "reach",
    "The connection is encrypted": "tls",
    "The credentials are accepted": "credentials",
    "The clocks agree": "clock",
    "The bucket is there": "bucket",
    "ListBuckets": "list-buckets",
    "ListMultipartUploads": "list-uploads",
    "PutObject": "put-object",
    "HeadObject": "head-object",
    "DeleteObject": "delete-object",
    "CreateMultipartUpload": "create",
    "UploadPart": "upload-part",
    "ListParts": "list-parts",
    "AbortMultipartUpload": "abort",
    "CompleteMultipartUpload": "complete",
    "Prefix": "prefix",
    "encoding-type=url": "encoding",
    "ETag of a part": "part-etag",
    "Complete with a wrong ETag": "wrong-etag",
    "Complete in a wrong order": "wrong-order",
    "Complete of too small parts": "too-small",
}
"""Titles of checks that texts of other checks name."""


def observed(result: dict[str, Any]) -> dict[str, Any] | None:
    """The code and parameters of a stored result; None if its text is not recognised."""
    said = result.get("said", "").removesuffix(VERSIONED)
    for pattern, code in ((NEEDS, "NeedsCheck"), (CONSUMED, "NeedsUpload")):
        named = pattern.fullmatch(said)
        if named:
            return _problem(code, {"check": TITLES[named["title"]]}) if named["title"] in TITLES else None
    verdict = result.get("verdict")
    if (said, verdict) in BY_VERDICT:
        return _problem(BY_VERDICT[said, verdict], {})
    if verdict == "denied" and (denied := DENIED.fullmatch(said)):
        store = {"reason": "permission", "code": result.get("code", "")}
        return _problem("PermissionMissing", {"operation": denied["operation"], **store})
    if result.get("name") == "wrong-etag" and (refused := WRONG_ETAG.fullmatch(said)):
        return _problem("WrongETagRefused", refused.groupdict())
    for text, code in FINDINGS:
        found = re.fullmatch(text, said)
        if found:
            return _problem(code, {name: _value(name, value) for name, value in found.groupdict().items()})
    return None


def _problem(code: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"code": code, "params": params}


def _value(name: str, value: str | None) -> str | int:
    if value is None:
        return 0
    return value if name in {"code", "status", "header", "polynomial"} else int(value.replace(",", ""))


def converted(result: dict[str, Any]) -> dict[str, Any]:
    """A result with a code in place of its texts, if they are recognised."""
    problem = observed(result) if "observed" not in result else None
    if problem is None:
        return result
    kept = {name: value for name, value in result.items() if name not in {"title", "said", "advice"}}
    details = [_problem("BucketKeepsVersions", {})] if result["said"].endswith(VERSIONED) else []
    return kept | {"observed": problem} | ({"details": details} if details else {})


def converted_leftover(leftover: dict[str, Any]) -> dict[str, Any]:
    moved = MOVED.fullmatch(leftover.get("why", ""))
    if moved is None:
        return leftover
    kept = {name: value for name, value in leftover.items() if name != "why"}
    return kept | {"error": {"reason": "LeftAtOtherEndpoint", "params": moved.groupdict()}}


def convert(apps: Apps, _: BaseDatabaseSchemaEditor) -> None:
    checks = apps.get_model("uploads", "StoreCheck").objects
    for check in checks.only("results", "leftovers", "step").iterator(chunk_size=100):
        check.results = [converted(result) for result in check.results]
        check.leftovers = [converted_leftover(leftover) for leftover in check.leftovers]
        check.step = TITLES.get(check.step, check.step)
        check.save(update_fields=["results", "leftovers", "step"])


def reverted(result: dict[str, Any]) -> dict[str, Any]:
    """A result that the version before can read: with its codes in place of a text."""
    if "observed" not in result:
        return result
    kept = {name: value for name, value in result.items() if name not in {"observed", "details", "store_message"}}
    texts = [*map(_code_text, [result["observed"], *result.get("details", [])]), result.get("store_message", "")]
    return kept | {"title": result.get("title") or result["name"], "said": " ".join(filter(None, texts))}


def reverted_leftover(leftover: dict[str, Any]) -> dict[str, Any]:
    if "error" not in leftover:
        return leftover
    kept = {name: value for name, value in leftover.items() if name != "error"}
    error = leftover["error"]
    texts = [_code_text({**error, "code": error.get("reason", "")}), *map(_code_text, error.get("details", []))]
    return kept | {"why": " ".join(filter(None, [*texts, error.get("store_message", "")]))}


def _code_text(problem: dict[str, Any]) -> str:
    return " ".join([problem["code"], *(f"{name}={value}" for name, value in problem.get("params", {}).items())])


def revert(apps: Apps, _: BaseDatabaseSchemaEditor) -> None:
    checks = apps.get_model("uploads", "StoreCheck").objects
    for check in checks.only("results", "leftovers").iterator(chunk_size=100):
        check.results = [reverted(result) for result in check.results]
        check.leftovers = [reverted_leftover(leftover) for leftover in check.leftovers]
        check.save(update_fields=["results", "leftovers"])


class Migration(migrations.Migration):
    dependencies = [("uploads", "0011_store_choices")]

    operations = [migrations.RunPython(convert, revert)]
