"""One installation of `make run`: its folder, the state that it keeps, and the environment of its processes."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local import ports
from local.files import write_private

PROJECT = Path(__file__).resolve().parent.parent
STORE = BUCKET = "demo"

SETTINGS = (
    "SECRET_KEY",
    "DEBUG",
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "SUB_PATH",
    "SECURE_COOKIES",
    "SECURE_HSTS_SECONDS",
    "SECURE_SSL_REDIRECT",
    "BEHIND_TLS_PROXY",
    "DATABASE_URL",
    "DATABASE_POOL_SIZE",
    "REDIS_URL",
    "STAGING_DIR",
    "STAGING_QUOTA",
    "STAGING_FREE_FLOOR",
    "STAGING_EXPIRY",
    "NODE_SILENT_SECONDS",
    "RECEIVE_STALL_SECONDS",
    "RECEIVE_LEAST_RATE",
    "RECEIVE_SLOTS",
    "USER_RECEIVE_SLOTS",
    "CREATE_SLOTS",
    "USER_CREATE_SLOTS",
    "USER_OPEN_TRANSFERS",
    "USER_RESERVED_BYTES",
    "STAGING_LEAST_RATE",
    "SIGN_IN_ACCOUNT_FAILURES",
    "SIGN_IN_ADDRESS_FAILURES",
    "SIGN_IN_LOCK_SECONDS",
    "TOTP_REQUIRED_ROLES",
    "PASSWORD_THREADS",
    "PASSWORD_WAITING",
    "SESSION_IDLE_SECONDS",
    "SESSION_MAX_SECONDS",
    "CONNECTIONS_PER_ADDRESS",
    "TOKEN_MAX_DAYS",
    "INVITATION_HOURS",
    "EMAIL_URL",
    "DEFAULT_FROM_EMAIL",
    "METRICS_TOKEN",
    "STORE_ALLOWED_ADDRESSES",
    "STORE_NETWORKS",
    "STORE_CA_DIR",
    "STORE_STALL_SECONDS",
    "STORE_PAGE_SECONDS",
    "STORE_WEB_THREADS",
    "STORE_PROBE_SECONDS",
    "LEASE_SECONDS",
    "LOST_MESSAGE_SECONDS",
    "WATCH_SECONDS",
    "SWEEP_SECOND_PERSON",
    "SWEEP_PLAN_HOURS",
    "STATIC_ROOT",
    "NODE_NAME",
    "CREDENTIALS_KEYS",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "TRUSTED_PROXIES",
    "KEEP_TRANSFERS_DAYS",
    "KEEP_OPERATIONS_DAYS",
    "KEEP_CHECKS_DAYS",
    "KEEP_SCANS_DAYS",
    "KEEP_ENDED_UPLOADS_DAYS",
    "KEEP_AUDIT_DAYS",
    "SWEEP_SECOND_PERSON",
    "SWEEP_PLAN_HOURS",
    "SWEEP_STOP_PERCENT",
    "PERMISSIONS_POLICY",
    "SECURE_HSTS_INCLUDE_SUBDOMAINS",
    "SECURE_HSTS_PRELOAD",
    "OIDC_ISSUER",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_NAME",
    "OIDC_SCOPES",
    "OIDC_USERNAME_CLAIM",
    "OIDC_GROUPS_CLAIM",
    "OIDC_GROUP_ROLES",
    "OIDC_REQUIRE_GROUP",
    "OIDC_CREATE_USERS",
    "OIDC_LINK_BY_EMAIL",
    "OIDC_SESSION_FOLLOWS_TOKEN",
    "OIDC_LOGOUT",
    "OIDC_ONLY",
    "OIDC_BREAK_GLASS_USER",
    "OIDC_CA_BUNDLE",
    "OIDC_SECONDS",
)
"""The settings that dashboard/site/settings.py reads. A value in the environment overrides the one chosen here."""

SECRET = re.compile("SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|_KEY|^(DATABASE|REDIS)_URL$", re.IGNORECASE)
"""Names of variables whose values no process inherits."""

FOREIGN = frozenset({"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"})


@dataclass(slots=True)
class Kept:
    """Values that are chosen once and kept as long as the data. The node name is one: queues are named after it."""

    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    credentials_key: str = field(default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    metrics_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    redis_password: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    store_secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    node_name: str = field(default_factory=socket.gethostname)
    redis_port: int = 0
    store_ports: list[int] = field(default_factory=list)
    store_added: bool = False
    seeded: bool = False


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder with all data of an installation: `var/` in the checkout, or PARTWAY_VAR."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def metrics(self) -> Path:
        """Where the processes keep their counters."""
        return self.path / "metrics"

    @property
    def lock(self) -> Path:
        return self.path / "run.lock"

    @property
    def first_login(self) -> Path:
        """The first login, until it has been shown. It has no password if ADMIN_PASSWORD set one."""
        return self.path / "first-login"

    @property
    def environment(self) -> Path:
        return self.path / "env"

    @property
    def _kept(self) -> Path:
        return self.path / "kept.json"

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def forget_metrics(self) -> None:
        """Delete all counters, so that the files of processes that have ended do not accumulate."""
        shutil.rmtree(self.metrics, ignore_errors=True)
        self.metrics.mkdir(mode=0o700, exist_ok=True)

    def load(self) -> Kept:
        """The state of earlier starts. Values that it lacks are chosen now."""
        kept = Kept(**json.loads(self._kept.read_text())) if self._kept.exists() else Kept()
        self.save(kept)
        return kept

    def save(self, kept: Kept) -> None:
        write_private(self._kept, json.dumps(asdict(kept), indent=1) + "\n")


def folder(environ: Mapping[str, str]) -> Folder:
    return Folder(Path(environ.get("PARTWAY_VAR") or PROJECT / "var").resolve())


def choose_ports(kept: Kept) -> None:
    """Use the ports of the last start if they are free, because the store's address is in the database."""
    kept.redis_port = ports.choose(1, keep=[kept.redis_port] if kept.redis_port else [])[0]
    kept.store_ports = ports.choose(4, keep=kept.store_ports)


