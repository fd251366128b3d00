"""The OpenID provider: where the browser is sent, and what the provider says about who came back.

Authlib does the protocol: Authorization Code with PKCE, the nonce, and the validation of the ID token with the keys of
the provider, which it reads again when a token names a key that is not known.

No exception and no log record has a token, a code, the client's secret or an address with a query.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

from uploads.objectstore import budget
from uploads.objectstore.connections import NeverConnectedError
from uploads.problems import Code, Problem, ProblemError
from uploads.services.sso.configuration import Configuration, configuration

log = logging.getLogger(__name__)

T = TypeVar("T")

SLOTS = 8
"""Threads of the web server, of 64, that may wait for the provider at the same time."""
METADATA_SECONDS = 3600.0
"""How long the provider's addresses and keys are kept. Keys that are not known are read again at once."""
LATEST = 4e9
"""The end of tokens that do not end: in the year 2096, in seconds since 1970."""
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures with a key of the provider. Not with the client's secret, and not none."""

NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OPTIONAL = ("userinfo_endpoint", "end_session_endpoint")

_slots = threading.BoundedSemaphore(SLOTS)


class ProviderUnavailable(ProblemError):
    """The provider did not respond in time, or with something that is no response of a provider."""


class ProviderRefused(ProblemError):
    """The provider responded, and nobody is signed in."""


@dataclass(frozen=True, slots=True)
class Started:
    """A sign-in that the browser was sent away for. What of it comes back is compared with this."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """Who signed in, as the provider says. `groups` is None if it left out the groups because there are too many."""

    issuer: str
    subject: str
    username: str = ""
    email: str = ""
    email_verified: bool = False
    groups: frozenset[str] | None = frozenset()
    id_token: str = field(default="", repr=False)
    expires_at: float = 0


class Provider:
    """Shared by all threads of a process."""

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self._app: Any = None
        self._read_at = 0.0

    # --- Steps --------------------------------------------------------------------------------------------------------

    def start(self, redirect_uri: str) -> Started:
        """Where to send the browser. Raises ProviderUnavailable."""
        found = self._ask(lambda app: app.create_authorization_url(redirect_uri))
        return Started(found["url"], found["state"], found["nonce"], found["code_verifier"])

    def finish(self, code: str, nonce: str, verifier: str, redirect_uri: str) -> Person:
        """Exchange the code and validate the ID token. Raises ProviderUnavailable and ProviderRefused."""
        return self._ask(lambda app: self._finish(app, code, nonce, verifier, redirect_uri))

    def end_session_url(self, id_token: str, return_uri: str) -> str:
        """Where to send the browser to sign out there, too; '' if the provider has no such address."""

        def url(app: Any) -> str:
            if not app.load_server_metadata().get("end_session_endpoint"):
                return ""
            found = app.create_logout_url(return_uri, id_token or None, client_id=self._config.client_id)
            return str(found["url"])

        return self._ask(url)

    @property
    def checks_issuer(self) -> bool:
        """Whether the provider names itself when the browser returns (RFC 9207)."""
        return self._app is not None and bool(
            self._app.server_metadata.get("authorization_response_iss_parameter_supported")
        )

    # --- The exchange -------------------------------------------------------------------------------------------------

    def _finish(self, app: Any, code: str, nonce: str, verifier: str, redirect_uri: str) -> Person:
        token = app.fetch_access_token(redirect_uri=redirect_uri, code=code, code_verifier=verifier)
        claims = self._validated(app, token, nonce)
        if self._config.groups_claim not in claims and self._groups_left_out(claims):
            return self._person(claims, token, None)
        if self._config.groups_claim not in claims and app.server_metadata.get("userinfo_endpoint"):
            more = app.userinfo(token=token)
            if more.get("sub") != claims["sub"]:
                raise ValueError("sub")
            claims = {**more, **claims}
        groups = claims.get(self._config.groups_claim) or []
        listed = groups if isinstance(groups, list) else [groups]
        return self._person(claims, token, frozenset(each for each in listed if isinstance(each, str)))

    def _validated(self, app: Any, token: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """The claims of the ID token. A key may change without a new name, so keys are read again once."""
        from joserfc.errors import BadSignatureError

        options = {
            "iss": {"essential": True, "value": self._config.issuer},
            "aud": {"essential": True, "value": self._config.client_id},
        }
        if not isinstance(token.get("id_token"), str):
            raise ValueError("id_token")
        try:
            claims: Mapping[str, Any] = app.parse_id_token(token, nonce, options)
        except BadSignatureError:
            app.fetch_jwk_set(force=True)
            claims = app.parse_id_token(token, nonce, options)
        return claims

    def _groups_left_out(self, claims: Mapping[str, Any]) -> bool:
        """Entra ID replaces more than 200 groups by a reference to another API."""
        elsewhere = claims.get("_claim_names")
        return isinstance(elsewhere, Mapping) and self._config.groups_claim in elsewhere

    def _person(self, claims: Mapping[str, Any], token: Mapping[str, Any], groups: frozenset[str] | None) -> Person:
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise ValueError("sub")
        return Person(
            issuer=self._config.issuer,
            subject=subject,
            username=_text(claims, self._config.username_claim),
            email=_text(claims, "email"),
            email_verified=claims.get("email_verified") is True,
            groups=groups,
            id_token=token["id_token"],
            expires_at=min(float(claims["exp"]), LATEST),
        )

    # --- Requests -----------------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Ask within the time that a page may wait, and explain what went wrong without any secret."""
        limit = budget.Budget(self._config.seconds)
        with _slot(), _explained(self._config.issuer), budget.limited_to(limit), limit.spending():
            return question(self._current())
        raise AssertionError("unreachable")

    def _current(self) -> Any:
        """The client, with the provider's addresses, which are read again after a while."""
        if self._app is None or time.monotonic() - self._read_at > METADATA_SECONDS:
            app = self._new_app()
            metadata = app.load_server_metadata()
            self._check(metadata)
            supported = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
            metadata["id_token_signing_alg_values_supported"] = [each for each in supported if each in ALGORITHMS]
            self._app, self._read_at = app, time.monotonic()
        return self._app

    def _new_app(self) -> Any:
        from uploads.services.sso.connections import App

        config = self._config
        options = {
            "scope": " ".join(config.scopes),
            "code_challenge_method": "S256",
            "ca_bundle": config.ca_bundle,
            "seconds": config.seconds,
        }
        return App(
            None,
            "partway",
            client_id=config.client_id,
            client_secret=config.client_secret,
            client_kwargs=options,
            server_metadata_url=f"{config.issuer.rstrip('/')}/.well-known/openid-configuration",
            user_agent="partway",
        )

    def _check(self, metadata: Mapping[str, Any]) -> None:
        """Raises ValueError unless this is the document of the issuer, and the secret goes over TLS as it does."""
        if metadata.get("issuer") != self._config.issuer:
            raise ValueError("issuer")
        scheme = urlsplit(self._config.issuer).scheme
        for name in (*NEEDED, *OPTIONAL):
            address = metadata.get(name)
            if address is None and name in OPTIONAL:
                continue
            if not isinstance(address, str) or urlsplit(address).scheme not in {scheme, "https"}:
                raise ValueError(name)


