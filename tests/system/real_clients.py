"""Programs of others that send a file in parts: rclone, the AWS CLI, s3cmd, boto3 and minio-py.

Each sends parts of 5 MiB one after the other, and tries once. They are started as an operator starts them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.stores import processes

BIN = Path(sys.prefix) / "bin"
PART_MIB = 5
PART = PART_MIB * 1024**2


@dataclass(frozen=True, slots=True)
class Job:
    """A file to send. `host` is `name:port` of a store that is addressed by path."""

    host: str
    region: str
    access_key: str
    secret_key: str
    bucket: str
    key: str
    file: str
    folder: str
    """A folder for the client's configuration and its log."""

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def write(self, name: str, text: str) -> str:
        """Write a file of the client's configuration. Returns its path."""
        path = Path(self.folder) / name
        path.write_text(text)
        return str(path)


@dataclass(frozen=True, slots=True)
class Command:
    argv: list[str]
    env: Mapping[str, str]


def rclone(job: Job) -> Command:
    options = {
        "provider": "Other",
        "endpoint": job.url,
        "region": job.region,
        "access-key-id": job.access_key,
        "secret-access-key": job.secret_key,
        "force-path-style": "true",
        "no-check-bucket": "true",
        "chunk-size": f"{PART_MIB}Mi",
        "upload-cutoff": f"{PART_MIB}Mi",
        "upload-concurrency": "1",
    }
    flags = [f"--s3-{name}={value}" for name, value in options.items()]
    once = ["--config=", "--retries=1", "--low-level-retries=1"]
    return Command([str(BIN / "rclone"), "copyto", *once, *flags, job.file, f":s3:{job.bucket}/{job.key}"], {})


def aws_cli(job: Job) -> Command:
    s3 = f"multipart_threshold = {PART_MIB}MB\n  multipart_chunksize = {PART_MIB}MB\n  max_concurrent_requests = 1"
    config = f"[default]\nregion = {job.region}\ns3 =\n  addressing_style = path\n  {s3}\n"
    env = {
        "AWS_CONFIG_FILE": job.write("aws-config", config),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ACCESS_KEY_ID": job.access_key,
        "AWS_SECRET_ACCESS_KEY": job.secret_key,
        "AWS_MAX_ATTEMPTS": "1",
    }
    target = f"s3://{job.bucket}/{job.key}"
    return Command([str(BIN / "aws"), "--endpoint-url", job.url, "s3", "cp", job.file, target], env)


def s3cmd(job: Job) -> Command:
    settings = {
        "access_key": job.access_key,
        "secret_key": job.secret_key,
        "host_base": job.host,
        "host_bucket": job.host,
        "bucket_location": job.region,
        "use_https": False,
        "multipart_chunk_size_mb": PART_MIB,
        "max_retries": 1,
    }
    config = job.write("s3cfg", "[default]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    return Command([str(BIN / "s3cmd"), f"--config={config}", "put", job.file, f"s3://{job.bucket}/{job.key}"], {})


def boto3(job: Job) -> Command:
    return _library("boto3", job)


def minio_py(job: Job) -> Command:
    return _library("minio", job)


def _library(name: str, job: Job) -> Command:
    return Command(
        [sys.executable, "-m", "tests.system.send_with", name, job.write("job.json", json.dumps(asdict(job)))], {}
    )


CLIENTS: Mapping[str, Callable[[Job], Command]] = {
    "rclone": rclone,
    "aws-cli": aws_cli,
    "s3cmd": s3cmd,
    "boto3": boto3,
    "minio-py": minio_py,
}


@contextmanager
def sending(client: str, job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """A client that sends the file of the job. It is killed if it is still running at the end of the block."""
    command = CLIENTS[client](job)
    env = {**command.env, "PYTHONPATH": str(Path(__file__).parents[2]), "NO_PROXY": "*", "HOME": job.folder}
    process = processes.start(command.argv, Path(job.folder) / f"{client}.log", env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
