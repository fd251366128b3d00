"""The settings of single sign-on. Without a provider there is none, and only passwords can sign in."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.conf import settings

from uploads.domain import group_roles
from uploads.domain.group_roles import GroupRoles

REQUIRED = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")


@dataclass(frozen=True, slots=True)
class Configuration:
    """How to talk to the provider. The rest of the settings is read where it is used."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]
    groups_claim: str
    username_claim: str
    ca_bundle: str
    seconds: float


def missing() -> list[str]:
    """The settings that a provider needs and that are empty; none if no provider is configured at all."""
    empty = [name for name in REQUIRED if not getattr(settings, name)]
    return [] if len(empty) == len(REQUIRED) and not settings.OIDC_ONLY else empty


def is_enabled() -> bool:
    return all(getattr(settings, name) for name in REQUIRED)


def configuration() -> Configuration:
    """Call it only if single sign-on is enabled."""
    return Configuration(
        issuer=settings.OIDC_ISSUER,
        client_id=settings.OIDC_CLIENT_ID,
        client_secret=settings.OIDC_CLIENT_SECRET,
        scopes=tuple(dict.fromkeys(["openid", *settings.OIDC_SCOPES])),
        groups_claim=settings.OIDC_GROUPS_CLAIM,
        username_claim=settings.OIDC_USERNAME_CLAIM,
        ca_bundle=settings.OIDC_CA_BUNDLE,
        seconds=settings.OIDC_SECONDS,
    )


def roles() -> GroupRoles:
    """Raises GroupRolesError, which the check at the start reports."""
    return group_roles.parse(settings.OIDC_GROUP_ROLES)


def may_use_password(username: str) -> bool:
    """Whether this user may sign in with a password."""
    return not settings.OIDC_ONLY or (bool(username) and username == settings.OIDC_BREAK_GLASS_USER)


def accepts_passwords() -> bool:
    """Whether anybody may."""
    return not settings.OIDC_ONLY or bool(settings.OIDC_BREAK_GLASS_USER)
