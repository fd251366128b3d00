"""Probes of stores that behave worse than the test stores: a proxy falsifies a real store, or a script responds."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.certificate import certificate
from tests.dashboard.misreporting import (
    ListedPage,
    ListingQuery,
    MakePage,
    MisreportingStore,
    back_and_forth,
    by_key,
    in_order_of,
    like_garage,
    like_minio,
    like_seaweedfs,
    misreporting,
    nothing_after_markers,
    truncated_and_empty,
    whole_page_is_the_last,
    without_upload_id_marker,
)
from tests.objectstore.fault_server import FaultServer, error, respond
from tests.stores.s3 import S3Store
from tests.stores.swift import SwiftStore
from uploads.objectstore.checksums import Algorithm, Crc64
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, Reason, Refused
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.created import CreatedThings
from uploads.objectstore.probing.keys import LEADING, ODD_KEYS
from uploads.objectstore.probing.permissions import DATA
from uploads.objectstore.probing.requester import ProbeBudget, Requester
from uploads.objectstore.probing.results import CheckResult, Verdict, overrides_of
from uploads.objectstore.probing.running import probe_store
from uploads.objectstore.providers import get_provider
from uploads.objectstore.types import CompletedPart, Credentials, MultipartUpload, StoreConfig
from uploads.problems import Code, Problem

Results = dict[str, CheckResult]

KEY_CHECKS = (*(odd.name for odd in ODD_KEYS), LEADING.name)


def config_of(store: SwiftStore | S3Store, url: str = "", **changes: Any) -> StoreConfig:
    credentials = Credentials(store.access_key, store.secret_key)
    return StoreConfig(url or store.endpoint_url, store.region, credentials, **changes)


def probed(config: StoreConfig, bucket: str, created: CreatedThings | None = None) -> Results:
    """Every result by the name of its check. What the probe created is removed."""
    created = created or CreatedThings(f".partway-check-{secrets.token_hex(4)}/")
    with Requester(config, bucket, created, budget=ProbeBudget()) as requester:
        try:
            results = probe_store(requester, lambda *_: None)
        finally:
            assert requester.clean() == ()
    assert created.is_empty
    return {result.name: result for result in results}


def verdicts(results: Results, *names: str) -> dict[str, str]:
    return {name: results[name].verdict.value for name in names}


def code_of(result: CheckResult) -> str:
    assert result.observed is not None
    return result.observed.code


@pytest.fixture
def bucket(swift_store: SwiftStore) -> str:
    return swift_store.new_bucket()


@pytest.fixture
def behind(swift_store: SwiftStore) -> Iterator[ObjectStoreClient]:
    with ObjectStoreClient(config_of(swift_store, provider="swift")) as client:
        yield client


@pytest.fixture
def faulty_store(swift_store: SwiftStore, behind: ObjectStoreClient) -> Iterator[MisreportingStore]:
    with misreporting(behind, swift_store.endpoint_url) as running:
        yield running


@pytest.fixture
def faulty_config(swift_store: SwiftStore, faulty_store: MisreportingStore) -> StoreConfig:
    return config_of(swift_store, faulty_store.url)


def crc64_of(algorithm: Algorithm, data: bytes) -> int:
    crc = Crc64(algorithm)
    crc.update(data)
    return crc.value


def overrides(results: Results) -> dict[str, object]:
    return overrides_of(results.values(), get_provider("generic"), {})


def test_listing_by_whole_keys_only(faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str) -> None:
    faulty_store.make_page = like_minio
    results = probed(faulty_config, bucket)
    assert overrides(results)["exact_prefix"] is True
    assert results["prefix"].verdict is Verdict.DIFFERS
    for name in ("order", "key-marker", "both-markers", "next-of-two", "delimiter", "encoding"):
        assert results[name].verdict is Verdict.NOT_TRIED
        assert code_of(results[name]) == FindingCode.LISTING_UNRELIABLE
    # Checks that need no listing still run: keys are checked as objects.
    assert verdicts(results, "key-dots", "replace", "complete") == {"key-dots": "ok", "replace": "ok", "complete": "ok"}
    assert results["ended"].flag == ("keeps_ended", False)


def test_listing_that_keeps_ended_uploads(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    created = CreatedThings(f".partway-check-{secrets.token_hex(4)}/")
    created.changed = lambda: faulty_store.kept.extend(
        each
        for each in (MultipartUpload(key, upload_id, None) for key, upload_id in created.uploads if upload_id)
        if each not in faulty_store.kept and each.key.endswith(("/upload", "/object"))
    )
    results = probed(faulty_config, bucket, created)
    assert results["ended"].verdict is Verdict.DIFFERS
    assert overrides(results)["keeps_ended"] is True


def test_listing_in_no_order(faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str) -> None:
    def backwards(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
        ordered = sorted(uploads, key=lambda each: each.key, reverse=True)
        return in_order_of([each.upload_id for each in ordered], uploads, query)

    faulty_store.make_page = backwards
    results = probed(faulty_config, bucket)
    assert overrides(results)["order"] == "none"
    assert results["key-marker"].verdict is Verdict.NOT_TRIED


def test_listing_by_start_time_counts_as_no_order(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    created = CreatedThings(f".partway-check-{secrets.token_hex(4)}/")
    # Not by Initiated, which has whole seconds in Swift.
    faulty_store.make_page = lambda uploads, query: in_order_of(
        [upload_id for _, upload_id in created.uploads], uploads, query
    )
    results = probed(faulty_config, bucket, created)
    assert results["prefix"].verdict is Verdict.OK
    assert overrides(results)["order"] == "none"


def test_pages_by_key_with_rows_by_upload_id(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    """False alarms: Garage pages exactly, and only sorts the rows of each page otherwise."""
    faulty_store.make_page = like_garage
    results = probed(faulty_config, bucket)
    paging = ("order", "key-marker", "both-markers", "next-of-two", "next-of-one", "all-pages")
    assert verdicts(results, *paging) == dict.fromkeys(paging, "ok")
    assert (overrides(results)["rows_in_order"], code_of(results["rows"])) == (False, FindingCode.ROWS_IN_OTHER_ORDER)
    assert {"order", "marker_pair", "loses_pages"}.isdisjoint(overrides(results))


def test_pages_that_continue_after_an_upload_id_alone(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    faulty_store.make_page = like_seaweedfs
    results = probed(faulty_config, bucket)
    found = overrides(results)
    assert (found["order"], found["marker_pair"]) == ("upload-id", "upload-id")
    assert {"rows_in_order", "loses_pages"}.isdisjoint(found)
    assert verdicts(results, "both-markers", "next-of-two", "next-of-one", "all-pages") == {
        "both-markers": "differs",
        "next-of-two": "differs",
        "next-of-one": "differs",
        "all-pages": "ok",
    }


@pytest.mark.parametrize("make_page", [nothing_after_markers, back_and_forth, whole_page_is_the_last])
def test_pages_that_lose_uploads_override_the_profile(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str, make_page: MakePage
) -> None:
    """Whatever the reason is that no way to page lists every upload, the listing has to know it."""
    faulty_store.make_page = make_page
    results = probed(faulty_config, bucket)
    assert results["all-pages"].verdict is Verdict.FAILED
    assert overrides(results)["loses_pages"] is True


def test_next_markers_without_an_upload_id(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    faulty_store.make_page = without_upload_id_marker
    results = probed(faulty_config, bucket)
    assert results["next-of-two"].verdict is Verdict.DIFFERS
    assert code_of(results["next-of-two"]) == FindingCode.NEXT_UPLOAD_ID_MARKER_MISSING


def test_ignored_markers(faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str) -> None:
    def first_page(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
        return by_key(uploads, ListingQuery(query.prefix, "", query.max_uploads, "", ""))

    faulty_store.make_page = first_page
    results = probed(faulty_config, bucket)
    assert verdicts(results, "key-marker", "next-of-two", "next-of-one") == {
        "key-marker": "failed",
        "next-of-two": "failed",
        "next-of-one": "failed",
    }
    assert code_of(results["next-of-two"]) == FindingCode.NEXT_MARKERS_LOOP
    assert code_of(results["key-marker"]) == FindingCode.KEY_MARKER_IGNORED
    assert results["both-markers"].verdict is Verdict.DIFFERS


def test_ignored_page_size(faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str) -> None:
    def everything(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
        return by_key(uploads, ListingQuery(query.prefix, "", 1000, query.key_marker, query.upload_id_marker))

    faulty_store.make_page = everything
    results = probed(faulty_config, bucket)
    assert results["max-uploads"].verdict is Verdict.DIFFERS
    assert overrides(results)["url_encoding"] == "none"
    assert verdicts(results, "next-of-two", "next-of-one") == {"next-of-two": "not-tried", "next-of-one": "not-tried"}


def test_incomplete_page_reported_as_the_last(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    faulty_store.make_page = lambda uploads, query: ListedPage(by_key(uploads, query).uploads)
    results = probed(faulty_config, bucket)
    assert results["next-of-two"].verdict is Verdict.FAILED


def test_ignored_delimiter(faulty_config: StoreConfig, bucket: str) -> None:
    results = probed(faulty_config, bucket)
    assert overrides(results)["delimiter"] == "broken"


def test_truncated_pages_without_markers(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    def unmarked(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
        page = by_key(uploads, query)
        return ListedPage(page.uploads, is_truncated=page.is_truncated)

    faulty_store.make_page = unmarked
    results = probed(faulty_config, bucket)
    assert verdicts(results, "next-of-two", "next-of-one") == {"next-of-two": "differs", "next-of-one": "differs"}


def test_empty_listing(faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str) -> None:
    faulty_store.make_page = truncated_and_empty
    # The clean-up cannot rely on it either: it uses the record of started uploads.
    results = probed(faulty_config, bucket)
    assert results["prefix"].verdict is Verdict.FAILED
    assert results["prefix"].observed == Problem(FindingCode.LISTING_INCOMPLETE, started=7, listed=0)
    assert results["key-plus"].verdict is Verdict.OK


def test_upload_listed_under_another_key(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    def normalized(uploads: Sequence[MultipartUpload], query: ListingQuery) -> ListedPage:
        moved = [MultipartUpload(each.key.replace("//", "/"), each.upload_id, None) for each in uploads]
        return by_key(moved, query)

    faulty_store.make_page = normalized
    results = probed(faulty_config, bucket)
    assert code_of(results["key-slashes"]) == FindingCode.KEY_IS_PATH
    assert overrides(results)["keys_are_paths"] is True
    assert results["key-dots"].verdict is Verdict.OK


# --- Digests ----------------------------------------------------------------------------------------------------------


def test_unverified_content_md5(faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str) -> None:
    faulty_store.ignores_md5 = True
    results = probed(faulty_config, bucket)
    assert verdicts(results, "md5-part", "md5-object") == {"md5-part": "differs", "md5-object": "differs"}
    assert code_of(results["md5-part"]) == FindingCode.WRONG_MD5_PART_ACCEPTED
    assert code_of(results["md5-object"]) == FindingCode.WRONG_MD5_OBJECT_ACCEPTED


def test_unverified_content_md5_where_etags_are_not_md5(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    faulty_store.ignores_md5 = True
    faulty_store.headers = {"PUT": {"etag": '"an-etag"'}}
    results = probed(faulty_config, bucket)
    assert (results["part-etag"].verdict, results["part-etag"].flag) == (Verdict.DIFFERS, ("etag_is_md5", False))
    assert verdicts(results, "md5-part", "md5-object") == {"md5-part": "failed", "md5-object": "failed"}
    assert code_of(results["md5-part"]) == FindingCode.DAMAGED_PART_UNNOTICED
    assert code_of(results["md5-object"]) == FindingCode.DAMAGED_OBJECT_UNNOTICED


def test_etag_of_a_completed_upload_not_computed_from_parts(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    faulty_store.headers = {"HEAD": {"etag": '"an-etag"'}}
    results = probed(faulty_config, bucket)
    assert results["part-etag"].verdict is Verdict.OK
    assert results["completed-etag"].flag == ("joined_etag", False)
    assert results["completed-etag"].verdict is Verdict.DIFFERS
    assert results["head-etag"].verdict is Verdict.FAILED
    assert code_of(results["head-etag"]) == FindingCode.HEAD_ETAG_DIFFERS


def test_encrypted_bucket_determines_nothing_about_etags(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    faulty_store.headers = {"PUT": {"x-amz-server-side-encryption": "aws:kms"}}
    results = probed(faulty_config, bucket)
    for name in ("part-etag", "completed-etag"):
        assert (results[name].verdict, results[name].flag) == (Verdict.DIFFERS, None)


@pytest.mark.parametrize(
    ("value", "verdict", "observed"),
    [
        (1, Verdict.FAILED, Problem(FindingCode.CRC64_WRONG)),
        (
            crc64_of("ecma", DATA),
            Verdict.DIFFERS,
            Problem(FindingCode.CRC64_OF_OTHER_POLYNOMIAL, polynomial="CRC-64/ECMA"),
        ),
    ],
)
def test_crc64_that_is_wrong_or_of_another_polynomial(
    faulty_config: StoreConfig,
    faulty_store: MisreportingStore,
    bucket: str,
    value: int,
    verdict: Verdict,
    observed: Problem,
) -> None:
    faulty_store.headers = {"PUT": {"x-oss-hash-crc64ecma": str(value)}}
    results = probed(faulty_config, bucket)
    assert results["crc64"].verdict is verdict
    assert results["crc64"].observed == observed


# --- Scripted stores --------------------------------------------------------------------------------------------------

BUCKETS = b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"


def scripted(server: FaultServer, **changes: Any) -> Results:
    config = StoreConfig(server.url, "us-east-1", Credentials("AK", "SECRET"), **changes)
    with Requester(config, "bucket", CreatedThings(".scratch/"), budget=ProbeBudget()) as requester:
        return {result.name: result for result in probe_store(requester, lambda *_: None)}


def test_api_without_the_operation() -> None:
    denied = [error(403, "AccessDenied")] * 20
    with FaultServer(respond(200, BUCKETS), error(501, "NotImplemented"), *denied) as server:
        results = scripted(server)
    assert results["list-uploads"].verdict is Verdict.FAILED
    assert results["list-uploads"].flag == ("lists_uploads", False)
    assert (results["list-uploads"].code, results["list-uploads"].request_id) == ("NotImplemented", "r-1")
    assert results["bucket"].verdict is Verdict.OK
    assert results["create"].verdict is Verdict.DENIED
    assert overrides(results) == {"lists_uploads": False}


def test_encrypted_connection(tmp_path: Path) -> None:
    path, context = certificate(tmp_path)
    with FaultServer(*[error(403, "AccessDenied")] * 20, tls=context) as server:
        results = scripted(server, ca_bundle=str(path))
        assert results["tls"].verdict is Verdict.OK
        unknown = scripted(server)
    assert unknown["reach"].verdict is Verdict.FAILED
    assert code_of(unknown["reach"]) == FindingCode.NOTHING_SENT
    assert unknown["reach"].observed is not None
    assert unknown["reach"].observed.params["reason"] == Reason.TLS
    assert {result.verdict for name, result in unknown.items() if name != "reach"} == {Verdict.NOT_TRIED}


def test_web_page_instead_of_a_store() -> None:
    with FaultServer(*[respond(200, b"<!doctype html><title>Welcome</title>")] * 20) as server:
        results = scripted(server)
    assert results["reach"].verdict is Verdict.FAILED
    assert results["reach"].observed is not None
    assert results["reach"].observed.params["reason"] == Reason.UNREADABLE_RESPONSE


def test_bucket_with_another_region_or_addressing() -> None:
    moved = b"<Error><Code>PermanentRedirect</Code><Message>Elsewhere.</Message><Region>eu-x</Region></Error>"
    with FaultServer(respond(200, BUCKETS), *[respond(301, moved)] * 20) as server:
        results = scripted(server)
    assert results["bucket"].verdict is Verdict.FAILED
    assert results["bucket"].observed is not None
    assert results["bucket"].observed.params["reason"] == Reason.WRONG_REGION
    assert results["bucket"].details == (Problem(Code.BUCKET_REGION, region="eu-x"),)
    assert results["bucket"].store_message == "Elsewhere."
    with FaultServer(respond(200, BUCKETS), *[error(403, "SecondLevelDomainForbidden")] * 20) as server:
        results = scripted(server)
    assert results["bucket"].observed is not None
    assert results["bucket"].observed.params["reason"] == Reason.ADDRESSING


# --- Keys -------------------------------------------------------------------------------------------------------------


def test_key_that_the_store_takes_for_another_one_is_refused_from_then_on(
    swift_store: SwiftStore, faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    """Whatever a check finds about keys is enforced before a byte is sent: here a dropped slash, as in Garage."""
    faulty_store.drops_leading_slash = config_of(swift_store, provider="swift")
    results = probed(faulty_config, bucket)
    assert code_of(results["key-leading"]) == FindingCode.LEADING_SLASH_DROPPED
    assert overrides(results)["leading_slash"] is False
    assert "keys_are_paths" not in overrides(results)
    found = replace(faulty_config, overrides=tuple(overrides(results).items()))
    with ObjectStoreClient(found) as client:
        client.put_object(bucket, "precious", None)
        for key in ("/precious", "//precious"):
            for write in (client.create_multipart_upload, partial(client.put_object, body=None)):
                with pytest.raises(NotSent) as refused:
                    write(bucket, key)
                assert refused.value.problem == Problem(Code.KEY_STARTS_WITH_SLASH, character="/")
            with pytest.raises(NotSent):
                client.complete_multipart_upload(bucket, key, "id", [CompletedPart(1, "etag")])
        client.delete_object(bucket, "precious")


def test_dropped_slash_is_found_where_uploads_cannot_be_listed_by_prefix(
    swift_store: SwiftStore, faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    faulty_store.drops_leading_slash = config_of(swift_store, provider="swift")
    faulty_store.make_page = like_minio
    results = probed(faulty_config, bucket)
    assert code_of(results["key-leading"]) == FindingCode.LEADING_SLASH_DROPPED
    assert overrides(results)["leading_slash"] is False


@pytest.mark.parametrize(
    ("end", "changed"),
    [
        # The upload that the store has started in spite of the fault takes a place on the page of two.
        ("odd/1 b+c%25", {"key-plus": "unknown", "encoding": "not-tried"}),
        ("odd/5//b", {"key-slashes": "unknown"}),
    ],
)
def test_fault_with_one_key_says_nothing_about_other_keys(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str, end: str, changed: dict[str, str]
) -> None:
    """One request that the store answers with 500 condemns neither other keys nor the encoding, nor its own key."""
    faulty_store.fails_after_acting = {("POST", end): 1}
    results = probed(faulty_config, bucket)
    usual = dict.fromkeys(KEY_CHECKS, "ok") | {"encoding": "differs"}
    assert verdicts(results, *KEY_CHECKS, "encoding") == usual | changed
    assert {results[name].code for name, verdict in changed.items() if verdict == "unknown"} == {"InternalError"}


def test_fault_of_the_store_is_no_finding(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    """Whatever request fails with 500, its check is not known, and the profile stays as it is."""
    faulty_store.fails_after_acting = {("PUT", "/put-once"): 1, ("POST", "/parts"): 1}
    results = probed(faulty_config, bucket)
    assert verdicts(results, "forbid-overwrite", "replace", "md5-part") == {
        "forbid-overwrite": "unknown",
        "replace": "unknown",
        "md5-part": "unknown",
    }
    assert results["forbid-overwrite"].flag is None


# --- Clean-up ---------------------------------------------------------------------------------------------------------


def test_object_whose_creation_was_refused_in_a_second_attempt_is_removed(
    behind: ObjectStoreClient, faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    """A refusal proves that there is no object only if no earlier attempt may have created it."""
    faulty_store.fails_after_acting = {("PUT", "/object"): 1}
    created = CreatedThings(".partway-check-1/")
    with Requester(faulty_config, bucket, created, budget=ProbeBudget()) as requester:
        requester.put_object(".partway-check-1/object", DATA)
        faulty_store.fails_after_acting = {("PUT", "/put-once"): 1}
        for _ in range(2):
            with pytest.raises(Refused):
                requester.put_object(".partway-check-1/put-once", DATA, headers={"If-None-Match": "*"})
        assert (".partway-check-1/put-once", "") in created.objects
        assert requester.clean() == ()
    with pytest.raises(Refused):
        behind.head_object(bucket, ".partway-check-1/put-once")


@pytest.mark.parametrize(("kept", "left"), [(1, 0), (3, 0), (1000, 1)])
def test_upload_that_stays_after_an_abort_is_aborted_again_or_reported(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str, kept: int, left: int
) -> None:
    """That an abort was successful does not prove that the upload is gone: some stores keep its parts."""
    created = CreatedThings(".partway-check-1/")
    with Requester(faulty_config, bucket, created, budget=ProbeBudget()) as requester:
        upload_id = requester.start_upload(".partway-check-1/upload")
        requester.send_part(".partway-check-1/upload", upload_id, 1, DATA)
        faulty_store.kept_after_abort = kept
        leftovers = requester.clean()
        assert [(each.kind, each.id, each.error.details) for each in leftovers] == [
            ("upload", upload_id, (Problem(Code.STILL_LISTED, count=4),))
        ] * left
        assert created.is_empty == (not left)


def test_abort_that_keeps_the_upload_is_reported(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    faulty_store.kept_after_abort = 1
    results = probed(faulty_config, bucket)
    assert code_of(results["abort"]) == FindingCode.UPLOAD_STAYS_AFTER_ABORT


# --- Versions ---------------------------------------------------------------------------------------------------------


def test_named_version_does_not_mean_that_the_bucket_keeps_versions(
    faulty_config: StoreConfig, faulty_store: MisreportingStore, bucket: str
) -> None:
    """Garage names a version of every object; GetBucketVersioning tells whether the bucket keeps them."""
    faulty_store.headers = {"PUT": {"x-amz-version-id": "v1"}}
    results = probed(faulty_config, bucket)
    assert results["forbid-overwrite"].details == ()
    assert results["forbid-overwrite"].flag == ("forbid_overwrite", "if-none-match")


def test_no_version_or_delete_marker_is_left_in_a_bucket_with_versions(ceph_store: S3Store) -> None:
    bucket = ceph_store.new_bucket()
    s3 = boto3.client(
        "s3",
        endpoint_url=ceph_store.endpoint_url,
        region_name=ceph_store.region,
        aws_access_key_id=ceph_store.access_key,
        aws_secret_access_key=ceph_store.secret_key,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    results = probed(config_of(ceph_store, provider="ceph"), bucket)
    assert results["complete"].verdict is Verdict.OK
    # One such bucket determines nothing about the store's others.
    assert results["forbid-overwrite"].flag is None
    assert results["forbid-overwrite"].details == (Problem(FindingCode.BUCKET_KEEPS_VERSIONS),)
    left = s3.list_object_versions(Bucket=bucket)
    assert [each["Key"] for each in (*left.get("Versions", []), *left.get("DeleteMarkers", []))] == []
