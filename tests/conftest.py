"""Real servers for the tests that ask for them: each is started once a test process, when first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environment import VAR_DIR
from tests.stores import ceph, oss, postgresql, redis, swift, versity
from tests.stores.s3 import S3Store
from tests.system import stack as stacks


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """The test database is a file: one in memory is locked by tables, which no timeout waits for among threads."""
    from django.db import connections

    connections["default"].settings_dict["TEST"]["NAME"] = str(Path(VAR_DIR) / "tests.sqlite3")


@pytest.fixture(scope="session")
def swift_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[swift.SwiftStore]:
    """A store that verifies signatures; `new_bucket()` makes a bucket of one's own."""
    with swift.running(tmp_path_factory.mktemp("swift")) as store:
        yield store


@pytest.fixture(scope="session")
def ceph_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """A store of another make, as `swift_store`."""
    with ceph.running(tmp_path_factory.mktemp("ceph")) as store:
        yield store


@pytest.fixture(scope="session")
def versity_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """A third one, as `swift_store`; it keeps keys as paths, so that some cannot be."""
    with versity.running(tmp_path_factory.mktemp("versity")) as store:
        yield store


@pytest.fixture(scope="session")
def oss_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[oss.OssStore]:
    """A store that speaks OSS's own dialect, as `swift_store`; `new_account()` adds an access key with fewer rights."""
    with oss.running(tmp_path_factory.mktemp("oss")) as store:
        yield store


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty Redis or Valkey."""
    with redis.running(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.Cluster]:
    """A PostgreSQL; `new_database()` makes a database of one's own."""
    with postgresql.running(tmp_path_factory.mktemp("postgresql")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stacks.Stack]:
    """Everything that `make run` runs. A test that kills or freezes a part puts it right again."""
    with stacks.running(tmp_path_factory.mktemp("stack"), oss.environment()) as running:
        yield running
