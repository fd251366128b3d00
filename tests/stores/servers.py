"""The test servers behind one interface.

A test with the fixture `server` runs once on each of them, or on each of `IN_SUITE`. Where a server has a quirk, the
test asks `server.does("...")` and asserts both cases. The quirks are in quirks.py. The runs of these tests generate the
table in docs/stores.md (table.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any

import pytest

from tests.stores.quirks import QUIRKS
from tests.stores.running import RunningStore
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.providers import Provider, get_provider, profile_of
from uploads.objectstore.refusals import Response
from uploads.objectstore.retry import RetryPolicy
from uploads.objectstore.signing import Oss4, Signer, SigV4
from uploads.objectstore.transport import Call, Transport
from uploads.objectstore.types import Credentials, StoreConfig

USED_QUIRK = "quirk"
"""The property of a test report that names a quirk that the test has asked for."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A server. `overrides` are the fields of its provider's profile that a store check overrides."""

    label: str
    provider: str
    overrides: Mapping[str, object]
    in_suite: bool = True
    """Whether it takes part in the tests of the client and the services, and not only in the main job."""


KINDS: Mapping[str, Kind] = {
    "swift": Kind("Swift 2.38", "swift", {"forbid_overwrite": "if-none-match"}),
    "oss": Kind("OSS test server", "oss", {}),
    "ceph": Kind("Ceph 16.2", "ceph", {}),
    "versity": Kind(
        "Versity 1.8",
        "generic",
        {
            "lifecycle": "none",
            "forbid_overwrite": "if-none-match",
            "joined_etag": True,
            "keys_are_paths": True,
            "leading_slash": False,
            "marker_pair": "key-before",
            "url_encoding": "none",
        },
    ),
    "seaweedfs": Kind("SeaweedFS 4.48", "seaweedfs", {}),
    "s3proxy": Kind(
        "S3Proxy 4.1",
        "generic",
        {
            "lifecycle": "none",
            "checks_upload_ids": False,
            "delimiter": "broken",
            "forbid_overwrite": "if-none-match",
            "joined_etag": True,
            "keys_are_paths": True,
        },
    ),
    "rclone": Kind(
        "rclone 1.75", "generic", {"lifecycle": "none", "delimiter": "broken", "url_encoding": "none"}, in_suite=False
    ),
}

ANY = KINDS["versity"]
"""The server of tests that are about no kind of store."""

IN_SUITE = tuple(name for name, kind in KINDS.items() if kind.in_suite)


class Server:
    """A server in one test."""

    def __init__(self, name: str, store: RunningStore, record: Callable[[str], None]) -> None:
        self.name = name
        self.kind = KINDS[name]
        self.store = store
        self._record = record

    def does(self, quirk: str) -> bool:
        """Whether this server has the quirk. If so, the quirk is recorded for the table in the docs."""
        if not self.has(quirk):
            return False
        self._record(quirk)
        return True

    def has(self, quirk: str) -> bool:
        """As `does`, but not recorded: for a test that only needs to know what to expect."""
        assert any(quirk in quirks for quirks in QUIRKS.values()), f"No server has this quirk in quirks.py: {quirk!r}"
        return quirk in QUIRKS[self.name]

    @cached_property
    def profile(self) -> Provider:
        return profile_of(self.config())

    def config(self, **changes: Any) -> StoreConfig:
        """Its configuration. `changes` are `access_key`, `secret_key`, `session_token` and fields of StoreConfig."""
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
            overrides=tuple(sorted(self.kind.overrides.items())),
        )
        return replace(config, **changes)

    def connect(self, **changes: Any) -> ObjectStoreClient:
        """A client, which the caller closes. `changes` as in `config`."""
        return ObjectStoreClient(self.config(**changes), retries=RetryPolicy(attempts=2, sleep=lambda _: None))

    def send(self, call: Call, *, clock: timedelta = timedelta(), **changes: Any) -> Response:
        """Send a call unchanged, without the checks of the client. `clock` is added to the time of the signature."""
        config = self.config(**changes)
        transport = Transport(config, _signer(config, clock))
        try:
            return transport.exchange(call, lambda response: response)
        finally:
            transport.close()


def _signer(config: StoreConfig, ahead: timedelta) -> Signer:
    kind = SigV4 if config.signature == "sigv4" else Oss4
    return kind(config.credentials, config.region, clock=lambda: datetime.now(UTC) + ahead)


def server_of(request: pytest.FixtureRequest, running: Mapping[str, RunningStore] = MappingProxyType({})) -> Server:
    """The server of a fixture's parameter: one of `running`, or one that is started once per process."""
    name: str = request.param
    recorded = request.node.user_properties

    def record(quirk: str) -> None:
        if (USED_QUIRK, quirk) not in recorded:
            recorded.append((USED_QUIRK, quirk))

    store = running[name] if name in running else request.getfixturevalue(f"{name}_store")
    return Server(name, store, record)
