"""A real Swift store for tests, started by the code of `make run`."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import requests

from local import ports, swift
from tests.stores import processes
from tests.stores.naming import new_bucket_name

ACCOUNTS = 1000
"""More than there are test files."""


class SwiftStore:
    """A running store: an endpoint, credentials, and empty buckets on request."""

    def __init__(self, store: swift.Swift) -> None:
        self.endpoint_url = store.endpoint_url
        self.region = store.region
        self.access_key = store.access_key
        self.secret_key = store.secret_key
        self.folder = store.folder
        self._store = store

    def new_bucket(self) -> str:
        """Create an empty bucket with a unique name."""
        bucket = new_bucket_name()
        if not swift.create_bucket(self._store, bucket):
            raise swift.StoreError(f"The store did not create the bucket {bucket}.")
        return bucket

    def segments(self, bucket: str) -> list[str]:
        """The parts that Swift keeps for a bucket, from its own API: the API of S3 does not show this container."""
        with requests.Session() as session:
            session.trust_env = False
            keys = {"X-Auth-User": self.access_key, "X-Auth-Key": self.secret_key}
            signed_in = session.get(f"{self.endpoint_url}/auth/v1.0", headers=keys, timeout=30)
            signed_in.raise_for_status()
            url = f"{signed_in.headers['X-Storage-Url']}/{bucket}+segments"
            listed = session.get(url, headers={"X-Auth-Token": signed_in.headers["X-Auth-Token"]}, timeout=30)
            listed.raise_for_status()
            return listed.text.splitlines()


class Accounts:
    """Accounts of one store, each without a bucket.

    A file has its own: a scan of a whole store, or a page with its buckets, would take longer after every other test.
    """

    def __init__(self, store: swift.Swift) -> None:
        self._store = store
        self._numbers = count()

    def new(self) -> SwiftStore:
        """The store with the credentials of another account."""
        return SwiftStore(replace(self._store, access_key=_access_key(next(self._numbers) % ACCOUNTS)))


def _access_key(number: int) -> str:
    return f"test{number}:user"


@contextmanager
def running_with_accounts(folder: Path) -> Iterator[Accounts]:
    """Run a store in an empty folder."""
    with _running(folder, ACCOUNTS) as store:
        yield Accounts(store)


@contextmanager
def running(folder: Path) -> Iterator[SwiftStore]:
    """Run a store in an empty folder, or in one with the data of an earlier run."""
    with _running(folder) as store:
        yield SwiftStore(store)


@contextmanager
def _running(folder: Path, accounts: int = 0) -> Iterator[swift.Swift]:
    store = swift.prepare(folder, ports.choose(4), secrets.token_urlsafe(16))
    _add_accounts(folder / "proxy.conf", store, accounts)
    started = [processes.start(each.argv, folder / f"{each.name}.log", each.env) for each in swift.commands(store)]
    try:
        swift.wait_until_ready(store, "ready", lambda: processes.all_running(started))
        yield store
    finally:
        processes.stop(started)


def _add_accounts(conf: Path, store: swift.Swift, accounts: int) -> None:
    start = "[filter:tempauth]\nuse = egg:swift#tempauth\n"
    users = (
        f"user_{_access_key(number).replace(':', '_')} = {store.secret_key} .admin\n" for number in range(accounts)
    )
    before, found, after = conf.read_text().partition(start)
    assert found
    conf.write_text("".join((before, found, *users, after)))
