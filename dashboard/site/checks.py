"""Whether the settings and the installation are complete: system checks (`manage.py check`), and a check at each start.

A process does not start if it could not do its work, and says what to do. It does start if the database is unavailable,
because it works again when the database is back.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import ERROR, CheckMessage, Error, Warning, register, run_checks
from django.db import Error as DatabaseError
from django.db import connections
from django.utils.translation import gettext as _

from dashboard.shared import static_files
from uploads.domain.group_roles import GroupRolesError
from uploads.services.sso import configuration as single_sign_on
from uploads.services.stores.keys import unused_keys
from uploads.services.upkeep.health import missing_migrations, unreadable_stores
from uploads.services.work import broker

log = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@register("security")
def check_https(**_kwargs: Any) -> list[CheckMessage]:
    """The settings of https need a proxy that says which requests are https: this server speaks http."""
    if settings.BEHIND_TLS_PROXY:
        return []
    hint = _("Set BEHIND_TLS_PROXY=1 if a proxy always sets X-Forwarded-Proto.")
    found: list[CheckMessage] = []
    if settings.SECURE_SSL_REDIRECT:
        found.append(Error(_("SECURE_SSL_REDIRECT redirects every request forever."), hint, id="partway.E001"))
    if settings.SECURE_HSTS_SECONDS:
        text = _("SECURE_HSTS_SECONDS has no effect: no request is known to be https.")
        found.append(Warning(text, hint, id="partway.W001"))
    return found


@register("security")
def check_proxy(**_kwargs: Any) -> list[CheckMessage]:
    """Behind a proxy that is not trusted, all clients have one address, with its limits and locks."""
    if settings.TRUSTED_PROXIES or not settings.BEHIND_TLS_PROXY:
        return []
    text = _(
        "All clients behind the proxy have its address: a stranger whose sign-ins fail locks everybody out, and the "
        "audit log does not tell them apart."
    )
    hint = _("Set TRUSTED_PROXIES to the address of the proxy, and have it set X-Forwarded-For.")
    return [Warning(text, hint, id="partway.W004")]


@register("database")
def check_credentials_keys(databases: Collection[str] | None = None, **_kwargs: Any) -> list[CheckMessage]:
    """Whether CREDENTIALS_KEYS belong to the stored secrets: `manage.py check --database default`, and `migrate`."""
    if not databases:
        return []
    try:
        if missing_migrations():
            return []
        unreadable, all_stores = unreadable_stores()
        unused = unused_keys()
    except DatabaseError:
        # The database is unavailable or new. Other commands say so.
        return []
    found: list[CheckMessage] = [Warning(_unused_key(number), id="partway.W002") for number in unused]
    if unreadable:
        kind, number = (Error, "partway.E002") if all_stores else (Warning, "partway.W003")
        found.append(kind(_unreadable(unreadable), _lost_key(), id=number))
    return found


def _unused_key(number: int) -> str:
    text = _(
        "Key %(number)s of CREDENTIALS_KEYS decrypts no stored secret. A new first key does after `manage.py "
        "rotate_credentials`; any other can be removed."
    )
    return text % {"number": number}


def _unreadable(stores: list[str]) -> str:
    text = _("CREDENTIALS_KEYS cannot decrypt the credentials of the stores %(names)s.")
    return text % {"names": ", ".join(stores)}


def _lost_key() -> str:
    return _(
        "Add the key that encrypted them. If it is lost, enter the secrets again: on the page of each store, or with "
        "`manage.py add_store NAME --update`."
    )


@register("security")
def check_single_sign_on(**_kwargs: Any) -> list[CheckMessage]:
    """The settings alone: the provider may be down when this process starts."""
    hint = _("docs/sso.md describes the settings.")
    found: list[CheckMessage] = []
    if missing := single_sign_on.missing():
        text = _("Single sign-on is not complete: %(names)s must be set, too.") % {"names": ", ".join(missing)}
        found.append(Error(text, hint, id="partway.E101"))
    issuer = urlsplit(settings.OIDC_ISSUER)
    if issuer.scheme != "https" and not (issuer.scheme == "http" and issuer.hostname in LOOPBACK) and issuer.geturl():
        found.append(Error(_("OIDC_ISSUER must start with https://."), hint, id="partway.E102"))
    try:
        single_sign_on.roles()
    except GroupRolesError as error:
        text = _("OIDC_GROUP_ROLES cannot be read at %(part)s.") % {"part": error}
        found.append(Error(text, hint, id="partway.E103"))
    if settings.OIDC_REQUIRE_GROUP and not settings.OIDC_GROUP_ROLES:
        text = _("OIDC_REQUIRE_GROUP needs the groups of OIDC_GROUP_ROLES.")
        found.append(Error(text, hint, id="partway.E105"))
    if settings.OIDC_CA_BUNDLE and not Path(settings.OIDC_CA_BUNDLE).is_file():
        found.append(Error(_("OIDC_CA_BUNDLE is not a file."), hint, id="partway.E104"))
    if settings.OIDC_ONLY and not settings.OIDC_BREAK_GLASS_USER:
        text = _("Nobody can sign in while the provider is down: OIDC_BREAK_GLASS_USER is not set.")
        found.append(Warning(text, hint, id="partway.W101"))
    return found


def check_web_server() -> None:
    """Check before the web server starts. Raises SystemExit."""
    _check_settings()
    if problem := static_files.problem():
        _refuse(problem)
    _check_database()


def check_worker() -> None:
    """Check before a worker starts. Raises SystemExit."""
    _check_database()
    if broker.may_evict():
        log.warning("Redis may delete messages of the queue: set its maxmemory-policy to noeviction")


def _check_settings() -> None:
    # The checks for a deployment are about TLS.
    found = run_checks(include_deployment_checks=settings.BEHIND_TLS_PROXY)
    for message in found:
        if not message.is_silenced():
            log.log(message.level, "%s", message)
    if any(message.is_serious(ERROR) and not message.is_silenced() for message in found):
        _refuse(_("The settings have errors: see above."))


def _check_database() -> None:
    try:
        missing = missing_migrations()
        unreadable, all_stores = ([], False) if missing else unreadable_stores()
        unused = [] if missing else unused_keys()
    except DatabaseError as error:
        log.warning("the database is unavailable: %s", error)
        return
    finally:
        connections.close_all()
    if missing:
        text = _("The database lacks migrations of this version, such as %(name)s. Run `manage.py migrate`.")
        _refuse(text % {"name": missing[-1]})
    # With wrong keys, all work would fail. Without a key that only some stores need, the others can be used.
    for number in unused:
        log.warning("%s", _unused_key(number))
    if unreadable:
        log.error("%s", _unreadable(unreadable))
    if unreadable and all_stores:
        _refuse(_("CREDENTIALS_KEYS cannot decrypt the credentials of any store.") + " " + _lost_key())


def _refuse(problem: str) -> NoReturn:
    sys.exit(f"Partway cannot start: {problem}")
