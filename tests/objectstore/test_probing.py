"""What a probe makes of stores that are worse than those at hand: a proxy lies about a real one, or answers itself."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.dashboard.lying import (
    Asked,
    LyingStore,
    Told,
    by_key,
    in_order_of,
    like_minio,
    lying,
    truncated_and_empty,
    without_upload_id_marker,
)
from tests.objectstore.fault_server import FaultServer, answer, error
from tests.objectstore.test_faults import certificate
from tests.stores.s3 import S3Store
from tests.stores.swift import SwiftStore
from uploads.objectstore.checksums import Algorithm, Crc64
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.probing.created import CreatedThings
from uploads.objectstore.probing.permissions import DATA
from uploads.objectstore.probing.requester import ProbeBudget, Requester
from uploads.objectstore.probing.results import CheckResult, Verdict, overruling
from uploads.objectstore.probing.running import probe_store
from uploads.objectstore.providers import get_provider
from uploads.objectstore.types import Credentials, MultipartUpload, StoreConfig

Results = dict[str, CheckResult]


def config_of(store: SwiftStore | S3Store, url: str = "", **changes: Any) -> StoreConfig:
    credentials = Credentials(store.access_key, store.secret_key)
    return StoreConfig(url or store.endpoint_url, store.region, credentials, **changes)


def probed(config: StoreConfig, bucket: str, created: CreatedThings | None = None) -> Results:
    """Every check by its name; what was made is removed."""
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


@pytest.fixture
def bucket(swift_store: SwiftStore) -> str:
    return swift_store.new_bucket()


@pytest.fixture
def behind(swift_store: SwiftStore) -> Iterator[ObjectStoreClient]:
    with ObjectStoreClient(config_of(swift_store, provider="swift")) as client:
        yield client


@pytest.fixture
def liar(swift_store: SwiftStore, behind: ObjectStoreClient) -> Iterator[LyingStore]:
    with lying(behind, swift_store.endpoint_url) as running:
        yield running


@pytest.fixture
def lied(swift_store: SwiftStore, liar: LyingStore) -> StoreConfig:
    return config_of(swift_store, liar.url)


def crc64_of(algorithm: Algorithm, data: bytes) -> int:
    made = Crc64(algorithm)
    made.update(data)
    return made.value


def found(results: Results) -> dict[str, object]:
    return overruling(results.values(), get_provider("generic"), {})


def test_a_listing_by_whole_keys_only(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    liar.way = like_minio
    results = probed(lied, bucket)
    assert found(results)["exact_prefix"] is True
    assert results["prefix"].verdict is Verdict.DIFFERS
    for name in ("order", "key-marker", "both-markers", "next-of-two", "delimiter", "encoding"):
        assert results[name].verdict is Verdict.NOT_TRIED
        assert "does not hold the uploads" in results[name].said
    # What needs no listing goes on: keys are looked for as objects.
    assert verdicts(results, "key-dots", "replace", "complete") == {"key-dots": "ok", "replace": "ok", "complete": "ok"}
    assert results["ended"].flag == ("keeps_ended", False)


def test_a_listing_that_keeps_what_has_ended(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    created = CreatedThings(f".partway-check-{secrets.token_hex(4)}/")
    created.changed = lambda: liar.kept.extend(
        each
        for each in (MultipartUpload(key, upload_id, None) for key, upload_id in created.uploads if upload_id)
        if each not in liar.kept and each.key.endswith(("/upload", "/object"))
    )
    results = probed(lied, bucket, created)
    assert results["ended"].verdict is Verdict.DIFFERS
    assert found(results)["keeps_ended"] is True


def test_a_listing_in_no_order(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    def backwards(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
        told = by_key(uploads, asked)
        return Told(told.uploads[::-1], (), told.is_truncated, told.key_marker, told.upload_id_marker)

    liar.way = backwards
    results = probed(lied, bucket)
    assert found(results)["order"] == "none"
    assert results["key-marker"].verdict is Verdict.NOT_TRIED


def test_a_listing_by_the_time_begun_passes_for_no_order(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    created = CreatedThings(f".partway-check-{secrets.token_hex(4)}/")
    # Not by Initiated: in Swift that is whole seconds.
    liar.way = lambda uploads, asked: in_order_of([upload_id for _, upload_id in created.uploads], uploads, asked)
    results = probed(lied, bucket, created)
    assert results["prefix"].verdict is Verdict.OK
    assert found(results)["order"] == "none"


def test_next_markers_without_an_upload_id(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    liar.way = without_upload_id_marker
    results = probed(lied, bucket)
    assert results["next-of-two"].verdict is Verdict.DIFFERS
    assert "the row's own id serves" in results["next-of-two"].advice.lower()


def test_markers_that_are_ignored(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    def first_page(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
        return by_key(uploads, Asked(asked.prefix, "", asked.max_uploads, "", ""))

    liar.way = first_page
    results = probed(lied, bucket)
    assert verdicts(results, "key-marker", "next-of-two", "next-of-one") == {
        "key-marker": "failed",
        "next-of-two": "failed",
        "next-of-one": "failed",
    }
    assert "the same uploads come again" in results["next-of-two"].said
    assert results["both-markers"].verdict is Verdict.DIFFERS


def test_a_page_size_that_is_ignored(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    def everything(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
        return by_key(uploads, Asked(asked.prefix, "", 1000, asked.key_marker, asked.upload_id_marker))

    liar.way = everything
    results = probed(lied, bucket)
    assert results["max-uploads"].verdict is Verdict.DIFFERS
    assert found(results)["url_encoding"] == "none"
    assert verdicts(results, "next-of-two", "next-of-one") == {"next-of-two": "not-tried", "next-of-one": "not-tried"}


def test_a_page_that_says_it_is_all_and_is_not(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    liar.way = lambda uploads, asked: Told(by_key(uploads, asked).uploads)
    results = probed(lied, bucket)
    assert results["next-of-two"].verdict is Verdict.FAILED


def test_a_delimiter_that_is_ignored(lied: StoreConfig, bucket: str) -> None:
    results = probed(lied, bucket)
    assert found(results)["delimiter"] == "broken"


def test_truncated_pages_that_name_no_markers(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    def unmarked(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
        told = by_key(uploads, asked)
        return Told(told.uploads, is_truncated=told.is_truncated)

    liar.way = unmarked
    results = probed(lied, bucket)
    assert found(results)["empty_markers"] is True
    assert verdicts(results, "next-of-two", "next-of-one") == {"next-of-two": "differs", "next-of-one": "differs"}


def test_a_listing_that_shows_nothing(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    liar.way = truncated_and_empty
    # Cleaning up cannot rely on it either: what was begun is written down.
    results = probed(lied, bucket)
    assert results["prefix"].verdict is Verdict.FAILED
    assert "0 are listed" in results["prefix"].said
    assert results["key-plus"].verdict is Verdict.OK


def test_an_upload_that_is_listed_under_another_key(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    def tidied(uploads: Sequence[MultipartUpload], asked: Asked) -> Told:
        moved = [MultipartUpload(each.key.replace("//", "/"), each.upload_id, None) for each in uploads]
        return by_key(moved, asked)

    liar.way = tidied
    results = probed(lied, bucket)
    assert results["key-slashes"].verdict is Verdict.FAILED
    assert "under another one" in results["key-slashes"].said
    assert results["key-dots"].verdict is Verdict.OK


# --- Digests ----------------------------------------------------------------------------------------------------------


def test_a_content_md5_that_is_not_looked_at(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    liar.deaf = True
    results = probed(lied, bucket)
    for name in ("md5-part", "md5-object"):
        assert results[name].verdict is Verdict.DIFFERS
        assert "noticed by the ETag" in results[name].advice


def test_a_content_md5_that_is_not_looked_at_where_etags_are_no_md5s(
    lied: StoreConfig, liar: LyingStore, bucket: str
) -> None:
    liar.deaf = True
    liar.headers = {"PUT": {"etag": '"an-etag"'}}
    results = probed(lied, bucket)
    assert (results["part-etag"].verdict, results["part-etag"].flag) == (Verdict.DIFFERS, ("etag_is_md5", False))
    assert verdicts(results, "md5-part", "md5-object") == {"md5-part": "failed", "md5-object": "failed"}
    assert "not noticed" in results["md5-part"].advice


def test_an_etag_of_a_completed_upload_that_is_none(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    liar.headers = {"HEAD": {"etag": '"an-etag"'}}
    results = probed(lied, bucket)
    assert results["part-etag"].verdict is Verdict.OK
    assert results["completed-etag"].flag == ("joined_etag", False)
    assert results["completed-etag"].verdict is Verdict.DIFFERS
    assert results["head-etag"].verdict is Verdict.FAILED
    assert "different ETags" in results["head-etag"].said


def test_an_encrypted_bucket_decides_nothing_about_etags(lied: StoreConfig, liar: LyingStore, bucket: str) -> None:
    liar.headers = {"PUT": {"x-amz-server-side-encryption": "aws:kms"}}
    results = probed(lied, bucket)
    for name in ("part-etag", "completed-etag"):
        assert (results[name].verdict, results[name].flag) == (Verdict.DIFFERS, None)


@pytest.mark.parametrize(
    ("value", "verdict", "words"),
    [(1, Verdict.FAILED, "not that of the bytes"), (crc64_of("ecma", DATA), Verdict.DIFFERS, "CRC-64/ECMA, not")],
)
def test_a_crc64_that_is_wrong_or_of_another_polynomial(
    lied: StoreConfig, liar: LyingStore, bucket: str, value: int, verdict: Verdict, words: str
) -> None:
    liar.headers = {"PUT": {"x-oss-hash-crc64ecma": str(value)}}
    results = probed(lied, bucket)
    assert results["crc64"].verdict is verdict
    assert words in results["crc64"].said


# --- Stores that answer by a script -----------------------------------------------------------------------------------

BUCKETS = b"<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>"


def scripted(server: FaultServer, **changes: Any) -> Results:
    config = StoreConfig(server.url, "us-east-1", Credentials("AK", "SECRET"), **changes)
    with Requester(config, "bucket", CreatedThings(".scratch/"), budget=ProbeBudget()) as requester:
        return {result.name: result for result in probe_store(requester, lambda *_: None)}


def test_an_api_without_the_operation() -> None:
    denied = [error(403, "AccessDenied")] * 20
    with FaultServer(answer(200, BUCKETS), error(501, "NotImplemented"), *denied) as server:
        results = scripted(server)
    assert results["list-uploads"].verdict is Verdict.FAILED
    assert results["list-uploads"].flag == ("lists_uploads", False)
    assert (results["list-uploads"].code, results["list-uploads"].request_id) == ("NotImplemented", "r-1")
    assert results["bucket"].verdict is Verdict.OK
    assert results["create"].verdict is Verdict.DENIED
    assert found(results) == {"lists_uploads": False}


def test_a_connection_that_is_encrypted(tmp_path: Path) -> None:
    path, context = certificate(tmp_path)
    with FaultServer(*[error(403, "AccessDenied")] * 20, tls=context) as server:
        results = scripted(server, ca_bundle=str(path))
        assert results["tls"].verdict is Verdict.OK
        unknown = scripted(server)
    assert unknown["reach"].verdict is Verdict.FAILED
    assert "TLS" in unknown["reach"].said
    assert "CA bundle" in unknown["reach"].advice
    assert {result.verdict for name, result in unknown.items() if name != "reach"} == {Verdict.NOT_TRIED}


def test_a_web_page_instead_of_a_store() -> None:
    with FaultServer(*[answer(200, b"<!doctype html><title>Welcome</title>")] * 20) as server:
        results = scripted(server)
    assert results["reach"].verdict is Verdict.FAILED
    assert "not its web console" in results["reach"].advice


def test_a_bucket_in_another_region_and_another_addressing() -> None:
    moved = b"<Error><Code>PermanentRedirect</Code><Message>Elsewhere.</Message><Region>eu-x</Region></Error>"
    with FaultServer(answer(200, BUCKETS), *[answer(301, moved)] * 20) as server:
        results = scripted(server)
    assert results["bucket"].verdict is Verdict.FAILED
    assert "eu-x" in results["bucket"].said
    with FaultServer(answer(200, BUCKETS), *[error(403, "SecondLevelDomainForbidden")] * 20) as server:
        results = scripted(server)
    assert results["bucket"].advice == "Set the store's addressing to virtual-hosted."


# --- Versions ---------------------------------------------------------------------------------------------------------


def test_no_version_and_no_marker_is_left_in_a_bucket_that_keeps_versions(ceph_store: S3Store) -> None:
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
    # One such bucket does not decide for all of the store's.
    assert results["forbid-overwrite"].flag is None
    assert "keeps versions" in results["forbid-overwrite"].said
    left = s3.list_object_versions(Bucket=bucket)
    assert [each["Key"] for each in (*left.get("Versions", []), *left.get("DeleteMarkers", []))] == []
