"""A site below a path behind TLS, with nginx as docs/deployment.md configures it: pages, forms, tus and monitoring."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import requests
from tusclient.client import TusClient

from tests.proxies import SUB_PATH, BehindTls
from tests.system.sending import file_blocks
from tests.system.stack import MIB, Operator
from tests.system.tus import PART, content_digest, metadata_header, transfer_id

SIZE = PART + 2 * MIB + 345


@pytest.fixture(params=["kept", "removed"])
def below(request: pytest.FixtureRequest, behind_tls: BehindTls) -> str:
    """The URL of the site behind an nginx that keeps the path, and behind one that removes it."""
    return behind_tls.url if request.param == "kept" else behind_tls.removing_url


@pytest.fixture
def operator(behind_tls: BehindTls, below: str) -> Iterator[Operator]:
    with behind_tls.signed_in(below) as operator:
        yield operator


# --- URLs -------------------------------------------------------------------------------------------------------------


class Addresses(HTMLParser):
    """Collects the paths in a page: in links, forms, scripts, attributes of htmx, and data of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.all: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and value.startswith("/") and name != "value":
                self.all.append(value)
                if (tag, name) == ("a", "href"):
                    self.links.append(value)


def test_every_path_in_every_page_is_below_the_sub_path(behind_tls: BehindTls, operator: Operator) -> None:
    """Each page that a link leads to is read once, and each style sheet and script is loaded."""
    stack = behind_tls.stack
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(operator.url))
    left = [
        f"{SUB_PATH}/",
        f"{SUB_PATH}/transfers/new/",
        f"{SUB_PATH}/stores/{stack.store}/{stack.new_bucket()}/uploads/",
    ]
    other_store = re.compile(rf"{SUB_PATH}/stores/(?!{re.escape(stack.store)}/|new/).")
    seen: set[str] = set()
    while left and len(seen) < 60:
        path = left.pop(0)
        seen.add(path)
        response = operator.session.get(origin + path)
        assert response.status_code in (200, 400, 403, 404), (path, response.status_code)
        assert urlsplit(response.url).path.startswith(f"{SUB_PATH}/")
        if "text/html" not in response.headers["Content-Type"]:
            continue
        addresses = Addresses(response.text)
        assert [each for each in addresses.all if not each.startswith(f"{SUB_PATH}/")] == [], path
        files = [each for each in addresses.all if each.startswith((f"{SUB_PATH}/static/", f"{SUB_PATH}/catalog/"))]
        # Stores of other tests may be unreachable.
        links = [each for each in addresses.links if not other_store.match(each)]
        fresh = [each.partition("#")[0] for each in links + files]
        # One page of each view is enough.
        kinds = {re.sub(r"[0-9a-f-]{36}|\?.*", "", each) for each in seen | set(left)}
        for each in dict.fromkeys(fresh):
            if re.sub(r"[0-9a-f-]{36}|\?.*", "", each) not in kinds:
                left.append(each)
    assert len(seen) > 20


def test_script_catalog_and_style_sheets_are_cacheable_static_files(operator: Operator) -> None:
    page = Addresses(operator.session.get(f"{operator.url}/login/").text)
    style = next(each for each in page.all if each.endswith(".css"))
    response = operator.session.get(urljoin(operator.url, style))
    assert response.ok
    assert "immutable" in response.headers["Cache-Control"]


def test_page_that_needs_a_login_leads_back_to_itself(behind_tls: BehindTls, below: str) -> None:
    with requests.Session() as session:
        session.trust_env, session.verify = False, str(behind_tls.certificate)
        response = session.get(f"{below}/audit/?actor=admin", allow_redirects=False)
        login = response.headers["Location"]
        assert login == f"{SUB_PATH}/login/?next={SUB_PATH}/audit/%3Factor%3Dadmin"
        session.get(urljoin(below, login))
        token = next(value for name, value in session.cookies.items() if "csrf" in name.lower())
        admin = behind_tls.stack.admin
        form = {"username": admin.username, "password": admin.password, "csrfmiddlewaretoken": token}
        signed_in = session.post(
            f"{below}/login/",
            data={**form, "next": f"{SUB_PATH}/audit/?actor=admin"},
            headers={"Referer": below},
            allow_redirects=False,
        )
        assert (signed_in.status_code, signed_in.headers["Location"]) == (302, f"{SUB_PATH}/audit/?actor=admin")
        elsewhere = session.get(f"{below}/login/", params={"next": "https://evil.example/"}, allow_redirects=False)
        assert elsewhere.headers["Location"] == f"{SUB_PATH}/"


