"""Fixtures with real servers. Each server is started once per test process, when a test first needs it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.environment import VAR_DIR
from tests.migrating import migrated_sqlite
from tests.openid import Provider as OpenIdProvider
from tests.openid import running as openid_running
from tests.proxies import BehindTls, behind_tls_proxy
from tests.stores import ceph, oss, postgresql, rclone, redis, s3proxy, seaweedfs, swift, versity
from tests.stores.running import RunningStore
from tests.stores.s3 import S3Store
from tests.system import stack as stacks


def pytest_configure() -> None:
    """What only costs time in this process: Django's hash of passwords, and the wait before a request is repeated.

    Stacks use the real ones.
    """
    from django.conf import settings

    from uploads.objectstore.retry import DEFAULT_RETRIES

    object.__setattr__(DEFAULT_RETRIES, "base", 0.01)
    # No example is too slow on a machine that is busy with other tests.
    hypothesis.settings.register_profile(
        "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("tests")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Use a file for the test database: an in-memory database locks tables, and threads do not wait for these locks.

    It is a copy of a database with our tables. On PostgreSQL, the database is such a copy already (`on_postgresql`).
    """
    from django.db import connections

    settings = connections["default"].settings_dict
    if connections["default"].vendor == "sqlite":
        settings["TEST"]["NAME"] = shutil.copy(migrated_sqlite(), Path(VAR_DIR) / "tests.sqlite3")
    else:
        settings["TEST"]["NAME"] = settings["NAME"]


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    return True


@pytest.fixture(scope="session", autouse=True)
def flush_the_audit_log() -> Iterator[None]:
    """Tests with transactions empty all tables. Triggers of the audit log refuse that; the flush creates them again."""
    from django.contrib.auth.management import create_permissions
    from django.contrib.contenttypes.management import create_contenttypes
    from django.db import connection
    from django.db.models.signals import post_migrate

    from uploads.database import append_only

    # Partway has no use for Django's permissions. Creating their rows takes more time than the rest of the flush.
    post_migrate.disconnect(create_permissions, dispatch_uid="django.contrib.auth.management.create_permissions")
    post_migrate.disconnect(create_contenttypes)

    operations = type(connection.ops)
    flush = operations.sql_flush

    def sql_flush(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
        if connection.vendor == "postgresql":
            # A tenth of the time of TRUNCATE, as the tables are small. No trigger and no foreign key is in the way.
            empty = [f"DELETE FROM {self.quote_name(table)}" for table in tables]
            return ["SET LOCAL session_replication_role = replica", *empty] if empty else []
        return [*append_only.dropping(connection.vendor), *flush(self, style, tables, **options)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", sql_flush)
        yield


@pytest.fixture(scope="session")
def swift_accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[swift.Accounts]:
    """The embedded Swift, which verifies signatures."""
    with swift.running_with_accounts(tmp_path_factory.mktemp("swift")) as accounts:
        yield accounts


@pytest.fixture(scope="module")
def swift_store(swift_accounts: swift.Accounts) -> swift.SwiftStore:
    """The embedded Swift with the credentials of an account of this file. `new_bucket()` creates an empty bucket."""
    return swift_accounts.new()


@pytest.fixture(scope="session")
def ceph_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """A Ceph RADOS Gateway, with the interface of `swift_store`."""
    with ceph.running(tmp_path_factory.mktemp("ceph")) as store:
        yield store


@pytest.fixture(scope="session")
def versity_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """A Versity S3 Gateway, with the interface of `swift_store`. It stores keys as paths and refuses some."""
    with versity.running(tmp_path_factory.mktemp("versity")) as store:
        yield store


@pytest.fixture(scope="module")
def any_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    """The store of tests that are about no kind of store (tests/stores/any_store.py). Each file has an empty one."""
    if hasattr(request, "param"):
        yield request.getfixturevalue(f"{request.param}_store")
        return
    with versity.running(tmp_path_factory.mktemp("any-store")) as store:
        yield store


@pytest.fixture(scope="session")
def seaweedfs_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """A SeaweedFS, with the interface of `swift_store`. It pages by upload ids, and stores keys as paths."""
    with seaweedfs.running(tmp_path_factory.mktemp("seaweedfs")) as store:
        yield store


@pytest.fixture(scope="session")
def s3proxy_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """An S3Proxy, with the interface of `swift_store`. It stores keys as paths."""
    with s3proxy.running(tmp_path_factory.mktemp("s3proxy")) as store:
        yield store


@pytest.fixture(scope="session")
def rclone_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    """An `rclone serve s3`, with the interface of `swift_store`. It keeps uploads in memory."""
    with rclone.running(tmp_path_factory.mktemp("rclone")) as store:
        yield store


@pytest.fixture(scope="session")
def oss_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[oss.OssStore]:
    """The OSS test server, with the interface of `swift_store`. `new_account()` adds a key with fewer permissions."""
    with oss.running(tmp_path_factory.mktemp("oss")) as store:
        yield store


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty Redis or Valkey."""
    with redis.running(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgresql.Cluster]:
    """A PostgreSQL server. `new_database()` creates an empty database, `migrated_database()` one with our tables."""
    with postgresql.running(tmp_path_factory.mktemp("postgresql")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def openid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    """An OpenID provider without users."""
    with openid_running(tmp_path_factory.mktemp("openid")) as provider:
        yield provider


@pytest.fixture(scope="session")
def behind_tls(stack: stacks.Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BehindTls]:
    """Another web server of `stack`, with the settings of docs/deployment.md, below a path, behind nginx with TLS."""
    with behind_tls_proxy(stack, tmp_path_factory.mktemp("nginx")) as proxy:
        yield proxy


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stacks.Stack]:
    """All processes of `make run`. A test that kills or freezes one starts or continues it again."""
    with stacks.running(tmp_path_factory.mktemp("stack"), oss.environment()) as running:
        yield running
