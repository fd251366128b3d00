"""A whole run of `make run` whose secrets are known, and what it leaves behind: none of them is in it."""

from __future__ import annotations

import base64
import json
import re
import resource
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import redis
import requests
from django_otp.oath import TOTP

from local import ports
from local.installation import BUCKET, STORE, Folder, Kept
from local.swift import ACCESS_KEY, LOOPBACK_URL
from tests.local.launching import Launcher
from tests.system.stack import PATIENCE, STATIC_FILES, Login, Operator, wait_for

TYPED = {
    "ADMIN_PASSWORD": "a long admin-passphrase",
    "METRICS_TOKEN": "metrics-token-that-is-known",
    "STORE_SECRET_KEY": "store-secret-from-the-shell",
    "STORE_SESSION_TOKEN": "session-token-from-the-shell",
    "AWS_SECRET_ACCESS_KEY": "a-secret-of-another-program",
}
"""Secrets in the environment of the shell that starts `make run`."""

FORM = {"secret_key": "store-secret-typed-into-the-form", "session_token": "session-token-typed-into-the-form"}

INVITED = "the password of the invited user"

PRIVATE = ("kept.json", "env", "redis/redis.conf", "store/proxy.conf")
"""The files that have secrets: what the processes read at their start."""


@dataclass
class Run:
    """The run, what it was given, and every page that it has sent."""

    launcher: Launcher
    var: Path
    cookies: list[str]
    totp_keys: list[str]
    recovery_codes: list[str]
    shown_once: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)

    @property
    def kept(self) -> Kept:
        return Folder(self.var).load()

    def secrets(self) -> dict[str, str]:
        kept = self.kept
        chosen = {
            "SECRET_KEY": kept.secret_key,
            "CREDENTIALS_KEYS": kept.credentials_key,
            "the password of Redis": kept.redis_password,
            "the secret key of the embedded store": kept.store_secret_key,
        }
        cookies = {f"session cookie {number}": value for number, value in enumerate(self.cookies)}
        codes = {f"recovery code {number}": value for number, value in enumerate(self.recovery_codes)}
        keys = {f"key of the second factor {number}": value for number, value in enumerate(self.totp_keys)}
        once = {f"token or link {number}": value for number, value in enumerate(self.shown_once)}
        return {**TYPED, **FORM, **chosen, **cookies, **codes, **keys, **once, "an invited user's password": INVITED}

    def leaks(self, content: bytes) -> list[str]:
        return [name for name, secret in self.secrets().items() if secret.encode() in content]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A run that has done everything that touches secrets."""
    var = tmp_path_factory.mktemp("secrets") / "var"
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    var.mkdir(mode=0o700)
    (var / "kept.json").write_text(json.dumps({"seeded": True}))  # The test needs no demo data.
    (var / "kept.json").chmod(0o600)
    static = str(STATIC_FILES)
    launcher = Launcher(var, ports.choose(1)[0], LOG_LEVEL="DEBUG", STATIC_ROOT=static, **TYPED)
    try:
        launcher.wait_until_ready()
        done = Run(launcher, var, [], [], [])
        exercise(done)
        yield done
    finally:
        launcher.close()
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def exercise(run: Run) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.hooks["response"] = [lambda response, **_: run.pages.append(response.text)]
        operator = Operator(run.launcher.url.rstrip("/"), session)
        operator.sign_in(Login("admin", TYPED["ADMIN_PASSWORD"]))
        use_stores(run, operator)
        sent = operator.send_file(STORE, BUCKET, "a key", b"x" * 1000)
        operator.wait_for_state(sent, "done")
        for path in (
            "/",
            "/stores/",
            f"/stores/{STORE}/",
            "/stores/typed/",
            "/stores/typed/edit/",
            "/audit/",
            "/staging/",
        ):
            session.get(operator.url + path)
        session.get(f"{operator.url}/metrics", headers={"Authorization": f"Bearer {TYPED['METRICS_TOKEN']}"})
        # What is refused is logged: a wrong password, a wrong form, a wrong token.
        with requests.Session() as stranger:
            stranger.trust_env = False
            stranger.get(f"{operator.url}/login/")
            login = {"username": "admin", "password": TYPED["STORE_SECRET_KEY"]}
            login["csrfmiddlewaretoken"] = stranger.cookies["partway_csrf"]
            stranger.post(f"{operator.url}/login/", data=login, headers={"Referer": operator.url})
            bearer = {"Authorization": f"Bearer {FORM['session_token']}", "Accept": "application/json"}
            stranger.get(f"{operator.url}/stores/", headers=bearer)
        run.cookies += [value for name, value in session.cookies.items() if name == "partway_session"]
        use_token(run, operator)
        invite(run, operator)
        use_second_factor(run, operator)
        run.cookies += [value for name, value in session.cookies.items() if name == "partway_session"]
        assert run.cookies


def use_stores(run: Run, operator: Operator) -> None:
    """Test, add and change a store whose secrets are wrong, so that requests to it fail and are logged."""
    form = {
        "name": "typed",
        "provider": "swift",
        "endpoint_url": LOOPBACK_URL.format(run.kept.store_ports[3]),
        "access_key": ACCESS_KEY,
        "payload_signing": "unsigned",
        "enabled": "on",
        **FORM,
    }
    operator.post("/stores/new/", {**form, "action": "test"})
    operator.post("/stores/new/", {**form, "name": "Not A Name"})
    operator.post("/stores/new/", form)
    operator.post("/stores/typed/edit/", {**form, "buckets": "named"})
    assert "SignatureDoesNotMatch" in operator.session.get(f"{operator.url}/stores/typed/").text


def use_token(run: Run, operator: Operator) -> None:
    """Create an access token. The page that shows it, once, is the exception."""
    shown = len(run.pages)
    form = {"name": "of the test", "scopes": ["read", "transfer"], "days": "7"}
    [token] = re.findall(r'<code id="secret">([^<]+)</code>', operator.post("/tokens/new/", form).text)
    del run.pages[shown:]
    run.shown_once.append(token)
    with requests.Session() as script:
        script.trust_env = False
        bearer = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        assert script.get(f"{operator.url}/stores/", headers=bearer).ok
        run.pages.append(script.post(f"{operator.url}/stores/new/", headers=bearer).text)
    operator.session.get(f"{operator.url}/tokens/")


def invite(run: Run, operator: Operator) -> None:
    """Add a user, who sets a password with a link. The pages with the link are the exception."""
    shown = len(run.pages)
    page = operator.post("/users/new/", {"username": "invited"}).text
    [link] = re.findall(r'<code id="secret">([^<]+)</code>', page)
    token = link.rpartition("=")[2]
    run.shown_once.append(token)
    with requests.Session() as invited:
        invited.trust_env = False
        invited.get(f"{operator.url}/invitation/", params={"token": token})
        form = {"token": token, "password": INVITED, "again": INVITED}
        form["csrfmiddlewaretoken"] = invited.cookies["partway_csrf"]
        set_up = invited.post(f"{operator.url}/invitation/", data=form, headers={"Referer": operator.url})
        assert "The password is set" in set_up.text
    del run.pages[shown:]
    operator.session.get(f"{operator.url}/users/")


def use_second_factor(run: Run, operator: Operator) -> None:
    """Set up an app for codes. The pages that show its key and the recovery codes, once, are the exception."""
    shown = len(run.pages)
    path = "/account/second-factor/"
    operator.post(path, {"action": "begin"})
    page = operator.session.get(operator.url + path).text
    [shown_key] = re.findall(r'<code class="mono">([A-Z2-7 ]{39})</code>', page)
    key = shown_key.replace(" ", "")
    code = TOTP(base64.b32decode(key)).token()
    headers = {"X-CSRFToken": operator.csrf_token, "Referer": operator.url}
    form = {"action": "confirm", "code": f"{code:06}"}
    codes = operator.session.post(operator.url + path, data=form, headers=headers).text
    run.totp_keys += [key, base64.b32decode(key).hex()]
    [listed] = re.findall(r'<pre class="recovery-codes">(.*?)</pre>', codes, flags=re.DOTALL)
    run.recovery_codes += listed.split()
    assert run.recovery_codes
    del run.pages[shown:]


def files_of(run: Run) -> dict[str, bytes]:
    """Every file of the installation except the private ones: database, logs, append-only file, data of the store."""
    found = {}
    for path in run.var.rglob("*"):
        name = str(path.relative_to(run.var))
        if path.is_file() and name not in PRIVATE and not name.startswith("static/"):
            found[name] = path.read_bytes()
    return found


def test_files_have_no_secrets_but_the_private_ones(run: Run) -> None:
    with sqlite3.connect(run.var / "db.sqlite3") as connection:
        connection.execute("PRAGMA wal_checkpoint(FULL)")
        stored = dict(connection.execute("SELECT name, secret_key FROM uploads_store"))
        sessions = connection.execute("SELECT count(*) FROM uploads_session").fetchone()
    assert stored.keys() == {STORE, "typed"}
    assert sessions[0] > 0
    files = files_of(run)
    assert {"db.sqlite3", "log/web.log", "log/sender.log", "log/redis.log"} <= files.keys()
    assert any(name.startswith("redis/appendonlydir/") for name in files)
    assert b"DEBUG" in files["log/web.log"]
    assert {name: run.leaks(content) for name, content in files.items() if run.leaks(content)} == {}
    for name in PRIVATE:
        assert (run.var / name).stat().st_mode & 0o077 == 0, name


def test_redis_has_no_secrets(run: Run) -> None:
    """All values, and a dump without compression, which also has what is not a key."""
    kept = run.kept
    with redis.Redis(port=kept.redis_port, password=kept.redis_password) as client:
        client.config_set("rdbcompression", "no")
        client.save()
        client.bgrewriteaof()
        wait_for("the append-only file", lambda: not client.info("persistence")["aof_rewrite_in_progress"])
        assert client.dbsize() > 0
        values = b"".join(client.dump(key) or b"" for key in client.scan_iter())
        clients = repr(client.client_list()).encode()
    dumped = {name: content for name, content in files_of(run).items() if name.startswith("redis/")}
    assert any(name.endswith(".rdb") for name in dumped)
    assert {name: run.leaks(content) for name, content in dumped.items() if run.leaks(content)} == {}
    assert run.leaks(values) == []
    assert run.leaks(clients) == []


def test_pages_and_the_terminal_show_no_secrets(run: Run) -> None:
    assert len(run.pages) > 15
    assert [leaks for page in run.pages if (leaks := run.leaks(page.encode()))] == []
    assert run.leaks(run.launcher.output.encode()) == []


def proc(process: psutil.Process, name: str) -> bytes:
    return (Path("/proc") / str(process.pid) / name).read_bytes()


def test_environments_and_command_lines_have_no_secrets(run: Run) -> None:
    """The launcher itself has what the shell has given to it."""
    _launcher, *below = run.launcher.processes()
    assert len(below) > 9
    for process in below:
        assert run.leaks(proc(process, "environ")) == [], process.cmdline()
        assert run.leaks(proc(process, "cmdline")) == [], process.cmdline()
    foreign = [each for each in below if re.search("swift_server|(valkey|redis)-server", " ".join(each.cmdline()))]
    assert len(foreign) == 5
    for process in foreign:
        names = {each.partition(b"=")[0].decode() for each in proc(process, "environ").split(b"\0") if each}
        assert not {name for name in names if name.startswith(("PARTWAY", "DJANGO", "LOG_"))}, process.cmdline()


def test_processes_that_crash_leave_no_core(run: Run) -> None:
    _launcher, *below = run.launcher.processes()
    limits = [re.search(rb"Max core file size +(\S+) +(\S+)", proc(each, "limits")) for each in below]
    assert {match.groups() for match in limits if match} == {(b"0", b"0")}
    # Not a child of the sender, which the sender replaces.
    [supervisord] = [each for each in below if "supervisor.supervisord" in each.cmdline()]
    supervised = supervisord.children()
    for pattern in ("dashboard.server", "celery.* sender@", "(valkey|redis)-server"):
        process = next(each for each in supervised if re.search(pattern, " ".join(each.cmdline())))
        process.send_signal(signal.SIGABRT)
        process.wait(PATIENCE)
    log = run.var / "log" / "supervisord.log"
    # Redis reports its crash itself, and may crash again while it does.
    wait_for("the log", lambda: len(re.findall("terminated by SIG(?:ABRT|SEGV)", log.read_text())) >= 3)
    assert "core dumped" not in log.read_text()
    folders = [Path.cwd(), run.var, run.var / "redis", run.var / "log"]
    assert [str(path) for folder in folders for path in folder.glob("core*") if path.is_file()] == []
