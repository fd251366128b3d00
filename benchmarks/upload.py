"""1 GiB through the browser's form until the transfer is done, compared with boto3 and the AWS CLI."""

from __future__ import annotations

from pathlib import Path

from boto3.s3.transfer import TransferConfig

from benchmarks import aws, rounds
from benchmarks.files import write_random
from tests.system.sending import SlowForm
from tests.system.stack import MIB, Operator, Stack

SIZE = 1024 * MIB
ROUNDS = 3
BOTO3_PART = 8 * MIB
"""boto3's default. Partway chooses its part size automatically."""


def run(stack: Stack, scratch: Path) -> bool:
    file = scratch / "file"
    write_random(file, SIZE)
    bucket = stack.new_bucket()
    with stack.signed_in() as operator:
        parts: set[int] = set()

        def through_partway(number: int) -> None:
            transfer_id = send(stack, operator, bucket, f"partway-{number}", file)
            transfer = operator.wait_for_state(transfer_id, "done", "failed", seconds=600)
            assert transfer["state"] == "done", transfer["error"]
            parts.add(transfer["parts"]["count"])

        def by_boto3(number: int) -> None:
            config = TransferConfig(multipart_threshold=BOTO3_PART, multipart_chunksize=BOTO3_PART)
            stack.s3.upload_file(str(file), bucket, f"boto3-{number}", Config=config)

        def by_aws_cli(number: int) -> None:
            store = stack.swift
            aws.s3_cp(
                file,
                f"s3://{bucket}/aws-{number}",
                endpoint=store.endpoint_url,
                region=store.region,
                access_key=store.access_key,
                secret_key=store.secret_key,
            )

        def clean(number: int) -> None:
            for name in ("partway", "boto3", "aws"):
                stack.s3.delete_object(Bucket=bucket, Key=f"{name}-{number}")

        candidates = {"boto3 upload_file": by_boto3, "aws s3 cp": by_aws_cli, "Partway": through_partway}
        seconds = rounds.measure(candidates, ROUNDS, after=clean)
    rounds.show(seconds, "boto3 upload_file", amount=SIZE / MIB, unit="MiB")
    print(
        f"Partway sent {parts.pop()} parts. It sends each byte over HTTP twice, and stages it on the disk in between."
    )
    return True


def send(stack: Stack, operator: Operator, bucket: str, key: str, file: Path, **fields: object) -> str:
    """Send a file through the form in blocks, as a browser does. Returns the transfer's id."""
    form = {"store": stack.store, "bucket": bucket, "key": key, **fields}
    with SlowForm(operator, form, file.stat().st_size) as sending, file.open("rb") as body:
        return sending.send_file(body)
