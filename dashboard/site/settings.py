"""Settings of the site. Whatever differs between installations comes from the environment.

`make run` writes its own settings to `var/env`, which is read here too, so that `manage.py` works with the same
installation. The environment takes precedence.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from environs import Env, validate
from whitenoise.compress import Compressor

from dashboard.site import password_rules, sub_path
from uploads.domain.roles import Role
from uploads.objectstore.addresses import Allowed, Network, parse_allowed

BASE_DIR = Path(__file__).resolve().parents[2]
VAR_DIR = Path(os.environ.get("PARTWAY_VAR", BASE_DIR / "var"))

env = Env()
if (VAR_DIR / "env").is_file():
    env.read_env(str(VAR_DIR / "env"), recurse=False)


CREATE_KEY = "python3 -c 'import base64, secrets; print(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())'"


def _required(name: str) -> str:
    value = env.str(name, "")
    if not value.strip():
        raise ImproperlyConfigured(
            f"{name} is not set. Load the settings of the installation first: set -a; . /etc/partway/env; set +a"
            + (f"\nFor a new installation, this creates a key: {CREATE_KEY}" if name == "CREDENTIALS_KEYS" else "")
        )
    return value


T = TypeVar("T")


def _addresses(name: str, parse: Callable[[str], T]) -> list[T]:
    try:
        return [parse(text.strip()) for text in env.str(name, "").split(",") if text.strip()]
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is not a list of networks, such as 10.1.0.0/16: {error}") from None


# --- The installation -------------------------------------------------------------------------------------------------

DEBUG: bool = env.bool("DEBUG", False)
SECRET_KEY: str = _required("SECRET_KEY")
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
SUB_PATH: str = sub_path.checked(env.str("SUB_PATH", ""))
"""The path of the site on its host, such as /partway. Empty: the site has the host for itself."""
FORCE_SCRIPT_NAME = SUB_PATH or None
CREDENTIALS_KEYS: list[str] = [key.strip() for key in _required("CREDENTIALS_KEYS").split(",")]
"""Fernet keys for stored credentials. The first encrypts and all decrypt, so that keys can be rotated."""
for number, key in enumerate(CREDENTIALS_KEYS, 1):
    try:
        Fernet(key)
    except ValueError:
        raise ImproperlyConfigured(
            f"Key {number} of CREDENTIALS_KEYS is not a Fernet key: 32 random bytes in URL-safe base64. "
            f"This creates one: {CREATE_KEY}"
        ) from None

NODE_NAME: str = env.str("NODE_NAME", socket.gethostname())
"""The machine whose disk has a transfer's staged bytes. Its workers consume the queue `node.<NODE_NAME>`."""

