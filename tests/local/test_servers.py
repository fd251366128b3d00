"""The embedded servers of `make run`, which the tests use too."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import pytest
import redis
import requests
from requests_aws4auth import AWS4Auth

from local import redis as embedded_redis
from local import swift as embedded
from tests.stores import redis as redis_store
from tests.stores import swift


def _get(store: swift.SwiftStore, path: str, secret_key: str) -> requests.Response:
    auth = AWS4Auth(store.access_key, secret_key, store.region, "s3")
    return requests.get(store.endpoint_url + path, auth=auth, timeout=30)


def test_store_verifies_signatures(swift_store: swift.SwiftStore) -> None:
    bucket = swift_store.new_bucket()
    assert _get(swift_store, f"/{bucket}", swift_store.secret_key).status_code == HTTPStatus.OK
    assert _get(swift_store, f"/{bucket}", "wrong").status_code == HTTPStatus.FORBIDDEN


def test_restarted_store_keeps_its_data(tmp_path: Path) -> None:
    with swift.running(tmp_path) as first:
        bucket = first.new_bucket()
    with swift.running(tmp_path) as second:
        assert f"<Name>{bucket}</Name>" in _get(second, "/", second.secret_key).text


def test_store_configuration_is_private(swift_store: swift.SwiftStore) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in swift_store.folder.glob("*.conf")}
    assert set(modes) == {"swift.conf", *(f"{name}.conf" for name in embedded.SERVERS)}
    assert set(modes.values()) == {0o600}


def test_redis_requires_its_password(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.ping()
        password = client.connection_pool.connection_kwargs["password"]
    assert redis_url.startswith(f"redis://:{password}@127.0.0.1:")


def test_pinned_server_is_preferred_to_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "redis-server"
    other.write_text("#!/bin/sh\necho Redis server v=1\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    embedded_redis.program.cache_clear()
    assert "site-packages" in str(embedded_redis.program().path)
    assert embedded_redis.program().version.startswith("Valkey server v=")
    monkeypatch.setattr(embedded_redis, "_packaged", lambda: None)
    embedded_redis.program.cache_clear()
    assert embedded_redis.program() == embedded_redis.Program(other, "Redis server v=1")
    monkeypatch.undo()
    embedded_redis.program.cache_clear()


def test_data_of_another_program_is_not_read(tmp_path: Path) -> None:
    first = tmp_path / "appendonlydir" / "appendonly.aof.1.base.rdb"
    first.parent.mkdir()
    first.write_bytes(b"REDIS0099 of a version that the server cannot read")
    with redis_store.running(tmp_path) as url, redis.Redis.from_url(url) as client:
        client.set("kept", 1)
    with redis_store.running(tmp_path) as url, redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"1", "the same program reads its own data"
