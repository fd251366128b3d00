"""Runs the AWS CLI, to compare with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def s3_cp(
    file: Path, target: str, *, endpoint: str, region: str, access_key: str, secret_key: str, recursive: bool = False
) -> None:
    """Run `aws s3 cp` with a file, or a folder, and a target `s3://bucket/key`."""
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "AWS_EC2_METADATA_DISABLED": "true"}
    argv = [sys.executable, "-m", "awscli", "--endpoint-url", endpoint, "--region", region]
    options = ["--quiet", *(["--recursive"] if recursive else [])]
    subprocess.run([*argv, "s3", "cp", *options, str(file), target], env={**os.environ, **keys}, check=True)