STAGING_DIR = Path(env.str("STAGING_DIR", str(VAR_DIR / "staging")))
STAGING_QUOTA: int = env.int("STAGING_QUOTA", 0)
"""Bytes that all staged parts of this node may use; 0: only free disk space limits them."""
STAGING_FREE_FLOOR: int = env.int("STAGING_FREE_FLOOR", 512 * 1024**2)
"""Bytes of the staging disk that always stay free."""
NODE_SILENT_SECONDS: float = env.float("NODE_SILENT_SECONDS", 60, validate=validate.Range(min=1))
"""Seconds without a report of a node's sender until the node is silent: pages say so, and it gets no messages."""
STAGING_EXPIRY: int = env.int("STAGING_EXPIRY", 24 * 3600)
"""Seconds after the last received byte until an incomplete file is deleted."""
RECEIVE_STALL_SECONDS: float = env.float("RECEIVE_STALL_SECONDS", 30)
"""Seconds without a byte until a connection that sends a body is closed. Its bytes are kept, and another can resume."""
RECEIVE_LEAST_RATE: int = env.int("RECEIVE_LEAST_RATE", 1024)
"""Bytes per second, over RECEIVE_STALL_SECONDS, below which a body counts as stalled."""
RECEIVE_SLOTS: int = env.int("RECEIVE_SLOTS", 40)
"""Bodies that are received at the same time. The other threads of the web server serve pages."""
SIGN_IN_ACCOUNT_FAILURES: int = env.int("SIGN_IN_ACCOUNT_FAILURES", 10, validate=validate.Range(min=1))
SIGN_IN_ADDRESS_FAILURES: int = env.int("SIGN_IN_ADDRESS_FAILURES", 50, validate=validate.Range(min=1))
"""Failed sign-ins after which an account, or all accounts from an address, are locked. A network may share one."""
SIGN_IN_LOCK_SECONDS: int = env.int("SIGN_IN_LOCK_SECONDS", 900, validate=validate.Range(min=1))
"""Seconds without a failure until a lock ends, and until failures are forgotten."""
TOTP_REQUIRED_ROLES: list[str] = env.list(
    "TOTP_REQUIRED_ROLES", [], validate=validate.ContainsOnly([role.value for role in Role])
)
"""Users with one of these roles, or a higher one, need a second factor with a password. Others may set one up."""
PASSWORD_THREADS: int = env.int("PASSWORD_THREADS", max(1, (os.cpu_count() or 1) // 2), validate=validate.Range(min=1))
"""Threads of a process that hash passwords at the same time. A hash occupies a core."""
PASSWORD_WAITING: int = env.int("PASSWORD_WAITING", 8, validate=validate.Range(min=0))
"""Requests that wait for one of these threads. Others are refused, and can try again."""
SESSION_IDLE_SECONDS: int = env.int("SESSION_IDLE_SECONDS", 12 * 3600, validate=validate.Range(min=120))
"""Seconds after which a session ends in which the operator does nothing. Sending a file counts, polling does not."""
SESSION_MAX_SECONDS: int = env.int("SESSION_MAX_SECONDS", 7 * 86400, validate=validate.Range(min=120))
"""Seconds after the sign-in until a session ends, whatever the operator does."""
CONNECTIONS_PER_ADDRESS: int = env.int("CONNECTIONS_PER_ADDRESS", 256, validate=validate.Range(min=1))
"""Connections that one client may have to the web server at the same time: one IPv4 address, or one IPv6 /64."""
USER_RECEIVE_SLOTS: int = env.int("USER_RECEIVE_SLOTS", 20, validate=validate.Range(min=1))
"""Bodies of one user that are received at the same time by this web server."""
CREATE_SLOTS: int = env.int("CREATE_SLOTS", 32, validate=validate.Range(min=1))
"""Transfers that are created at the same time. The other threads of the web server serve pages."""
USER_CREATE_SLOTS: int = env.int("USER_CREATE_SLOTS", 16, validate=validate.Range(min=1))
"""Transfers of one user that are created at the same time by this web server."""
USER_OPEN_TRANSFERS: int = env.int("USER_OPEN_TRANSFERS", 10_000, validate=validate.Range(min=1))
"""Transfers of one user that have neither ended nor failed."""
USER_RESERVED_BYTES: int = env.int("USER_RESERVED_BYTES", 0, validate=validate.Range(min=0))
"""Bytes of a node's staging that the transfers of one user may take; 0: nine tenths of what staging may take."""
STAGING_LEAST_RATE: int = env.int("STAGING_LEAST_RATE", 16 * 1024, validate=validate.Range(min=0))
"""Bytes per second. A slower sender gives up the space of its incomplete part when another transfer needs it."""
METRICS_TOKEN: str = env.str("METRICS_TOKEN", "")
"""The bearer token for reading /metrics. If empty, nobody may read it."""

STORE_STALL_SECONDS: float = env.float("STORE_STALL_SECONDS", 60)
"""Seconds without a byte in either direction until a request to a store times out."""
STORE_PAGE_SECONDS: float = env.float("STORE_PAGE_SECONDS", 15, validate=validate.Range(min=0, min_inclusive=False))
"""Seconds that one page, or one request of a script, waits for stores in all."""
STORE_WEB_THREADS: int = env.int("STORE_WEB_THREADS", 8, validate=validate.Range(min=1))
"""Threads of the web server, of 64, that may wait for one store at the same time."""
STORE_PROBE_SECONDS: int = env.int("STORE_PROBE_SECONDS", 300, validate=validate.Range(min=0))
"""After how long a store that nobody uses is tried in the background. 0: never."""
STORE_ALLOWED_ADDRESSES: list[Allowed] = _addresses("STORE_ALLOWED_ADDRESSES", parse_allowed)
"""Networks and addresses with a port that stores may have although they are refused otherwise, such as loopback."""
STORE_NETWORKS: list[Network] = _addresses("STORE_NETWORKS", ip_network)
"""If not empty, all stores are in these networks, or at STORE_ALLOWED_ADDRESSES."""
STORE_CA_DIR = Path(env.str("STORE_CA_DIR", str(VAR_DIR / "ca")))
"""The folder of the CA bundles of stores. Files elsewhere are never read."""
LEASE_SECONDS: float = env.float("LEASE_SECONDS", 120)
"""How long a process keeps its work without renewing the lease. Then another process takes the work over."""
if LEASE_SECONDS <= STORE_STALL_SECONDS:
    raise ImproperlyConfigured("LEASE_SECONDS must exceed STORE_STALL_SECONDS, or leases expire during requests.")
LOST_MESSAGE_SECONDS: float = env.float("LOST_MESSAGE_SECONDS", 60)
"""After how long a message on the queue counts as lost and is sent again. Duplicates are harmless."""
WATCH_SECONDS: float = env.float("WATCH_SECONDS", 10)
"""Seconds between two runs of the watchdog."""
SWEEP_SECOND_PERSON: bool = env.bool("SWEEP_SECOND_PERSON", False)
"""Whether a sweep must be approved by another user than its author."""
SWEEP_PLAN_HOURS: int = env.int("SWEEP_PLAN_HOURS", 24, validate=validate.Range(min=1, max=24 * 30))
"""After how many hours the plan of a sweep must be created again."""
SWEEP_STOP_PERCENT: int = env.int("SWEEP_STOP_PERCENT", 10, validate=validate.Range(min=1, max=100))
"""A run stops once more than this share of its uploads failed."""
KEEP_TRANSFERS_DAYS: int = env.int("KEEP_TRANSFERS_DAYS", 90, validate=validate.Range(min=0))
KEEP_OPERATIONS_DAYS: int = env.int("KEEP_OPERATIONS_DAYS", 90, validate=validate.Range(min=0))
KEEP_CHECKS_DAYS: int = env.int("KEEP_CHECKS_DAYS", 365, validate=validate.Range(min=0))
KEEP_SCANS_DAYS: int = env.int("KEEP_SCANS_DAYS", 90, validate=validate.Range(min=0))
KEEP_ENDED_UPLOADS_DAYS: int = env.int("KEEP_ENDED_UPLOADS_DAYS", 90, validate=validate.Range(min=0))
"""Days after its end until a row is deleted that owns nothing any more; 0: never."""
KEEP_AUDIT_DAYS: int = env.int("KEEP_AUDIT_DAYS", 0, validate=validate.Range(min=0))
"""Days until an entry of the audit log is removed, which leaves an entry that says so; 0: never."""
TOKEN_MAX_DAYS: int = env.int("TOKEN_MAX_DAYS", 365, validate=validate.Range(min=1, max=3650))
"""The longest time until an access token expires."""
INVITATION_HOURS: int = env.int("INVITATION_HOURS", 72, validate=validate.Range(min=1, max=24 * 30))
"""After how many hours a link with which a user sets a password expires."""

DATABASES = {"default": env.dj_db_url("DATABASE_URL", f"sqlite:///{VAR_DIR / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # The threads of a process write in turn.
    DATABASES["default"]["ENGINE"] = "uploads.database.sqlite"
    # IMMEDIATE takes the write lock at BEGIN. A DEFERRED transaction that reads before it writes cannot wait for it.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    DATABASES["default"]["CONN_MAX_AGE"] = 600
    # Otherwise Celery closes the connection before and after each task. To open it takes longer than most tasks, as
    # SQLite reads the whole schema again. `dashboard.site.celery` closes one that cannot be used.
    CELERY_DB_REUSE_MAX = sys.maxsize
else:
    if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
        # Each process shares a few connections between its threads.
        DATABASES["default"]["ENGINE"] = "uploads.database"
    DATABASES["default"]["OPTIONS"] = {"connect_timeout": 3, **DATABASES["default"].get("OPTIONS", {})}
DATABASE_POOL_SIZE: int = env.int("DATABASE_POOL_SIZE", 16, validate=validate.Range(min=1))
"""Connections to PostgreSQL of the web server, shared by its threads. A worker has at most one for each task."""
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL: str = env.str("REDIS_URL", "redis://127.0.0.1:6379/0")

# --- The application --------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "dashboard.shared.static_files.CollectedFiles",
    "csp",
    "axes",
    "django_htmx",
    "uploads",
    "dashboard.site.apps.DashboardConfig",
    # After ours, so that our `changepassword` and `createsuperuser` replace those without audit log.
    "django.contrib.auth",
]

MIDDLEWARE = [
    "dashboard.site.middleware.OurResponses",
    "dashboard.site.middleware.LogContext",
    "dashboard.site.middleware.AuditOrigin",
    "dashboard.transfers.tus.middleware.TusResponses",
    "dashboard.site.chunked_forms.ChunkedForms",
    "dashboard.site.request_checks.RequestChecks",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "dashboard.site.request_checks.KnownHost",
    "dashboard.site.tokens.AccessTokens",
    "django.middleware.csrf.CsrfViewMiddleware",
    "dashboard.site.signed_in.SignedIn",
    "dashboard.site.middleware.SessionActivity",
    "dashboard.site.audit_trail.AuditRefusals",
    "dashboard.site.request_checks.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "dashboard.site.middleware.StoreBudget",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "dashboard.site.urls"
WSGI_APPLICATION = "dashboard.site.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.site.context.queue",
                "dashboard.site.context.catalog",
                "dashboard.site.context.cookies",
                "dashboard.site.context.sign_on",
            ],
            "builtins": [
                "django.templatetags.static",
                "django.templatetags.i18n",
                "dashboard.templatetags.charts",
                "dashboard.templatetags.components",
                "dashboard.templatetags.values",
            ],
        },
    },
]

