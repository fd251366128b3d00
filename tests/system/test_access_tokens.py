"""Access tokens against the live server: the examples of docs/users.md, and a token that expires in the middle."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from local import installation
from tests.system.sending import file_blocks
from tests.system.stack import MIB, PATIENCE, Stack, wait_for
from tests.system.tus import PART, content_digest, metadata_header

DOCUMENT = installation.PROJECT / "docs" / "users.md"
SIZE = PART + 12_345

CREATE = """
from django.contrib.auth.models import User
from uploads.domain.roles import TokenScope
from uploads.services.people.tokens import TokenValues, create_token
user = User.objects.get(username={user!r})
print(create_token(user, TokenValues(name={name!r}, scopes=frozenset(TokenScope), days=1))[1])
"""
EXPIRE = """
from django.utils import timezone
from uploads.models import AccessToken
AccessToken.objects.filter(name={name!r}).update(expires_at=timezone.now())
"""


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def new_token(stack: Stack) -> Callable[[str], str]:
    return lambda name: stack.run_python(CREATE.format(user=stack.admin.username, name=name)).strip()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "file.bin"
    with path.open("wb") as written:
        written.writelines(file_blocks(0, SIZE))
    return path


def test_documented_examples_work(stack: Stack, new_token: Callable[[str], str], file: Path) -> None:
    bucket, token = stack.new_bucket(), new_token("documented")
    variables = {"PARTWAY_URL": stack.url, "PARTWAY_TOKEN": token, "STORE": stack.store}
    env = {**os.environ, **variables, "BUCKET": bucket, "FILE": str(file)}

    def run(argv: list[str]) -> str:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    shown = [run(["bash", "-euo", "pipefail", "-c", block]) for block in examples("sh")]
    assert stack.store in shown[0]
    assert "/files/" in shown[2]
    (program,) = examples("python")
    assert "/files/" in run([sys.executable, "-c", program])
    for key in ("by-form.bin", "by-curl.bin", "by-tus.bin"):
        wait_for(key, partial(arrived, stack, bucket, key))
        assert stack.object_digest(bucket, key) == (SIZE, content_digest(SIZE))
    assert token not in stack.log("web") + stack.log("worker") + stack.log("sender")


def arrived(stack: Stack, bucket: str, key: str) -> bool:
    return any(each["Key"] == key for each in stack.s3.list_objects_v2(Bucket=bucket).get("Contents", []))


def test_token_that_expires_in_the_middle_of_a_file(stack: Stack, new_token: Callable[[str], str], file: Path) -> None:
    """The next request is refused, and another token of the same user goes on at the offset."""
    bucket, first = stack.new_bucket(), new_token("first")
    body = file.read_bytes()
    fields = {"store": stack.store, "bucket": bucket, "key": "resumed", "part-size": str(PART)}
    created = send(
        stack, first, "POST", "/files/", **{"Upload-Length": str(SIZE), "Upload-Metadata": metadata_header(fields)}
    )
    assert created.status_code == 201, created.text
    path = created.headers["Location"]
    assert patch(stack, first, path, 0, body[: 2 * MIB]).status_code == 204
    stack.run_python(EXPIRE.format(name="first"))
    refused = patch(stack, first, path, 2 * MIB, body[2 * MIB :])
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "TokenExpired")
    assert "invalid_token" in refused.headers["WWW-Authenticate"]
    second = new_token("second")
    offset = int(send(stack, second, "HEAD", path).headers["Upload-Offset"])
    assert offset == 2 * MIB
    assert patch(stack, second, path, offset, body[offset:]).status_code == 204
    wait_for("the object", lambda: arrived(stack, bucket, "resumed"))
    assert stack.object_digest(bucket, "resumed") == (SIZE, content_digest(SIZE))


def send(stack: Stack, token: str, method: str, path: str, data: Any = None, **headers: str) -> requests.Response:
    sent = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0", **headers}
    return requests.request(method, stack.url + path, data=data, headers=sent, timeout=PATIENCE)


def patch(stack: Stack, token: str, path: str, offset: int, body: bytes) -> requests.Response:
    headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
    return send(stack, token, "PATCH", path, body, **headers)
