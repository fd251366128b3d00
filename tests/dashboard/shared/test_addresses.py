"""The address of a client behind trusted proxies, and what a client may write into the header itself."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from django.test import RequestFactory
from pytest_django import Settings

from dashboard.shared.addresses import address_of, client_address


@pytest.fixture(autouse=True)
def proxies(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("connected", "forwarded_for", "address"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9,198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("::ffff:127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
        ("fd00::1", "[2001:db8::5]:443", "2001:db8::5"),
        ("127.0.0.1", "198.51.100.7:51234", "198.51.100.7"),
        ("127.0.0.1", "198.51.100.7, unknown", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.7, nonsense, 10.0.0.2", "10.0.0.2"),
        ("127.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("127.0.0.1", "<script>", "127.0.0.1"),
        ("", "198.51.100.7", ""),
    ],
)
def test_address_is_the_last_one_that_no_trusted_proxy_has(connected: str, forwarded_for: str, address: str) -> None:
    assert client_address(connected, forwarded_for) == address


def test_header_means_nothing_without_trusted_proxies(settings: Settings) -> None:
    settings.TRUSTED_PROXIES = []
    assert client_address("127.0.0.1", "198.51.100.7") == "127.0.0.1"


def test_other_headers_of_proxies_are_ignored() -> None:
    headers = {"Forwarded": "for=198.51.100.7", "X-Real-IP": "198.51.100.8", "X-Forwarded-For": "203.0.113.9"}
    request = RequestFactory().get("/", headers=headers, REMOTE_ADDR="127.0.0.1")
    assert address_of(request) == "203.0.113.9"