# Names of URLs: their paths begin with SUB_PATH.
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"
AUTH_PASSWORD_VALIDATORS = password_rules.VALIDATORS
# Django's defaults; the first hashes.
PASSWORD_HASHERS = [
    "uploads.services.sign_in.hashing.BoundedPBKDF2",
    *(f"django.contrib.auth.hashers.{name}" for name in ("PBKDF2SHA1PasswordHasher", "ScryptPasswordHasher")),
]
# Django adds the next one that knows the user. The first refuses accounts and addresses that are locked.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
BACKENDS_WITH_OWN_FACTORS = ["dashboard.sso.backends.SingleSignOn"]
"""Who signs in with these needs no second factor of ours."""
AXES_HANDLER = "uploads.services.sign_in.lockout.Lockout"
AXES_FAILURE_LIMIT = SIGN_IN_ACCOUNT_FAILURES
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]
AXES_COOLOFF_TIME = timedelta(seconds=SIGN_IN_LOCK_SECONDS)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_USERNAME_CALLABLE = "uploads.services.sign_in.lockout.counted_name"
AXES_CLIENT_IP_CALLABLE = "uploads.services.sign_in.lockout.counted_address"
AXES_LOCKOUT_CALLABLE = "dashboard.auth.locked"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
SESSION_ENGINE = "uploads.services.sign_in.session_store"

