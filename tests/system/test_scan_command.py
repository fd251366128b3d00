"""`manage.py scan` while a scanner runs: what it prints, and its exit codes."""

from __future__ import annotations

import re
from pathlib import Path

from tests.stores.naming import new_bucket_name
from tests.system.stack import Stack


def test_scan_waits_and_says_what_it_found(stack: Stack, tmp_path: Path) -> None:
    bucket = stack.new_bucket()
    stack.create_upload(bucket, "with/parts", {1: 5 * 1024**2, 2: 9}, tmp_path / "scratch")
    stack.s3.create_multipart_upload(Bucket=bucket, Key="empty")
    output = stack.manage("scan", "--store", stack.store, "--bucket", bucket, "--wait")
    assert "2 uploads in progress in 1 buckets, 2 listed by this scan" in output
    assert "known of 2 of 2 uploads" in output
    output = stack.manage("scan", "--store", stack.store, "--bucket", bucket, "--prefix", "with/", "--wait")
    assert "1 listed by this scan" in output


def test_scan_exits_with_1_if_something_could_not_be_checked(stack: Stack) -> None:
    bucket = new_bucket_name()
    output = stack.manage("scan", "--store", stack.store, "--bucket", bucket, "--wait", status=1)
    assert f"{stack.store}/{bucket}: could not be checked (NoSuchBucket" in output


def test_scan_without_wait_ends_at_once(stack: Stack) -> None:
    """Also with a bucket that does not exist: nothing is known of it yet."""
    output = stack.manage("scan", "--store", stack.store, "--bucket", new_bucket_name())
    assert re.fullmatch(rf"{stack.store}: scan [0-9a-f-]{{36}}\n", output)


def test_scan_of_nothing_is_refused(stack: Stack) -> None:
    assert "There is no store" in stack.manage("scan", "--store", "nowhere", status=1)
    assert "--bucket needs --store" in stack.manage("scan", "--bucket", "b", status=1)
    assert "--prefix needs --bucket" in stack.manage("scan", "--store", stack.store, "--prefix", "p", status=1)
