"""Stores to measure with: one that discards bodies, and the real ones of the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.peers import Target
from tests.stores.s3 import S3Store
from tests.system.stack import Stack
from uploads.objectstore.types import Credentials, StoreConfig

BUCKET = "discarded"


@contextmanager
def discarding(stack: Stack, name: str, rate: int = 0, by_crc64: str = "") -> Iterator[Target]:
    """Run a store that discards bodies and add it to the dashboard as `name`.

    `by_crc64`: the name of a second entry of the same store, which verifies CRC-64 in place of Content-MD5.
    """
    argv = [sys.executable, "-m", "benchmarks.discarding_store", "--rate", str(rate)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            endpoint = f"http://127.0.0.1:{process.stdout.readline().strip()}"
            stack.run_python(
                "from uploads.services.stores.settings import StoreValues, add_store\n"
                f"add_store(None, StoreValues(name={name!r}, endpoint_url={endpoint!r}, region='us-east-1', "
                "access_key='a', secret_key='b'))"
            )
            if by_crc64:
                stack.run_python(_ADD_BY_CRC64 % (by_crc64, endpoint))
            yield Target(endpoint, "us-east-1", "a", "b", BUCKET)
        finally:
            process.terminate()


# A store check, which has to prove it for other stores, lists uploads of keys that this store does not keep.
_ADD_BY_CRC64 = """
from uploads.models import Store
from uploads.services.stores.settings import StoreValues, add_store
values = StoreValues(name=%r, endpoint_url=%r, region="us-east-1", access_key="a", secret_key="b")
Store.objects.filter(pk=add_store(None, values).pk).update(checksum="crc64nvme", verifies_crc64=True)
"""


def embedded(stack: Stack) -> Target:
    """A new bucket of the store that `make run` starts."""
    swift = stack.server
    return Target(swift.endpoint_url, swift.region, swift.access_key, swift.secret_key, stack.new_bucket())


def added(stack: Stack, name: str, store: S3Store, provider: str) -> Target:
    """A new bucket of a store that is added to the dashboard as `name`."""
    config = StoreConfig(
        store.endpoint_url, store.region, Credentials(store.access_key, store.secret_key), provider=provider
    )
    stack.add_store(name, config, store.new_bucket)
    return Target(store.endpoint_url, store.region, store.access_key, store.secret_key, store.new_bucket())
