"""What a page and a process need of the installation: what is missing is named, and nothing starts that cannot work."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from cryptography.fernet import Fernet
from django.contrib.auth.models import User
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import Settings

from dashboard.shared import static_files
from dashboard.shared.static_files import StaticFiles
from dashboard.site import checks
from local.installation import PROJECT
from tests.environment import VAR_DIR
from uploads.models import Store

# Checks have connections of their own, which see what is committed.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def real_static_files(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The storage of an installation, with no collected files. Returns the folder of our own files."""
    monkeypatch.setattr(static_files, "_served", False)
    ours = tmp_path / "project" / "static"
    ours.mkdir(parents=True)
    settings.STATIC_ROOT = tmp_path / "collected"
    settings.STATIC_ROOT.mkdir()
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "dashboard.shared.static_files.StaticFiles"},
    }
    return ours


@pytest.fixture
def client() -> Client:
    """A client of an anonymous visitor, which gets a response to an exception as browsers do."""
    return Client(raise_request_exception=False)


@pytest.fixture
def operators(operator: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(operator)
    return client


@pytest.fixture
def unreadable_store(settings: Settings) -> Store:
    """A store whose credentials were encrypted with a key that is not there any more."""
    keys = settings.CREDENTIALS_KEYS
    settings.CREDENTIALS_KEYS = [Fernet.generate_key().decode()]
    store = Store.objects.create(name="lost", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    settings.CREDENTIALS_KEYS = keys
    return store


@pytest.fixture
def missing_column() -> Iterator[None]:
    """The database is of an earlier version."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE uploads_store RENAME COLUMN tried_at TO not_there")
    MigrationRecorder(connection).record_unapplied("uploads", "0014_store_silence")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE uploads_store RENAME COLUMN not_there TO tried_at")
    MigrationRecorder(connection).record_applied("uploads", "0014_store_silence")


def failed() -> set[str]:
    response = Client().get("/healthz?ready", headers={"Accept": "application/json"})
    return {name for name, result in response.json()["checks"].items() if result == "failed"}


# --- Static files -----------------------------------------------------------------------------------------------------


def collect(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """`manage.py collectstatic` with nothing but the settings."""
    env = {**os.environ, "STATIC_ROOT": str(tmp_path / "static")}
    argv = [sys.executable, "manage.py", "collectstatic", "--noinput"]
    return subprocess.run(argv, env=env, cwd=PROJECT, text=True, capture_output=True, check=False)


def test_static_files_are_collected_with_the_settings_alone_and_again_only_if_they_change(tmp_path: Path) -> None:
    first = collect(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "post-processed" in first.stdout
    second = collect(tmp_path)
    assert second.returncode == 0, second.stderr
    assert "post-processed" not in second.stdout


def test_package_may_refer_to_a_file_that_it_does_not_ship(
    settings: Settings, real_static_files: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "kit.css").write_text("a { background: url(img/missing.png) } b { background: url(here.svg) }")
    (package / "here.svg").write_text("<svg/>")
    settings.STATICFILES_DIRS = [("kit", package)]
    call_command("collectstatic", interactive=False, verbosity=0)
    collected = next((settings.STATIC_ROOT / "kit").glob("kit.*.css")).read_text()
    assert "url(img/missing.png)" in collected
    assert "url(here.svg)" not in collected


def test_deleted_static_file_is_collected_again(settings: Settings, real_static_files: Path) -> None:
    (real_static_files / "page.css").write_text("a {}")
    settings.STATICFILES_DIRS = [real_static_files]
    call_command("collectstatic", interactive=False, verbosity=0)
    collected = next(settings.STATIC_ROOT.glob("page.*.css"))
    collected.unlink()
    assert not static_files.is_current()
    call_command("collectstatic", interactive=False, verbosity=0)
    assert collected.exists()


def test_missing_file_of_our_own_is_an_error(settings: Settings, real_static_files: Path) -> None:
    (real_static_files / "page.css").write_text("a { background: url(missing.png) }")
    settings.BASE_DIR = real_static_files.parent
    settings.STATICFILES_DIRS = [real_static_files]
    with pytest.raises(ValueError, match=r"missing\.png"):
        call_command("collectstatic", interactive=False, verbosity=0)


def test_page_without_static_files_says_so(real_static_files: Path, client: Client) -> None:
    response = client.get("/login/")
    assert response.status_code == 500
    assert "The static files of this version are not installed" in response.content.decode()
    assert "<link" not in response.content.decode()


def test_static_files_of_another_version_are_named(
    settings: Settings, real_static_files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (real_static_files / "page.css").write_text("a {}")
    settings.STATICFILES_DIRS = [real_static_files]
    call_command("collectstatic", interactive=False, verbosity=0)
    storage = cast(StaticFiles, staticfiles_storage)
    names, storage.hashed_files = storage.hashed_files, {}
    assert "Restart it" in static_files.problem(), "as if this process had started before"
    storage.hashed_files = names
    assert "static" not in failed()
    static_files._served = False
    (real_static_files / "page.css").write_text("b {}")
    assert "static" in failed()
    assert "does not have the static files of this version. Run `make install`." in caplog.text


# --- Migrations and keys ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("missing_column")
def test_database_of_an_earlier_version_is_named(operators: Client, caplog: pytest.LogCaptureFixture) -> None:
    response = operators.get("/stores/")
    assert response.status_code == 500
    assert "The database does not have the tables of this version" in response.content.decode()
    assert "lacks migrations, such as uploads.0014_store_silence: run `manage.py migrate`" in caplog.text
    assert "migrations" in failed()


def test_lost_key_is_named(operators: Client, unreadable_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/", "/stores/", "/stores/lost/", "/stores/lost/bucket/uploads/"):
        response = operators.get(path)
        assert response.status_code in (200, 502), path
        assert "cannot be decrypted" in response.content.decode(), path
    assert "keys" in failed()
    assert "CREDENTIALS_KEYS cannot decrypt the credentials of the stores lost" in caplog.text


def test_other_exception_has_a_page_with_a_body(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr("dashboard.monitoring.readiness", fail)
    response = client.get("/healthz?ready")
    assert response.status_code == 500
    assert "This request was not completed. The server&#x27;s log has the details." in response.content.decode()
    response = client.get("/healthz?ready", headers={"Accept": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "InternalError")


# --- The start of processes -------------------------------------------------------------------------------------------


def test_web_server_does_not_start_without_static_files(real_static_files: Path) -> None:
    with pytest.raises(SystemExit, match="does not have the static files of this version"):
        checks.check_web_server()


@pytest.mark.usefixtures("missing_column")
def test_nothing_starts_with_a_database_of_an_earlier_version() -> None:
    with pytest.raises(SystemExit, match="lacks migrations of this version"):
        checks.check_web_server()
    with pytest.raises(SystemExit, match="lacks migrations of this version"):
        checks.check_worker()


def test_nothing_starts_with_wrong_keys(unreadable_store: Store) -> None:
    with pytest.raises(SystemExit, match="cannot decrypt the credentials of any store"):
        checks.check_web_server()
    with pytest.raises(SystemExit, match="cannot decrypt the credentials of any store"):
        checks.check_worker()


def test_key_that_only_some_stores_need_is_only_reported(
    unreadable_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    Store.objects.create(name="readable", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    checks.check_worker()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "of the stores lost" in caplog.text


def test_redis_that_evicts_keys_is_reported(
    settings: Settings, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings.REDIS_URL = redis_url
    checks.check_worker()
    assert "maxmemory-policy" not in caplog.text
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        checks.check_worker()
        client.config_set("maxmemory-policy", "noeviction")
    assert "set its maxmemory-policy to noeviction" in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"OIDC_ISSUER": "https://id.example"}, "OIDC_CLIENT_ID, OIDC_CLIENT_SECRET must be set, too"),
        ({"OIDC_ONLY": True}, "OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET must be set, too"),
        ({"OIDC_ISSUER": "http://id.example"}, "OIDC_ISSUER must start with https://"),
        ({"OIDC_GROUP_ROLES": "a=b,c"}, "OIDC_GROUP_ROLES cannot be read at c."),
        ({"OIDC_GROUP_ROLES": '{"a": 1}'}, 'OIDC_GROUP_ROLES cannot be read at {"a": 1}.'),
        ({"OIDC_REQUIRE_GROUP": True}, "OIDC_REQUIRE_GROUP needs the groups of OIDC_GROUP_ROLES"),
        ({"OIDC_CA_BUNDLE": "/nowhere"}, "OIDC_CA_BUNDLE is not a file"),
    ],
)
def test_single_sign_on_that_is_not_complete_is_named(settings: Settings, values: dict[str, Any], message: str) -> None:
    for name, value in values.items():
        setattr(settings, name, value)
    assert message in " ".join(str(each) for each in checks.check_single_sign_on())
    with pytest.raises(SystemExit, match="The settings have errors"):
        checks.check_web_server()


def test_single_sign_on_without_a_way_around_it_is_reported(settings: Settings) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = "https://id.example", "a", "b"
    assert checks.check_single_sign_on() == []
    settings.OIDC_ONLY = True
    assert [each.id for each in checks.check_single_sign_on()] == ["partway.W101"]
    settings.OIDC_BREAK_GLASS_USER = "rescue"
    assert checks.check_single_sign_on() == []


def test_proxy_whose_clients_have_one_address_is_reported(settings: Settings) -> None:
    assert checks.check_proxy() == []
    settings.BEHIND_TLS_PROXY = True
    assert [each.id for each in checks.check_proxy()] == ["partway.W004"]
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    assert checks.check_proxy() == []


def test_redirect_to_https_that_would_never_end_is_refused(settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    with pytest.raises(SystemExit, match="The settings have errors"):
        checks.check_web_server()


def documented_settings() -> dict[str, str]:
    """The environment that docs/deployment.md describes: the file of *Installation*, and what *Proxy* adds."""
    document = (PROJECT / "docs" / "deployment.md").read_text()
    [block] = re.findall(r"cat >/etc/partway/env <<END\n(.*?)END\n", document, flags=re.DOTALL)
    script = f"password=$(openssl rand -hex 12 2>/dev/null || echo a-password)\ncat <<END\n{block}END\n"
    lines = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout
    [more] = re.findall(r"Then set `([^`]*)`", document)
    return dict(each.split("=", maxsplit=1) for each in [*lines.split(), *more.split()])


def test_documented_settings_of_a_site_with_tls_have_no_warnings(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], **documented_settings(), "PARTWAY_VAR": str(tmp_path)}
    assert {"SECRET_KEY", "CREDENTIALS_KEYS", "DATABASE_URL", "SECURE_HSTS_SECONDS"} <= env.keys()
    argv = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "DEBUG"]
    done = subprocess.run(argv, env=env, cwd=PROJECT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_deployment_without_tls_has_warnings() -> None:
    argv = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(argv, cwd=PROJECT, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert "security.W012" in done.stderr


def check_keys() -> list[str]:
    """The ids of what `manage.py check --database default` finds about CREDENTIALS_KEYS."""
    found = checks.check_credentials_keys(databases=["default"])
    return [str(message.id) for message in found]


def test_check_of_the_database_reports_keys(unreadable_store: Store, settings: Settings) -> None:
    assert check_keys() == ["partway.W002", "partway.E002"]
    Store.objects.create(name="readable", endpoint_url="http://192.0.2.1", access_key="a", secret_key="b")
    assert check_keys() == ["partway.W003"]
    unreadable_store.delete()
    assert check_keys() == []
    settings.CREDENTIALS_KEYS = [*settings.CREDENTIALS_KEYS, Fernet.generate_key().decode()]
    assert check_keys() == ["partway.W002"]
    assert checks.check_credentials_keys() == []


@pytest.mark.parametrize(
    ("argv", "env", "message"),
    [
        (["manage.py", "check"], {"SECRET_KEY": ""}, "SECRET_KEY is not set. Load the settings"),
        (["-m", "dashboard.server"], {"CREDENTIALS_KEYS": "short"}, "Key 1 of CREDENTIALS_KEYS is not a Fernet key"),
        (["manage.py", "check"], {"CREDENTIALS_KEYS": ""}, "this creates a key: python3 -c"),
        (["manage.py", "check"], {"CREDENTIALS_KEYS": "short"}, "This creates one: python3 -c"),
        (["manage.py", "check"], {"STORE_ALLOWED_ADDRESSES": "localhost"}, "STORE_ALLOWED_ADDRESSES is not a list of"),
        (["-m", "celery", "-A", "dashboard", "worker"], {}, "Run `manage.py migrate`."),
    ],
)
def test_process_says_in_one_line_why_it_does_not_start(
    argv: list[str], env: dict[str, str], message: str, tmp_path: Path
) -> None:
    database = {"DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"}
    done = subprocess.run(
        [sys.executable, *argv],
        env={**os.environ, "PARTWAY_VAR": VAR_DIR, **database, **env},
        cwd=PROJECT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


# --- HTTPS ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def behind_tls(settings: Settings) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_HSTS_SECONDS = 3600
    settings.ALLOWED_HOSTS = ["partway.example.org", "127.0.0.1"]


@pytest.mark.usefixtures("behind_tls")
def test_http_is_redirected_to_https_with_hsts_but_not_for_monitoring() -> None:
    client = Client(headers={"Host": "partway.example.org"})
    response = client.get("/login/?next=/stores/")
    assert (response.status_code, response["Location"]) == (301, "https://partway.example.org/login/?next=/stores/")
    assert "Strict-Transport-Security" not in response
    secure = client.get("/login/", headers={"X-Forwarded-Proto": "https"})
    assert (secure.status_code, secure["Strict-Transport-Security"]) == (200, "max-age=3600")
    local = Client(headers={"Host": "127.0.0.1"})
    assert local.get("/healthz").status_code == 200
    assert local.get("/metrics").status_code == 403  # It has no token.
    assert local.get("/stores/healthz/").status_code == 301


@pytest.mark.usefixtures("behind_tls")
def test_monitoring_below_a_path_is_not_redirected(settings: Settings) -> None:
    settings.FORCE_SCRIPT_NAME = "/partway"
    local = Client(headers={"Host": "127.0.0.1"})
    assert local.get("/healthz").status_code == 200
    assert local.get("/login/")["Location"] == "https://127.0.0.1/partway/login/"


def test_neither_redirect_nor_hsts_without_settings() -> None:
    response = Client().get("/login/")
    assert response.status_code == 200
    assert "Strict-Transport-Security" not in response


def test_headers_restrict_what_browsers_do(settings: Settings) -> None:
    response = Client().get("/login/")
    assert "camera=()" in response["Permissions-Policy"]
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == response["Cross-Origin-Resource-Policy"] == "same-origin"
    assert (response["X-Frame-Options"], response["X-Content-Type-Options"]) == ("DENY", "nosniff")
    settings.PERMISSIONS_POLICY = ""
    assert "Permissions-Policy" not in Client().get("/login/")
