"""A page of 1,000 uploads: the store's response alone, our client, boto3, and the whole HTML page."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from requests_aws4auth import AWS4Auth

from benchmarks import rounds
from tests.system.stack import Stack

UPLOADS = 1000
ROUNDS = 5


def run(stack: Stack, _scratch: Path) -> bool:
    bucket = stack.new_bucket()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: stack.client.create_multipart_upload(bucket, f"folder/key {n:04}"), range(UPLOADS)))
    auth = AWS4Auth(stack.swift.access_key, stack.swift.secret_key, stack.swift.region, "s3")
    with requests.Session() as session, stack.signed_in() as operator:
        session.trust_env = False

        def bare_request(_: int) -> None:
            url = f"{stack.swift.endpoint_url}/{bucket}?uploads=&max-uploads={UPLOADS}"
            assert session.get(url, auth=auth).content.count(b"<UploadId>") == UPLOADS

        def our_client(_: int) -> None:
            assert len(stack.client.list_multipart_uploads(bucket, max_uploads=UPLOADS).uploads) == UPLOADS

        def by_boto3(_: int) -> None:
            assert len(stack.s3.list_multipart_uploads(Bucket=bucket, MaxUploads=UPLOADS)["Uploads"]) == UPLOADS

        def our_page(_: int) -> None:
            url = f"{stack.url}/stores/{stack.store}/{bucket}/uploads/?max-uploads={UPLOADS}"
            assert operator.session.get(url).text.count('name="upload"') == UPLOADS

        candidates = {
            "store alone": bare_request,
            "our client": our_client,
            "boto3": by_boto3,
            "our HTML page": our_page,
        }
        rounds.show(rounds.measure(candidates, ROUNDS), "store alone")
    return True
