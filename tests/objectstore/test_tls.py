"""Certificates, and TLS errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificate import certificate
from tests.objectstore.conftest import MakeClient
from tests.objectstore.fault_server import (
    Exchange,
    FaultServer,
    respond,
)
from tests.objectstore.responses import sparse, stored
from uploads.objectstore.errors import NotSent, OutcomeUnknown, Reason, Refused
from uploads.objectstore.types import Credentials
from uploads.problems import Code


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[FaultServer, Path]]:
    path, context = certificate(tmp_path)
    with FaultServer(tls=context) as running:
        yield running, path


def test_untrusted_certificate_is_rejected(tls: tuple[FaultServer, Path], make_client: MakeClient) -> None:
    server, _ = tls
    with pytest.raises(NotSent, match=Code.CERTIFICATE_NOT_TRUSTED) as caught:
        make_client(server.url).list_buckets()
    assert (caught.value.reason, caught.value.retryable) == (Reason.TLS, False)
    assert server.received == []


def test_custom_ca_is_accepted_and_payload_is_unsigned(
    tls: tuple[FaultServer, Path], make_client: MakeClient, tmp_path: Path
) -> None:
    server, ca = tls
    body = sparse(tmp_path, 20 * 1024 * 1024)
    server.script(stored(bytes(body.size)))
    counts: list[int] = []
    make_client(server.url, ca_bundle=str(ca)).upload_part("bucket", "k", "u", 1, body, on_bytes=counts.append)
    assert server.received[0].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert len(server.received[0].body) == sum(counts) == body.size


def test_early_refusal_over_tls_is_read_or_outcome_is_unknown(
    tls: tuple[FaultServer, Path], make_client: MakeClient, tmp_path: Path
) -> None:
    server, ca = tls

    def respond_early(exchange: Exchange) -> None:
        exchange.read(70_000)
        exchange.respond(403, b"<Error><Code>AccessDenied</Code></Error>")
        exchange.reset()

    server.script(*[respond_early] * 3)
    with pytest.raises((Refused, OutcomeUnknown)):
        make_client(server.url, ca_bundle=str(ca)).upload_part(
            "bucket", "k", "u", 1, sparse(tmp_path, 64 * 1024 * 1024)
        )


def test_missing_ca_bundle_is_reported(make_client: MakeClient, tmp_path: Path) -> None:
    with pytest.raises(NotSent, match=rf"{Code.CA_BUNDLE_MISSING} path=.*gone\.pem") as caught:
        make_client("https://127.0.0.1:9", ca_bundle=str(tmp_path / "gone.pem")).list_buckets()
    assert caught.value.reason is Reason.TLS


def test_invalid_ca_bundle_is_a_tls_error(server: FaultServer, make_client: MakeClient, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("no certificate")
    with pytest.raises(NotSent) as caught:
        make_client(server.url.replace("http:", "https:"), ca_bundle=str(bundle)).list_buckets()
    assert caught.value.reason is Reason.TLS
    assert server.received == []


@pytest.mark.parametrize(
    "config",
    [
        {"credentials": Credentials("AK\n", "S")},
        {"credentials": Credentials("AK", "S", "token\n")},
        {"credentials": Credentials("ä", "S")},
        {"region": "us\r\nX: y"},
        {"provider": "nonesuch"},
        {"signature": "nonesuch"},
    ],
)
def test_invalid_store_config_is_refused(make_client: MakeClient, config: dict[str, Any]) -> None:
    with pytest.raises(NotSent) as caught:
        make_client("http://127.0.0.1:9", **config)
    assert caught.value.reason is Reason.BAD_ARGUMENT


def test_tls_with_plain_http_server_sends_nothing(server: FaultServer, make_client: MakeClient) -> None:
    server.script(respond(400))
    with pytest.raises(NotSent):
        make_client(server.url.replace("http:", "https:"), connect_timeout=0.2).list_buckets()