def _text(claims: Mapping[str, Any], name: str) -> str:
    """A text without characters that a database refuses."""
    value = claims.get(name)
    return "".join(filter(str.isprintable, value)).strip() if isinstance(value, str) else ""


@contextmanager
def _slot() -> Iterator[None]:
    if not _slots.acquire(blocking=False):
        raise ProviderUnavailable(Problem(Code.SSO_BUSY))
    try:
        yield
    finally:
        _slots.release()


def named_error(error: object) -> str:
    """The code of an error of the protocol, such as `access_denied`; what is no code is not repeated."""
    return str(error) if re.fullmatch(r"[a-z_]{1,60}", str(error)) else "unknown"


@contextmanager
def _explained(issuer: str) -> Iterator[None]:
    """Exceptions of requests and Authlib have addresses and values of tokens: only their kind is kept."""
    from authlib.common.errors import AuthlibBaseError
    from joserfc.errors import JoseError

    try:
        yield
    except (requests.RequestException, HTTPError, NeverConnectedError, OSError) as error:
        log.warning("the OpenID provider %s is unavailable: %s", issuer, _kind(error))
        raise ProviderUnavailable(Problem(Code.SSO_UNAVAILABLE, issuer=issuer)) from None
    except AuthlibBaseError as error:
        reason = named_error(error.error)
        log.warning("the OpenID provider %s refused: %s", issuer, reason)
        raise ProviderRefused(Problem(Code.SSO_REFUSED, error=reason)) from None
    except (JoseError, ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        log.warning("the OpenID provider %s sent an invalid response: %s", issuer, _kind(error))
        raise ProviderRefused(Problem(Code.SSO_RESPONSE_INVALID)) from None


def _kind(error: Exception) -> str:
    """The class of an exception and of its causes."""
    names: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(names) < 5:
        names.append(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, requests.HTTPError) and error.response is not None:
        names.append(f"status {error.response.status_code}")
    if isinstance(error, ValueError) and type(error) is ValueError:
        names.append(named_error(error))
    return ", ".join(names)


@lru_cache(maxsize=4)
def _provider(config: Configuration) -> Provider:
    return Provider(config)


def provider() -> Provider:
    return _provider(configuration())
