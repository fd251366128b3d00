"""Resuming with the plain form, without JavaScript: the whole file is sent again, and what has arrived is kept."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from tests.dashboard.pages import Page
from tests.grants import make_operator
from uploads.models import Store, Transfer
from uploads.services.transfers.start import offset_of

NEW = "/transfers/new/"
PART = 5 * 1024**2
SIZE = 2 * PART + 1000
ARRIVED = PART + 300_000
BOUNDARY = "b"


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> None:
    settings.STAGING_DIR = tmp_path / "staging"


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def token(operator_client: Client) -> str:
    operator_client.get(NEW)
    return operator_client.cookies["partway_csrf"].value


@pytest.fixture
def begun(operator_client: Client, store: Store, bucket: str, content: bytes, token: str) -> Transfer:
    """A transfer of three parts, of which the first part and some bytes of the second have arrived by tus."""
    fields = {"store": store.name, "bucket": bucket, "key": "a/key", "part-size": str(PART), "fingerprint": "f"}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    headers = {"Tus-Resumable": "1.0.0", "X-CSRFToken": token, "Upload-Length": str(SIZE), "Upload-Metadata": metadata}
    kind = "application/offset+octet-stream"
    response = operator_client.generic("POST", "/files/", content[:ARRIVED], kind, headers=headers)
    assert response.status_code == 201
    transfer = Transfer.objects.get()
    assert offset_of(transfer) == ARRIVED
    return transfer


def send(client: Client, token: str, transfer: Transfer, content: bytes) -> Page:
    fields = {"csrfmiddlewaretoken": token, "resume": str(transfer.pk)}
    head = "".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Page(client.generic("POST", NEW, body, f"multipart/form-data; boundary={BOUNDARY}"))


def staged(transfer: Transfer) -> bytes:
    return b"".join(part.staged_path.read_bytes() for part in transfer.parts.order_by("number"))


def test_page_offers_to_resume_without_scripts(operator_client: Client, begun: Transfer, bucket: str) -> None:
    text = Page(operator_client.get(NEW, {"resume": str(begun.pk)})).text
    assert f'<input type="hidden" name="resume" value="{begun.pk}">' in text
    assert f'value="{bucket}"' in text
    assert 'value="a/key"' in text
    assert "compared with what has arrived" in text


def test_rest_is_kept_and_the_file_is_complete(
    operator_client: Client, begun: Transfer, content: bytes, token: str
) -> None:
    first = begun.parts.get(number=1)
    page = send(operator_client, token, begun, content)
    assert page.status == 303
    assert Transfer.objects.get().all_received
    assert staged(begun) == content
    assert begun.parts.get(number=1).pk == first.pk


@pytest.mark.parametrize("place", [0, PART - 1, ARRIVED - 1])
def test_another_file_changes_nothing(
    place: int, operator_client: Client, begun: Transfer, content: bytes, token: str
) -> None:
    other = bytearray(content)
    other[place] ^= 1
    page = send(operator_client, token, begun, bytes(other))
    assert page.status == 409
    assert "has other bytes" in page.text
    assert f'name="resume" value="{begun.pk}"' in page.text
    begun.refresh_from_db()
    assert begun.finished_at is None
    assert begun.desired_state == "run"
    assert offset_of(begun) == ARRIVED
    # The right file still resumes it.
    assert send(operator_client, token, begun, content).status == 303
    assert staged(begun) == content


def test_file_of_another_size_is_refused(operator_client: Client, begun: Transfer, content: bytes, token: str) -> None:
    page = send(operator_client, token, begun, content + b"x")
    assert page.status == 409
    assert "it is another file" in page.text
    assert offset_of(begun) == ARRIVED


def test_digest_that_only_a_script_computes(
    operator_client: Client, begun: Transfer, content: bytes, token: str
) -> None:
    Transfer.objects.update(verify_sha256=True)
    page = send(operator_client, token, begun, content)
    assert page.status == 409
    assert "only a browser with JavaScript" in page.text


def test_transfer_of_somebody_else_is_not_found(
    operator_client: Client, begun: Transfer, content: bytes, token: str
) -> None:
    stranger: User = make_operator("eve")
    Transfer.objects.update(owner=stranger)
    assert send(operator_client, token, begun, content).status == 404
    assert 'name="resume"' not in Page(operator_client.get(NEW, {"resume": str(begun.pk)})).text
    assert 'name="resume"' not in Page(operator_client.get(NEW, {"resume": "nonsense"})).text
