"""ID tokens that a provider, or somebody between, should not have sent."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from uploads.services.sso.configuration import Configuration
from uploads.services.sso.provider import ALGORITHMS, Provider, ProviderRefused, _explained

ISSUER, CLIENT, SECRET, NONCE = "https://id.example", "partway", "s" * 40, "the nonce of this sign-in"
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
CURVE = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})


@pytest.fixture
def provider() -> Provider:
    """A provider whose document and keys were read already."""
    config = Configuration(ISSUER, CLIENT, SECRET, ("openid",), "groups", "preferred_username", "", 1)
    found = Provider(config)
    app = found._new_app()
    keys = {"keys": [KEY.as_dict(private=False), CURVE.as_dict(private=False)]}
    app.server_metadata.update(
        issuer=ISSUER,
        _loaded_at=time.time(),
        jwks=keys,
        jwks_uri="http://127.0.0.1:1/keys",
        id_token_signing_alg_values_supported=list(ALGORITHMS),
    )
    found._app, found._read_at = app, time.monotonic()
    return found


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    found = {"iss": ISSUER, "sub": "s1", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": NONCE, **changes}
    return {name: value for name, value in found.items() if value is not None}


def signed(values: dict[str, Any], key: Any = KEY, **header: Any) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one", **header}, values, key, algorithms=[header.get("alg", "RS256")])


def subject_of(provider: Provider, token: str) -> str:
    with _explained(ISSUER):
        return str(provider._validated(provider._current(), {"id_token": token}, NONCE)["sub"])
    raise AssertionError("unreachable")


@pytest.mark.parametrize(
    "make",
    [
        lambda: signed(claims()),
        lambda: signed(claims(aud=[CLIENT])),
        lambda: signed(claims(aud=[CLIENT, "another"], azp=CLIENT)),
        lambda: signed(claims(exp=int(time.time()) - 60)),
        lambda: signed(claims(), CURVE, alg="ES256", kid="two"),
    ],
    ids=["plain", "audience in a list", "two audiences", "clocks differ", "elliptic curve"],
)
def test_valid_token_is_accepted(provider: Provider, make: Callable[[], str]) -> None:
    assert subject_of(provider, make()) == "s1"


def by_hand(header: dict[str, str], secret: bytes | None = None) -> str:
    """A token that the library refuses to make: with an HMAC, or without a signature."""

    def encoded(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    content = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims()))
    signature = hmac.digest(secret, content.encode(), "sha256") if secret else b""
    return f"{content}.{encoded(signature)}"


@pytest.mark.parametrize(
    "make",
    [
        lambda: signed(claims(iss="https://evil.example")),
        lambda: signed(claims(aud="another")),
        lambda: signed(claims(aud="another", azp=CLIENT)),
        lambda: signed(claims(aud=["another"], azp=CLIENT)),
        lambda: signed(claims(aud=[CLIENT, "another"], azp="another")),
        lambda: signed(claims(aud=None)),
        lambda: signed(claims(exp=int(time.time()) - 3600)),
        lambda: signed(claims(iat=int(time.time()) + 3600)),
        lambda: signed(claims(nonce="another")),
        lambda: signed(claims(nonce=None)),
        lambda: signed(claims(sub=None)),
        lambda: by_hand({"alg": "none"}),
        lambda: by_hand({"alg": "HS256"}, SECRET.encode()),
        lambda: by_hand({"alg": "HS256", "kid": "one"}, KEY.as_pem(private=False)),
        lambda: "not.a.token",
        lambda: "",
    ],
    ids=[
        *("another issuer", "another client", "another client for us", "the same in a list", "two, for another"),
        *("no audience", "expired", "of the future", "another nonce", "no nonce", "no subject", "not signed"),
        *("signed with our secret", "signed with the public key", "no token", "empty"),
    ],
)
def test_other_token_is_refused(provider: Provider, make: Callable[[], str]) -> None:
    with pytest.raises(ProviderRefused):
        subject_of(provider, make())


def test_forged_signature_is_refused_after_reading_the_keys_again(provider: Provider, caplog: Any) -> None:
    """The address of the keys does not respond here, which is how the test sees that it was asked."""
    with pytest.raises(Exception, match="SingleSignOnUnavailable"):
        subject_of(provider, signed(claims(), OTHER))
    assert "unavailable" in caplog.text


def test_configuration_does_not_show_its_secret() -> None:
    config = Configuration(ISSUER, CLIENT, SECRET, ("openid",), "groups", "preferred_username", "", 1)
    assert SECRET not in repr(config)