def test_cookies_are_of_this_site_only(operator: Operator) -> None:
    assert {(cookie.path, cookie.secure) for cookie in operator.session.cookies} == {(f"{SUB_PATH}/", True)}


def test_path_without_its_slash_leads_to_the_overview(behind_tls: BehindTls, below: str) -> None:
    response = requests.get(below, verify=str(behind_tls.certificate), allow_redirects=False, timeout=10)
    assert response.status_code in (301, 308)
    assert urljoin(below, response.headers["Location"]) == f"{below}/"


def test_monitoring_responds_below_the_path_and_without_it(behind_tls: BehindTls) -> None:
    token = behind_tls.stack.environment["METRICS_TOKEN"]
    for path in ("", SUB_PATH):
        assert requests.get(f"{behind_tls.direct_url}{path}/healthz", timeout=10).text == "ok"
        for headers, status in (({}, 403), ({"Authorization": f"Bearer {token}"}, 200)):
            response = requests.get(f"{behind_tls.direct_url}{path}/metrics", headers=headers, timeout=10)
            assert (response.status_code, "partway_up" in response.text) == (status, status == 200)
    verify = str(behind_tls.certificate)
    assert requests.get(f"{behind_tls.url}/healthz", verify=verify, timeout=10).text == "ok"
    assert requests.get(f"{behind_tls.url}/metrics", verify=verify, timeout=10).status_code == 403


# --- Forms ------------------------------------------------------------------------------------------------------------


def test_form_from_the_public_address_is_accepted(behind_tls: BehindTls, operator: Operator) -> None:
    """nginx sends the host with its port, and the scheme: CSRF_TRUSTED_ORIGINS is not needed."""
    bucket = behind_tls.stack.new_bucket()
    origin = operator.url.removesuffix(SUB_PATH)

    def send(origin: str) -> requests.Response:
        return operator.session.post(
            f"{operator.url}/transfers/new/",
            headers={"Origin": origin, "Referer": operator.url},
            data={
                **{"store": behind_tls.stack.store, "bucket": bucket, "key": "a"},
                "csrfmiddlewaretoken": operator.csrf_token,
            },
            files={"file": ("a", b"content")},
            allow_redirects=False,
        )

    assert send(origin.replace("https", "http")).status_code == 403
    accepted = send(origin)
    assert accepted.status_code == 303, accepted.text
    assert accepted.headers["Location"].startswith(f"{SUB_PATH}/transfers/")
    operator.wait_for_state(transfer_id(accepted.headers["Location"].rstrip("/")), "done")
    [transfer] = [each for each in operator.get_json("/transfers/")["transfers"] if each["bucket"] == bucket]
    assert transfer["url"] == accepted.headers["Location"]


def test_json_of_an_operation_leads_to_it(behind_tls: BehindTls, operator: Operator) -> None:
    stack = behind_tls.stack
    bucket = stack.new_bucket()
    upload = stack.client.create_multipart_upload(bucket, "key")
    page = f"/stores/{stack.store}/{bucket}/uploads/abort/"
    response = operator.post(page, {"key": "key", "upload-id": upload})
    assert response.status_code in (200, 202), response.text
    found = re.findall(r'"(/[^"]*)"', response.text)
    assert found
    assert [each for each in found if not each.startswith(f"{SUB_PATH}/")] == []


# --- tus --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(b"".join(file_blocks(0, SIZE)))
    return path


@pytest.fixture
def metadata(behind_tls: BehindTls) -> dict[str, str]:
    return {"store": behind_tls.stack.store, "bucket": behind_tls.stack.new_bucket(), "key": "file"}


