"""Real servers for the tests that ask for them: each is started once a test process, when first asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stores import redis, swift


@pytest.fixture(scope="session")
def swift_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[swift.SwiftStore]:
    """A store that verifies signatures; `new_bucket()` makes a bucket of one's own."""
    with swift.running(tmp_path_factory.mktemp("swift")) as store:
        yield store


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty Redis or Valkey."""
    with redis.running(tmp_path_factory.mktemp("redis")) as url:
        yield url