# --- Single sign-on by OpenID Connect (docs/sso.md) -------------------------------------------------------------------

OIDC_ISSUER: str = env.str("OIDC_ISSUER", "").strip()
"""The provider, as its configuration at /.well-known/openid-configuration names it. Empty: passwords only."""
OIDC_CLIENT_ID: str = env.str("OIDC_CLIENT_ID", "").strip()
OIDC_CLIENT_SECRET: str = env.str("OIDC_CLIENT_SECRET", "").strip()
OIDC_NAME: str = env.str("OIDC_NAME", "single sign-on")
"""What people call the provider: "Sign in with ..."."""
OIDC_SCOPES: list[str] = env.str("OIDC_SCOPES", "openid profile email").replace(",", " ").split()
OIDC_USERNAME_CLAIM: str = env.str("OIDC_USERNAME_CLAIM", "preferred_username")
"""The claim with the name that a new user gets."""
OIDC_GROUPS_CLAIM: str = env.str("OIDC_GROUPS_CLAIM", "groups")
OIDC_GROUP_ROLES: str = env.str("OIDC_GROUP_ROLES", "")
"""Which of the provider's groups is which group here, or `administrator`: theirs=ours,theirs=ours or a JSON object."""
OIDC_REQUIRE_GROUP: bool = env.bool("OIDC_REQUIRE_GROUP", False)
"""True: only members of a group in OIDC_GROUP_ROLES may sign in with the provider."""
OIDC_CREATE_USERS: bool = env.bool("OIDC_CREATE_USERS", True)
"""Whether a person who signs in for the first time becomes a user, who sees nothing without a grant."""
OIDC_LINK_BY_EMAIL: bool = env.bool("OIDC_LINK_BY_EMAIL", False)
"""Whether that person is an existing user with the same e-mail address, if the provider has verified it."""
OIDC_ONLY: bool = env.bool("OIDC_ONLY", False)
"""True: nobody signs in with a password, except OIDC_BREAK_GLASS_USER."""
OIDC_BREAK_GLASS_USER: str = env.str("OIDC_BREAK_GLASS_USER", "")
"""The user who can sign in with a password while the provider is down."""
OIDC_LOGOUT: str = env.str("OIDC_LOGOUT", "both", validate=validate.OneOf(["both", "ours"]))
"""Which sessions signing out ends: ours and that at the provider, or only ours."""
OIDC_SESSION_FOLLOWS_TOKEN: bool = env.bool("OIDC_SESSION_FOLLOWS_TOKEN", False)
"""True: a session ends with the ID token of the provider."""
OIDC_SECONDS: float = env.float("OIDC_SECONDS", 10, validate=validate.Range(min=0, min_inclusive=False))
"""Seconds that a page waits for the provider in all."""
OIDC_CA_BUNDLE: str = env.str("OIDC_CA_BUNDLE", "")
"""A file with the certificates of the authority that the provider's certificate is from. Empty: the public ones."""
if OIDC_ONLY:
    AUTHENTICATION_BACKENDS[-1] = "dashboard.sso.backends.Passwords"
