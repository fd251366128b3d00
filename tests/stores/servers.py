"""The four servers that the client and the main job are tried on, under one interface.

A test that takes the fixture `server` runs once on each of them. Where one of them has a way of its own, the test asks
`server.does("...")` and asserts both sides; the ways, and what becomes of them here, are in ways.py, and from the runs
the table of docs/stores.md is made (table.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pytest

from tests.stores.offered import RunningStore
from tests.stores.ways import WAYS
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.providers import Provider, get_provider, profile_of
from uploads.objectstore.refusals import Response
from uploads.objectstore.retry import RetryPolicy
from uploads.objectstore.signing import Oss4, Signer, SigV4
from uploads.objectstore.transport import Call, Transport
from uploads.objectstore.types import Credentials, StoreConfig

ASKED = "way"
"""The name under which a test's report tells which ways were asked for."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the servers: `found` is what a store check finds out beyond its provider's profile."""

    label: str
    provider: str
    found: Mapping[str, object]


KINDS: Mapping[str, Kind] = {
    "swift": Kind("Swift 2.38", "swift", {"forbid_overwrite": "if-none-match"}),
    "oss": Kind("OSS test server", "oss", {}),
    "ceph": Kind("Ceph 16.2", "ceph", {}),
    "versity": Kind(
        "Versity 1.8",
        "generic",
        {
            "etag_is_md5": True,
            "forbid_overwrite": "if-none-match",
            "joined_etag": True,
            "keys_are_paths": True,
            "marker_pair": "key-before",
            "url_encoding": "none",
        },
    ),
}


class Server:
    """One of them, as one test has it."""

    def __init__(self, name: str, store: RunningStore, ask: Callable[[str], None]) -> None:
        self.name = name
        self.kind = KINDS[name]
        self.store = store
        self._ask = ask

    def does(self, way: str) -> bool:
        """Whether this server has that way of its own. The table of the docs then says what becomes of it."""
        if not self.has(way):
            return False
        self._ask(way)
        return True

    def has(self, way: str) -> bool:
        """The same, where a test is about something else and only has to expect right: no mark in the table."""
        assert any(way in ways for ways in WAYS.values()), f"No server is known to do this: {way!r} (ways.py)."
        return way in WAYS[self.name]

    @cached_property
    def profile(self) -> Provider:
        return profile_of(self.config())

    def config(self, **changes: Any) -> StoreConfig:
        """How it is reached; `access_key`, `secret_key`, `session_token` and fields of StoreConfig may be others."""
        names = ("access_key", "secret_key", "session_token")
        keys = {name: changes.pop(name) for name in names if name in changes}
        credentials = replace(Credentials(self.store.access_key, self.store.secret_key), **keys)
        provider = get_provider(self.kind.provider)
        config = StoreConfig(
            self.store.endpoint_url,
            self.store.region,
            credentials,
            provider=provider.name,
            addressing=provider.addressing,
            signature=provider.signature,
            overrides=tuple(sorted(self.kind.found.items())),
        )
        return replace(config, **changes)

    def connect(self, **changes: Any) -> ObjectStoreClient:
        """A client of it, to be closed; `changes` as in `config`."""
        return ObjectStoreClient(self.config(**changes), retries=RetryPolicy(attempts=2, sleep=lambda _: None))

    def send(self, call: Call, *, clock: timedelta = timedelta(), **changes: Any) -> Response:
        """Send a call as it stands, past what the client would refuse, with a clock that is so far ahead."""
        config = self.config(**changes)
        transport = Transport(config, _signer(config, clock))
        try:
            return transport.exchange(call, lambda answer: answer)
        finally:
            transport.close()


def _signer(config: StoreConfig, ahead: timedelta) -> Signer:
    kind = SigV4 if config.signature == "sigv4" else Oss4
    return kind(config.credentials, config.region, clock=lambda: datetime.now(UTC) + ahead)


def asked_by(request: pytest.FixtureRequest, running: Mapping[str, RunningStore] = MappingProxyType({})) -> Server:
    """The server that a fixture's parameter names: one of those that are `running`, else started once a process."""
    name: str = request.param
    recorded = request.node.user_properties

    def ask(way: str) -> None:
        if (ASKED, way) not in recorded:
            recorded.append((ASKED, way))

    store = running[name] if name in running else request.getfixturevalue(f"{name}_store")
    return Server(name, store, ask)
