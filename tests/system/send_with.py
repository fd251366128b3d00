"""`python -m tests.system.send_with boto3|minio JOB`: send a file in parts with a library, one part after the other."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.system.real_clients import PART, Job


def send_with_boto3(job: Job) -> None:
    import boto3
    from boto3.s3.transfer import TransferConfig
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=job.url,
        region_name=job.region,
        aws_access_key_id=job.access_key,
        aws_secret_access_key=job.secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
    client.upload_file(job.file, job.bucket, job.key, Config=config)


def send_with_minio(job: Job) -> None:
    import minio
    import urllib3

    client = minio.Minio(
        endpoint=job.host,
        access_key=job.access_key,
        secret_key=job.secret_key,
        region=job.region,
        secure=False,
        http_client=urllib3.PoolManager(retries=False),
    )
    client.fput_object(
        bucket_name=job.bucket, object_name=job.key, file_path=job.file, part_size=PART, num_parallel_uploads=1
    )


if __name__ == "__main__":
    library, path = sys.argv[1:]
    {"boto3": send_with_boto3, "minio": send_with_minio}[library](Job(**json.loads(Path(path).read_text())))
