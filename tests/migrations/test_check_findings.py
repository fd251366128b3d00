"""Migration 0012: results of store checks as the version before wrote them, and their texts afterwards."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from dashboard.shared.messages.check_results import leftover_text, result_advice, result_text, result_title
from dashboard.stores.serializers import check_json
from uploads.models import Store, StoreCheck
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.created import Leftover
from uploads.objectstore.probing.results import CheckResult
from uploads.objectstore.probing.running import CHECKS

migration = import_module("uploads.migrations.0012_check_findings")


def old(name: str, verdict: str, said: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "title": "As it was called", "group": "listing", "verdict": verdict, "said": said, **fields}


@pytest.mark.parametrize(
    ("stored", "text", "advice"),
    [
        (
            old("order", "differs", "Uploads come in no order.", advice="Pages are shown as they come."),
            "Uploads are listed in no particular order.",
            "Partway shows pages in the order of the store.",
        ),
        (
            old("clock", "differs", "The store's clock is 240 s ahead of this machine's.", advice="Set the clock."),
            "The store's clock is 4 min ahead of this machine's.",
            "Set the clock by NTP: at 15 minutes, the store refuses every request.",
        ),
        (
            old("list-buckets", "ok", "1,234 buckets are listed."),
            "1,234 buckets are listed.",
            "",
        ),
        (
            old("delimiter", "differs", "A delimiter loses 2 of 2 common prefixes.", flag=["delimiter", "broken"]),
            "A delimiter loses 2 of 2 common prefixes and 0 of the uploads beside them.",
            "Partway does not send the delimiter, and groups folders itself, page by page.",
        ),
        (
            old("key-marker", "not-tried", "Not tried, for it needs “Prefix”, which did not work."),
            "Not tried: it depends on “Prefix”, which did not work.",
            "",
        ),
        (
            old("wrong-etag", "ok", "It is refused with InvalidPart."),
            "The store refuses the request with InvalidPart.",
            "",
        ),
        (
            old("complete-ended", "differs", "It is refused with InternalError (500) instead of NoSuchUpload."),
            "The store refuses the request with InternalError (status 500), not with NoSuchUpload.",
            "Partway uses HEAD to find out whether the object exists.",
        ),
        (
            old("md5-object", "failed", "A object with a wrong Content-MD5 is accepted."),
            "An object with a wrong Content-MD5 is accepted.",
            "Bytes that are damaged in transit are not noticed: use https for the store.",
        ),
        (
            old(
                "forbid-overwrite",
                "ok",
                "With if-none-match an object of the same key is kept. This bucket keeps versions: that says nothing "
                "of the store's other buckets.",
            ),
            "With if-none-match, an existing object with the same key is kept. This bucket keeps versions, so the "
            "result does not apply to the store's other buckets.",
            "",
        ),
    ],
)
def test_recognised_text_becomes_a_code(stored: dict[str, Any], text: str, advice: str) -> None:
    result = CheckResult.from_json(migration.converted(stored))
    assert (result.said, result.advice, result.title) == ("", "", "")
    assert (result_text(result), result_advice(result)) == (text, advice)
    assert list(result.flag or []) == stored.get("flag", [])


def test_missing_permission_keeps_its_operation_and_request_id() -> None:
    stored = old(
        "list-parts",
        "denied",
        "These credentials do not allow ListParts. An upload's parts and sizes are not shown.",
        advice="Allow s3:ListMultipartUploadParts (on OSS oss:ListParts).",
        code="AccessDenied",
        request_id="tx1",
    )
    result = CheckResult.from_json(migration.converted(stored))
    assert (result.code, result.request_id) == ("AccessDenied", "tx1")
    assert "oss:ListParts" in result_advice(result)
    assert result_title(result) == "ListParts"


@pytest.mark.parametrize(
    "said",
    [
        "ListMultipartUploads was refused with NoSuchBucket: The specified bucket does not exist.",
        "Nothing reached the store: [Errno 111] Connection refused",
        "A text of another version.",
    ],
)
def test_other_text_is_kept_unchanged(said: str) -> None:
    stored = old("bucket", "failed", said, advice="Check the bucket's name: case counts.", code="NoSuchBucket")
    assert migration.converted(stored) == stored
    result = CheckResult.from_json(stored)
    assert (result_text(result), result_advice(result)) == (said, stored["advice"])


@pytest.mark.parametrize("stored", [{}, {"name": "clock"}, {"said": "Else."}, {"verdict": "denied", "said": "Else."}])
def test_incomplete_result_does_not_stop_the_migration(stored: dict[str, Any]) -> None:
    assert migration.converted(stored) == stored


def test_way_back_puts_codes_in_place_of_texts() -> None:
    """The version before reads these names only, and needs a title and a text."""
    details = [{"code": "BucketKeepsVersions", "params": {}}]
    observed = {"code": "BucketsListed", "params": {"count": 3}}
    result = old("list-buckets", "ok", "") | {"observed": observed, "details": details, "store_message": "Hello."}
    del result["said"], result["title"]
    back = migration.reverted(result)
    assert set(back) <= {"name", "title", "group", "verdict", "said", "advice", "flag", "code", "request_id"}
    assert (back["title"], back["said"]) == ("list-buckets", "BucketsListed count=3 BucketKeepsVersions Hello.")
    assert migration.reverted(back) == back
    left = {"kind": "upload", "key": "k", "id": "u", "error": {"reason": "permission", "store_message": "No."}}
    assert migration.reverted_leftover(left) == {"kind": "upload", "key": "k", "id": "u", "why": "permission No."}


def test_every_code_of_the_migration_exists() -> None:
    codes = {code for _, code in migration.FINDINGS} | set(migration.BY_VERDICT.values())
    assert codes <= set(map(str, FindingCode))
    assert set(migration.TITLES.values()) <= {check.name for check in CHECKS}


@pytest.mark.django_db
def test_rows_are_converted() -> None:
    moved = "The store's endpoint was http://old:9 then: set it back and check again, or remove this there."
    left = {"kind": "upload", "key": "scratch/upload", "id": "id-1"}
    store = Store.objects.create(name="mine", endpoint_url="http://s:9", access_key="AK", secret_key="SK")
    check = StoreCheck.objects.create(
        store=store,
        bucket="b",
        step="Prefix",
        results=[old("prefix", "ok", "Uploads are found by the beginning of their keys."), old("x", "ok", "Else.")],
        leftovers=[left | {"why": moved}, left | {"why": "Access denied."}],
    )
    migration.convert(apps, None)
    check.refresh_from_db()
    first, second = check.results
    assert first["observed"] == {"code": "PrefixWorks", "params": {}}
    assert second["said"] == "Else."
    assert check.step == "prefix"
    texts = [leftover_text(Leftover.from_json(each)) for each in check.leftovers]
    assert texts[0].startswith("The store's endpoint was http://old:9 at that time.")
    assert texts[1] == "Access denied."
    before = (check.results, check.leftovers)
    migration.convert(apps, None)
    check.refresh_from_db()
    assert (check.results, check.leftovers) == before
    assert [each["said"] for each in check_json(check)["results"]] == [
        result_text(CheckResult.from_json(first)),
        "Else.",
    ]