def headers(operator: Operator) -> dict[str, str]:
    """The headers that an operator's script sends with each request. Behind TLS, the CSRF check needs the Referer."""
    return {"Cookie": operator.cookies, "X-CSRFToken": operator.csrf_token, "Referer": operator.url}


def check(behind_tls: BehindTls, operator: Operator, metadata: dict[str, str], url: str) -> None:
    """The URL is the public one, and the object has the right bytes."""
    assert url.startswith(f"{operator.url}/files/")
    operator.wait_for_state(transfer_id(url), "done")
    assert behind_tls.stack.object_digest(metadata["bucket"], "file") == (SIZE, content_digest(SIZE))


def test_tuspy_uploads_to_the_public_address(
    behind_tls: BehindTls, operator: Operator, file: Path, metadata: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(behind_tls.certificate))
    monkeypatch.setenv("NO_PROXY", "*")
    client = TusClient(f"{operator.url}/files/", headers=headers(operator))
    with file.open("rb") as stream:
        uploader = client.uploader(file_stream=stream, metadata=metadata, chunk_size=3 * MIB)
        uploader.upload()
    check(behind_tls, operator, metadata, str(uploader.url))


def test_tus_js_client_uploads_to_the_public_address(
    behind_tls: BehindTls, operator: Operator, file: Path, metadata: dict[str, str]
) -> None:
    task = {"endpoint": f"{operator.url}/files/", "file": str(file), "size": SIZE, "metadata": metadata}
    node = shutil.which("node") or str(Path(sys.executable).with_name("node"))
    done = subprocess.run(
        [node, str(Path(__file__).with_name("tus_js_client.mjs"))],
        input=json.dumps({**task, "headers": headers(operator)}),
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(behind_tls.certificate)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    facts = {name: value for line in done.stdout.splitlines() for name, value in json.loads(line).items()}
    assert facts.get("done"), facts
    check(behind_tls, operator, metadata, facts["url"])


def test_body_in_chunks_and_long_metadata_pass_the_proxy(
    behind_tls: BehindTls, operator: Operator, metadata: dict[str, str]
) -> None:
    """With its own sizes of buffers, nginx would respond with 502 to a HEAD of an upload with such metadata."""
    given = metadata_header({**metadata, "part-size": PART, "note": "n" * 4500})
    sent = {**headers(operator), "Tus-Resumable": "1.0.0"}
    created = operator.session.post(
        f"{operator.url}/files/", headers={**sent, "Upload-Length": str(SIZE), "Upload-Metadata": given}
    )
    assert created.status_code == 201, created.text
    url = urljoin(operator.url, created.headers["Location"])
    body = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    response = operator.session.patch(url, data=file_blocks(0, SIZE), headers={**sent, **body})
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, str(SIZE))
    assert operator.session.head(url, headers=sent).headers["Upload-Metadata"] == given
    check(behind_tls, operator, metadata, url)


def test_whole_host_behind_tls(behind_tls: BehindTls) -> None:
    """The first example of the document, with more metadata than nginx passes by default."""
    url = behind_tls.whole_host_url
    with behind_tls.signed_in(url) as operator:
        assert {(cookie.path, cookie.secure) for cookie in operator.session.cookies} == {("/", True)}
        bucket = behind_tls.stack.new_bucket()
        fields = {
            "store": behind_tls.stack.store,
            "bucket": bucket,
            "key": "/".join(["k" * 200] * 4),
            "note": "n" * 9000,
        }
        encoded = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())
        created = operator.session.post(
            f"{url}/files/",
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Length": "3",
                "Upload-Metadata": encoded,
                "Content-Type": "application/offset+octet-stream",
                "X-CSRFToken": operator.csrf_token,
                "Referer": url,
                "Origin": url,
            },
            data=b"abc",
        )
        assert created.status_code == 201, created.text
        head = operator.session.head(urljoin(url, created.headers["Location"]), headers={"Tus-Resumable": "1.0.0"})
        assert (head.status_code, head.headers["Upload-Metadata"]) == (200, encoded)
        assert urljoin(url, created.headers["Location"]).startswith(f"{url}/files/")
        operator.wait_for_state(transfer_id(created.headers["Location"]), "done")