if OIDC_ISSUER:
    AUTHENTICATION_BACKENDS.append("dashboard.sso.backends.SingleSignOn")

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["dashboard.site.formats"]
"""Date and number formats of languages that differ from Django's."""
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

# --- Static files: ours, and locked npm packages ----------------------------------------------------------------------

STATIC_URL = f"{SUB_PATH}/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", str(VAR_DIR / "static")))
NODE_MODULES = BASE_DIR / "node_modules"
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("tabler", NODE_MODULES / "@tabler/core/dist/css"),
    ("htmx", NODE_MODULES / "htmx.org/dist"),
    ("uppy", NODE_MODULES / "uppy/dist"),
    ("hash-wasm", NODE_MODULES / "hash-wasm/dist"),
]
ICONS_DIR = NODE_MODULES / "@tabler/icons/icons"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "dashboard.shared.static_files.StaticFiles"},
}
WHITENOISE_USE_FINDERS = DEBUG
# Only developer tools load source maps, and compressing them would take longer than everything else.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")

# --- Mail: invitations, if it is configured ---------------------------------------------------------------------------

EMAIL_URL: str = env.str("EMAIL_URL", "")
"""A mail server, such as smtp+tls://user:password@mail.example.com:587. Empty: no mail is sent."""
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
if EMAIL_URL:
    vars().update(env.dj_email_url("EMAIL_URL"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", "partway@localhost")

# --- Browser security -------------------------------------------------------------------------------------------------

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        # Tabler's CSS has check marks and chevrons as data: images.
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}
SECURE_COOKIES: bool = env.bool("SECURE_COOKIES", False)
"""True if the dashboard is reachable over https only."""
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SECURE_COOKIES
# The browser sends these cookies to this site only, and not to others on the same host.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = f"{SUB_PATH}/"
# Names of our own: another Django site on the same host would overwrite `sessionid`. Browsers accept `__Secure-` over
# https only, from any path. `__Host-` would not allow a path.
_COOKIE_PREFIX = "__Secure-" if SECURE_COOKIES else ""
SESSION_COOKIE_NAME = f"{_COOKIE_PREFIX}partway_session"
CSRF_COOKIE_NAME = f"{_COOKIE_PREFIX}partway_csrf"
LANGUAGE_COOKIE_NAME = "partway_language"
SSO_COOKIE_NAME = f"{_COOKIE_PREFIX}partway_sso"
MESSAGE_STORAGE = "dashboard.site.message_storage.Messages"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_HSTS_SECONDS: int = env.int("SECURE_HSTS_SECONDS", 0, validate=validate.Range(min=0))
"""How long browsers then use https only for this host. Sent with responses over https. 0: not sent."""
SECURE_SSL_REDIRECT: bool = env.bool("SECURE_SSL_REDIRECT", False)
"""Redirect http to https, except what programs on this machine read."""
SECURE_REDIRECT_EXEMPT = [r"(^|/)(healthz|metrics)$"]
# HSTS for subdomains and in the lists of browsers concerns other sites of the domain.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_HSTS_INCLUDE_SUBDOMAINS: bool = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", False)
SECURE_HSTS_PRELOAD: bool = env.bool("SECURE_HSTS_PRELOAD", False)
PERMISSIONS_POLICY: str = env.str(
    "PERMISSIONS_POLICY",
    "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), "
    "magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=(), xr-spatial-tracking=()",
)
"""The header Permissions-Policy: features of browsers that no page uses. Empty: not sent."""
DEFAULT_EXCEPTION_REPORTER = "dashboard.shared.tracebacks.Reporter"
DEFAULT_EXCEPTION_REPORTER_FILTER = "dashboard.shared.tracebacks.Filter"
CSRF_FAILURE_VIEW = "dashboard.shared.errors.csrf_failure"
BEHIND_TLS_PROXY: bool = env.bool("BEHIND_TLS_PROXY", False)
"""True if a proxy sets X-Forwarded-Proto on every request."""
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
TRUSTED_PROXIES: list[IPv4Network | IPv6Network] = []
"""Networks of proxies whose X-Forwarded-For is believed. A client's address is the last one that is not in them."""
for proxy in env.list("TRUSTED_PROXIES", [], subcast=str):
    try:
        TRUSTED_PROXIES.append(ip_network(proxy.strip()))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"TRUSTED_PROXIES must be addresses or networks, such as 127.0.0.1,10.0.0.0/8: {error}."
        ) from None

