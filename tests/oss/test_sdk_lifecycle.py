"""Lifecycle rules on the OSS test server, with the vendor's client."""

from __future__ import annotations

import alibabacloud_oss_v2 as oss

from tests.oss.vendor import Uploads, refusal


def put(uploads: Uploads, *rules: oss.LifecycleRule, **fields: object) -> None:
    configuration = oss.LifecycleConfiguration(rules=list(rules))
    request = oss.PutBucketLifecycleRequest(bucket=uploads.bucket, lifecycle_configuration=configuration, **fields)
    uploads.client.put_bucket_lifecycle(request)


def rule(name: str, prefix: str = "", days: int = 3) -> oss.LifecycleRule:
    abort = oss.LifecycleRuleAbortMultipartUpload(days=days)
    return oss.LifecycleRule(id=name, prefix=prefix, status="Enabled", abort_multipart_upload=abort)


def test_rules_are_kept_replaced_and_deleted(uploads: Uploads) -> None:
    request = oss.GetBucketLifecycleRequest(bucket=uploads.bucket)
    missing = refusal(lambda: uploads.client.get_bucket_lifecycle(request))
    assert (missing.status_code, missing.code) == (404, "NoSuchLifecycle")
    put(uploads, rule("a", "logs/"))
    put(uploads, rule("b", "tmp/", 5))
    found = uploads.client.get_bucket_lifecycle(request).lifecycle_configuration.rules
    assert [(each.id, each.prefix, each.abort_multipart_upload.days) for each in found] == [("b", "tmp/", 5)]
    uploads.client.delete_bucket_lifecycle(oss.DeleteBucketLifecycleRequest(bucket=uploads.bucket))
    assert refusal(lambda: uploads.client.get_bucket_lifecycle(request)).code == "NoSuchLifecycle"


def test_bad_rules_are_refused(uploads: Uploads) -> None:
    assert refusal(lambda: put(uploads, rule("a", days=0))).code == "MalformedXML"
    overlapping = (rule("a", "logs/"), rule("b", "logs/old/"))
    assert refusal(lambda: put(uploads, *overlapping)).code == "InvalidArgument"
    put(uploads, *overlapping, allow_same_action_overlap="true")
