"""Which addresses a store may have. They are checked when a connection is opened, after its host name was resolved.

A name can resolve to another address at any time (DNS rebinding), so the check of a name proves nothing: the connection
is opened to exactly the address that was checked. Redirects are not followed, and proxies of the environment not used.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from uploads.problems import Code, Problem

IpAddress = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NEVER: tuple[Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",
            "169.254.0.0/16",  # link-local: the metadata services of most clouds
            "100.100.100.200/32",  # metadata of Alibaba Cloud
            "192.0.0.192/32",  # metadata of Oracle Cloud
            "168.63.129.16/32",  # the platform of Azure
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/128",
            "fe80::/10",
            "fec0::/10",
            "ff00::/8",
            "fd00:ec2::/32",  # metadata of AWS
            "fd20:ce::/32",  # metadata of Google Cloud
        ),
    )
)

_NAT64: tuple[IPv6Network, ...] = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")


class AddressRefusedError(OSError):
    """No address of a host may be that of a store."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Allowed:
    """A network, with all of its ports or with one."""

    network: Network
    port: int | None = None


@dataclass(frozen=True, slots=True)
class AddressRules:
    """`allowed` are exceptions. `networks`: if there are any, stores are only there. `services` are our own, by host.

    An exception with a port allows even a service of ours there.
    """

    allowed: tuple[Allowed, ...] = ()
    networks: tuple[Network, ...] = ()
    services: tuple[tuple[str, int], ...] = ()

    def check(self, host: str, port: int) -> None:
        """Raise AddressRefusedError if a store may not be at this resolved address."""
        address = ipaddress.ip_address(host.partition("%")[0])
        for each in {_plain(address), *_embedded(address)}:
            if problem := self._problem(each, port):
                raise AddressRefusedError(problem)

    def check_literal(self, host: str, port: int) -> None:
        """As `check`, for a host that is an address in any form; a name is checked when it is resolved."""
        if address := literal_address(host):
            self.check(str(address), port)

    def _problem(self, address: IpAddress, port: int) -> Problem | None:
        shown = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
        exceptions = [each for each in self.allowed if address in each.network and each.port in (None, port)]
        if any(each.port for each in exceptions):
            return None
        if any(port == known and str(address) in _addresses_of(host) for host, known in self.services):
            return Problem(Code.ADDRESS_OF_SERVICE, address=shown)
        code = None if exceptions else self._code(address)
        return Problem(code, address=shown) if code else None

    def _code(self, address: IpAddress) -> Code | None:
        if any(address in network for network in _NEVER):
            return Code.ADDRESS_REFUSED
        if address.is_loopback or _is_own(address):
            return Code.ADDRESS_OF_THIS_MACHINE
        if self.networks and not any(address in network for network in self.networks):
            return Code.ADDRESS_NOT_IN_NETWORKS
        return None


def parse_allowed(text: str) -> Allowed:
    """`10.0.0.0/8`, `192.0.2.1`, `192.0.2.1:9000` or `[2001:db8::1]:9000`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if colon and (host.endswith("]") or ":" not in host):
        number = int(port)
        if not 0 < number < 65536:
            raise ValueError(f"no port: {port}")
        return Allowed(ipaddress.ip_network(host.strip("[]")), number)
    return Allowed(ipaddress.ip_network(text.strip("[]")))


def literal_address(host: str) -> IpAddress | None:
    """The address that a host is, in any form that the system understands (`127.1`, `2130706433`); None for a name."""
    host = host.strip("[]").partition("%")[0]
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    with suppress(OSError, ValueError):
        return IPv4Address(socket.inet_aton(host))
    return None


def _plain(address: IpAddress) -> IpAddress:
    """The IPv4 address that the system connects to for an IPv4-mapped one."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _embedded(address: IpAddress) -> list[IpAddress]:
    """The IPv4 addresses that a gateway may make of an IPv6 address: NAT64, 6to4, Teredo, IPv4-compatible."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.sixtofour, *(address.teredo or ())]
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 0xFFFF):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]


def _is_own(address: IpAddress) -> bool:
    """Whether an address belongs to this machine, found without a packet.

    A socket that is connected to an own address has an own address as its source. An additional address of an interface
    has another source, but a socket can be bound to it.
    """
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((str(address), 9))
        if probe.getsockname()[0] == str(address):
            return True
    if _binds_anything(address.version):
        return False
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(address), 0))
        return True
    return False


@lru_cache(maxsize=2)
def _binds_anything(version: int) -> bool:
    """Whether sockets of this machine can be bound to addresses that it does not have."""
    try:
        return Path(f"/proc/sys/net/ipv{version}/ip_nonlocal_bind").read_text().strip() != "0"
    except OSError:
        return False


def _addresses_of(host: str) -> set[str]:
    """The addresses of a service of ours. They are looked up only for its port."""
    try:
        return {str(_plain(ipaddress.ip_address(info[4][0]))) for info in socket.getaddrinfo(host, None)}
    except (OSError, ValueError, UnicodeError):
        return set()
