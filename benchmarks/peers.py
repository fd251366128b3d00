"""The clients that Partway is compared with. `make bench` installs them into an environment of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.usage import Usage, of_command
from local.installation import PROJECT

PROGRAMS = PROJECT / ".venv" / "bench" / "bin"
SDK_UPLOAD = Path(__file__).with_name("sdk_upload.py")

CONNECTIONS = 10
"""The AWS CLI, boto3 and the page of Partway send so many requests at once."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send to: a bucket of a store, and its keys."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str
    bucket: str


Command = Callable[[Target, Path, str], list[str]]
"""The arguments that send a file, or the files of a folder, to a key or a prefix that ends with a slash."""


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    command: Command
    environment: Callable[[Target], Mapping[str, str]]
    is_python: bool = False

    def send(self, target: Target, path: Path, key: str) -> Usage:
        """Send a file, or a folder to a prefix. Raises AssertionError if the program fails."""
        argv = self.command(target, path, key)
        return of_command([str(PROGRAMS / argv[0]), *argv[1:]], self.environment(target))


def _keys(target: Target) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": target.access_key,
        "AWS_SECRET_ACCESS_KEY": target.secret_key,
        "AWS_DEFAULT_REGION": target.region,
        "AWS_REGION": target.region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _aws(target: Target, path: Path, key: str) -> list[str]:
    options = ["--quiet", *(["--recursive"] if path.is_dir() else [])]
    place = f"s3://{target.bucket}/{key}"
    return ["aws", "--endpoint-url", target.endpoint, "s3", "cp", *options, str(path), place]


def _sdk(library: str) -> Command:
    def command(target: Target, path: Path, key: str) -> list[str]:
        return ["python", str(SDK_UPLOAD), library, target.endpoint, target.region, target.bucket, str(path), key]

    return command


def _rclone(target: Target, path: Path, key: str) -> list[str]:
    place = f":s3:{target.bucket}/{key}"
    flags = ["--config", "/dev/null", "--s3-no-check-bucket", "--transfers", str(CONNECTIONS)]
    return ["rclone", *flags, "copy" if path.is_dir() else "copyto", str(path), place]


def _rclone_environment(target: Target) -> dict[str, str]:
    options = {"PROVIDER": "Other", "ENDPOINT": target.endpoint, "REGION": target.region}
    options |= {"ACCESS_KEY_ID": target.access_key, "SECRET_ACCESS_KEY": target.secret_key}
    return {f"RCLONE_S3_{name}": value for name, value in options.items()}


def _s5cmd(target: Target, path: Path, key: str) -> list[str]:
    source = f"{path}/" if path.is_dir() else str(path)
    return ["s5cmd", "--endpoint-url", target.endpoint, "--log", "error", "cp", source, f"s3://{target.bucket}/{key}"]


AWS = Peer("aws s3 cp", _aws, _keys, is_python=True)
BOTO3 = Peer("boto3", _sdk("boto3"), _keys, is_python=True)
BOTO3_CRT = Peer("boto3 with CRT", _sdk("crt"), _keys, is_python=True)
MINIO = Peer("minio-py, no MD5", _sdk("minio"), _keys, is_python=True)
RCLONE = Peer("rclone", _rclone, _rclone_environment)
S5CMD = Peer("s5cmd", _s5cmd, _keys)

PEERS = (AWS, BOTO3, BOTO3_CRT, MINIO, RCLONE, S5CMD)