def settings_environment(var: Folder, kept: Kept, redis_url: str, host: str) -> dict[str, str]:
    """Every setting of the site: the value of the user's environment, or the one chosen here."""
    chosen = {
        "SECRET_KEY": kept.secret_key,
        "CREDENTIALS_KEYS": kept.credentials_key,
        "METRICS_TOKEN": kept.metrics_token,
        "ALLOWED_HOSTS": ",".join(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", host, socket.gethostname()])),
        "DATABASE_URL": f"sqlite:///{var.path / 'db.sqlite3'}",
        "REDIS_URL": redis_url,
        "STAGING_DIR": str(var.path / "staging"),
        "STATIC_ROOT": str(var.path / "static"),
        "NODE_NAME": kept.node_name,
    }
    given = {name: os.environ[name] for name in SETTINGS if os.environ.get(name)}
    # The embedded store is on this machine, where no other store may be without this setting.
    allowed = [f"{ports.LOOPBACK}:{kept.store_ports[3]}"] if kept.store_ports else []
    allowed += filter(None, [given.get("STORE_ALLOWED_ADDRESSES")])
    return {**chosen, **given, "STORE_ALLOWED_ADDRESSES": ",".join(allowed)}


def write_environment(var: Folder, settings: Mapping[str, str]) -> None:
    """Write the settings to a file that `manage.py` reads as well."""
    lines = [f"{name}={_quoted(value)}" for name, value in settings.items()]
    note = "# Written by `make run`, read by dashboard/site/settings.py. The process environment overrides it."
    write_private(var.environment, "\n".join([note, *lines, ""]))


def process_environment(var: Folder, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of the processes."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    ours = {"PARTWAY_VAR": str(var.path), "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}
    ours["PROMETHEUS_MULTIPROC_DIR"] = str(var.metrics)
    inherited = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
    return {**inherited, **settings, **ours, "DJANGO_SETTINGS_MODULE": "dashboard.site.settings"}


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that reads its settings from the file: others can read an environment in /proc."""
    return {name: value for name, value in environment.items() if name not in SETTINGS and not SECRET.search(name)}


def foreign_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What programs that are not ours get of the environment: the embedded store and Redis."""
    return {name: value for name, value in environ.items() if name in FOREIGN or name.startswith("LC_")}


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