# All rows of a page of 1,000 can be selected, and each row is one field.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
# 1,000 selected uploads with keys of 1,024 bytes, percent-encoded, still fit.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024**2

# --- The queue: its messages are hints, the database is authoritative -------------------------------------------------

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "partway"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Unlimited: workers survive any outage of Redis.
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# Sending a part does not need the queue.
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# For workers. Publishing has shorter timeouts (uploads/services/work/queue.py).
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 30, "retry_on_timeout": True}
CELERY_TASK_PUBLISH_RETRY = False
# Celery's default scheduler would write the times of the last runs into a file, and nothing needs them after a restart.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "watchdog": {
        "task": "uploads.tasks.watchdog",
        "schedule": WATCH_SECONDS,
        # Messages that wait behind a long round are worthless.
        "options": {"queue": "partway.watch", "expires": 2 * WATCH_SECONDS},
    },
    # More often than once an hour, as beat may be restarted: the round itself runs at most once an hour.
    "delete-old-rows": {
        "task": "uploads.tasks.delete_old_rows",
        "schedule": 600,
        "options": {"queue": "partway.watch", "expires": 600},
    },
}

# --- Logs -------------------------------------------------------------------------------------------------------------

LOG_FORMAT: str = env.str("LOG_FORMAT", "line", validate=validate.OneOf(["line", "json"]))
"""`line`: for people. `json`: one object per line."""

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"class": "uploads.logs.Lines", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
        "json": {"()": "uploads.logs.JsonLines"},
    },
    "filters": {"noted": {"()": "uploads.logs.Noted"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["noted"]}},
    # What axes says is logged by uploads.services.sign_in.recording, without names that are no accounts. At DEBUG,
    # authlib logs the code verifiers of sign-ins.
    "loggers": {
        "axes": {"level": "ERROR"},
        "authlib": {"level": "INFO"},
        # With DEBUG and LOG_LEVEL=DEBUG, Django would log every statement, with the keys of sessions.
        "django.db.backends": {"level": "INFO"},
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", "INFO")},
}
