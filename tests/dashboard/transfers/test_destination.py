"""A destination that the store refuses, in each way of starting a transfer: no file is sent, and the code is shown."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.test.client import MULTIPART_CONTENT
from pytest_django import Settings

from tests.dashboard.pages import Site
from uploads.models import Store, Transfer
from uploads.services.transfers import destination

NEW = "/transfers/new/"


@pytest.fixture(autouse=True)
def nothing_remembered(settings: Settings, tmp_path: Path) -> None:
    settings.STAGING_DIR = tmp_path / "staging"
    destination._accepted.clear()


@pytest.fixture
def wrong(store: Store) -> Store:
    """The store with a secret that is not its own."""
    store.secret_key = "wrong"
    store.save()
    return store


def check_refused(body: dict[str, Any]) -> None:
    assert body["error"]["code"] == "SignatureDoesNotMatch"
    assert body["error"]["request_id"]
    assert body["error"]["request_id"] in body["error"]["message"]
    assert "no file was sent" in body["fields"][""]
    assert body["fields"]["store"] == "The store does not accept the credentials."
    assert not Transfer.objects.exists()


def test_tus(operator_client: Client, wrong: Store, bucket: str) -> None:
    operator_client.get("/stores/")
    fields = {"store": wrong.name, "bucket": bucket, "key": "k"}
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
    headers = {"Tus-Resumable": "1.0.0", "X-CSRFToken": operator_client.cookies["partway_csrf"].value}
    headers |= {"Upload-Length": "10", "Upload-Metadata": metadata}
    response = operator_client.generic("POST", "/files/", b"", "", headers=headers)
    assert response.status_code == 403
    check_refused(response.json())


def test_check_before_sending(site: Site, wrong: Store, bucket: str) -> None:
    page = site.post(f"{NEW}check/", {"store": wrong.name, "bucket": bucket, "key": "a/k", "size": "5"})
    assert page.status == 403
    check_refused(page.json)


def test_check_of_a_missing_bucket_is_an_error_of_its_field(site: Site, store: Store) -> None:
    page = site.post(f"{NEW}check/", {"store": store.name, "bucket": "no-such-bucket", "key": "a/k", "size": "5"})
    assert page.status == 400
    assert page.json["error"]["code"] == "NoSuchBucket"
    assert page.json["fields"].keys() == {"", "bucket"}


def form_body(fields: dict[str, str]) -> bytes:
    boundary = MULTIPART_CONTENT.partition("boundary=")[2]
    lines = []
    for name, value in fields.items():
        lines += [f"--{boundary}", f'Content-Disposition: form-data; name="{name}"', "", value]
    lines += [f"--{boundary}", 'Content-Disposition: form-data; name="file"; filename="f"', "", "some bytes"]
    return "\r\n".join([*lines, f"--{boundary}--", ""]).encode()


@pytest.mark.parametrize("as_json", [True, False], ids=["json", "page"])
def test_form(as_json: bool, operator_client: Client, wrong: Store, bucket: str) -> None:
    operator_client.get(NEW)
    token = operator_client.cookies["partway_csrf"].value
    body = form_body({"csrfmiddlewaretoken": token, "store": wrong.name, "bucket": bucket, "key": "k"})
    headers = {"Accept": "application/json"} if as_json else {}
    response = operator_client.generic("POST", NEW, body, MULTIPART_CONTENT, headers=headers)
    assert response.status_code == 403
    if as_json:
        check_refused(response.json())
    else:
        text = response.content.decode()
        assert "SignatureDoesNotMatch" in text
        assert "id_store_error" in text
        assert not Transfer.objects.exists()
