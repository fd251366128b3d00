"""Which addresses a store may have, and that a connection is opened to the address that was checked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import psutil
import pytest

from tests.objectstore.fault_server import FaultServer, respond
from uploads.objectstore import addresses, connections
from uploads.objectstore.addresses import AddressRefusedError, AddressRules, literal_address, parse_allowed
from uploads.objectstore.budget import Budget, limited_to
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.types import Credentials, StoreConfig
from uploads.problems import Code

STRICT = AddressRules()
NO_BUCKETS = respond(200, b"<ListAllMyBucketsResult></ListAllMyBucketsResult>")


def code_of(rules: AddressRules, host: str, port: int = 443) -> str:
    """The code of the refusal; '' if the address is allowed."""
    try:
        rules.check(host, port)
    except AddressRefusedError as error:
        return error.problem.code
    return ""


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "::169.254.169.254",
    ],
)
def test_addresses_that_no_store_has_are_refused(host: str) -> None:
    assert code_of(STRICT, host) == Code.ADDRESS_REFUSED


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
)
def test_loopback_in_any_form_is_refused(host: str) -> None:
    assert code_of(STRICT, host) == Code.ADDRESS_OF_THIS_MACHINE


def test_other_addresses_of_this_machine_are_refused() -> None:
    families = (socket.AF_INET, socket.AF_INET6)
    own = [each.address for found in psutil.net_if_addrs().values() for each in found if each.family in families]
    assert own
    assert all(code_of(STRICT, host) for host in own)


@pytest.mark.parametrize("host", ["10.1.2.3", "172.16.0.9", "192.168.3.4", "100.64.0.7", "fd12::7", "8.8.8.8"])
def test_private_and_public_addresses_are_allowed(host: str) -> None:
    assert code_of(STRICT, host) == ""


def test_networks_restrict_stores_and_exceptions_allow_more() -> None:
    rules = AddressRules(
        (parse_allowed("127.0.0.1:9000"), parse_allowed("[::1]:9000"), parse_allowed("169.254.7.0/24")),
        (ip_network("10.0.0.0/8"),),
    )
    assert [code_of(rules, *each) for each in (("127.0.0.1", 9000), ("::1", 9000), ("169.254.7.9", 80))] == ["", "", ""]
    assert code_of(rules, "127.0.0.1", 9001) == Code.ADDRESS_OF_THIS_MACHINE
    assert code_of(rules, "10.1.2.3") == ""
    assert code_of(rules, "8.8.8.8") == Code.ADDRESS_NOT_IN_NETWORKS


def test_services_of_partway_need_an_exception_with_their_port() -> None:
    services = (("localhost", 6379), ("no-such-host.invalid", 5432), ("192.0.2.5", 5432))
    wide = AddressRules((parse_allowed("127.0.0.0/8"),), (), services)
    assert code_of(wide, "127.0.0.1", 6379) == Code.ADDRESS_OF_SERVICE
    assert code_of(wide, "::ffff:127.0.0.1", 6379) == Code.ADDRESS_OF_SERVICE
    assert code_of(wide, "192.0.2.5", 5432) == Code.ADDRESS_OF_SERVICE
    assert code_of(wide, "127.0.0.1", 6380) == ""
    exact = AddressRules((parse_allowed("127.0.0.1:6379"),), (), services)
    assert code_of(exact, "127.0.0.1", 6379) == ""


@pytest.mark.parametrize("text", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1", "[::1]", "::1"])
def test_every_form_of_an_address_is_recognised(text: str) -> None:
    found = literal_address(text)
    assert found is not None
    assert found.is_loopback


def test_name_is_no_address() -> None:
    assert literal_address("store.example.org") is None


@pytest.mark.parametrize("text", ["localhost", "store.example.org:9000", "10.0.0.0/33", "10.0.0.1:0", "10.0.0.1:http"])
def test_exceptions_are_addresses_and_not_names(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_allowed(text)


# --- At the connection ------------------------------------------------------------------------------------------------


class Resolver:
    """Resolves every name to the next of these addresses."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = list(hosts)
        self.asked = 0

    def __call__(self, _host: str, port: int, *_args: Any) -> list[tuple[str, int]]:
        self.asked += 1
        return [(self.hosts.pop(0) if len(self.hosts) > 1 else self.hosts[0], port)]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer(NO_BUCKETS, NO_BUCKETS) as running:
        yield running


def client_of(url: str, rules: AddressRules) -> ObjectStoreClient:
    return ObjectStoreClient(StoreConfig(url, "us-east-1", Credentials("a", "s"), addresses=rules))


def allows(server: FaultServer) -> AddressRules:
    return AddressRules((parse_allowed(server.url.removeprefix("http://")),))


@pytest.mark.parametrize("is_page", [False, True])
def test_address_is_checked_at_every_connection_and_only_it_is_used(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, is_page: bool
) -> None:
    """The name resolves to another address after the first lookup, as a hostile DNS server does."""
    resolver = Resolver("127.0.0.1", "169.254.169.254")
    monkeypatch.setattr(connections, "look_up", resolver)
    monkeypatch.setattr(connections, "resolve", resolver)
    url = server.url.replace("127.0.0.1", "store.example.org")
    budget = Budget(10)
    with client_of(url, allows(server)) as client:
        if is_page:
            with limited_to(budget):
                client.list_buckets()
        else:
            client.list_buckets()
        assert resolver.asked == 1, "nothing resolves the name again between the check and the connection"
        assert server.received[0].headers["host"] == url.removeprefix("http://")
        client._transport._adapter.close()
        with pytest.raises(NotSent) as caught:
            client.list_buckets()
    assert caught.value.reason is Reason.ADDRESS_REFUSED
    assert caught.value.problem is not None
    assert caught.value.problem.code == Code.ADDRESS_REFUSED
    assert not caught.value.retryable


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_nothing_is_sent_to_this_machine(server: FaultServer, host: str) -> None:
    port = server.url.rpartition(":")[2]
    with client_of(f"http://{host}:{port}", STRICT) as client, pytest.raises(NotSent) as caught:
        client.list_buckets()
    assert caught.value.reason is Reason.ADDRESS_REFUSED
    assert server.received == []


def test_allowed_address_of_several_is_used(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [("169.254.169.254", 80), ("127.0.0.1", int(server.url.rpartition(":")[2]))]
    monkeypatch.setattr(connections, "resolve", lambda *_: found)
    with client_of("http://store.example.org", allows(server)) as client:
        client.list_buckets()
    assert len(server.received) == 1


def test_redirect_is_not_followed_and_proxies_of_the_environment_are_not_used(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would resolve names itself, and connect to addresses that nobody has checked."""
    with FaultServer() as elsewhere:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, elsewhere.url)
        redirecting = respond(307, b"", {"Location": f"{elsewhere.url}/latest/meta-data/"})
        with FaultServer(NO_BUCKETS, redirecting) as first, client_of(first.url, allows(first)) as client:
            client.list_buckets()
            with pytest.raises(Exception, match=str(Code.REDIRECT_NOT_FOLLOWED)):
                client.list_buckets()
        assert elsewhere.received == []


def test_machine_that_binds_foreign_addresses_does_not_take_them_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_binds_anything", lambda _version: True)
    assert code_of(STRICT, "192.0.2.77") == ""
