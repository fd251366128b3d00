"""Which groups of an identity provider are which groups here: the setting OIDC_GROUP_ROLES. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

ADMINISTRATOR = "administrator"
"""Instead of the name of a group: whoever is in the provider's group administers everything."""


class GroupRolesError(ValueError):
    """The setting cannot be read. The argument is the part of it that is wrong."""


@dataclass(frozen=True)
class GroupRoles:
    """Names of groups here by the provider's names. Several of the provider's may be one here."""

    targets: Mapping[str, str] = field(default_factory=dict)

    @property
    def groups(self) -> frozenset[str]:
        """The groups that the provider decides about."""
        return frozenset(self.targets.values()) - {ADMINISTRATOR}

    @property
    def decides_administrators(self) -> bool:
        return ADMINISTRATOR in self.targets.values()

    def groups_of(self, claimed: Collection[str]) -> frozenset[str]:
        return self._of(claimed) - {ADMINISTRATOR}

    def is_administrator(self, claimed: Collection[str]) -> bool:
        return ADMINISTRATOR in self._of(claimed)

    def is_known(self, claimed: Collection[str]) -> bool:
        """Whether at least one of the provider's groups is mapped."""
        return bool(self._of(claimed))

    def _of(self, claimed: Collection[str]) -> frozenset[str]:
        return frozenset(self.targets[name] for name in claimed if name in self.targets)


def parse(text: str) -> GroupRoles:
    """Read `theirs=ours,theirs=ours`, or the same as a JSON object, for names with commas. Raises GroupRolesError."""
    text = text.strip()
    pairs = _json_pairs(text) if text.startswith("{") else _plain_pairs(text)
    for theirs, ours in pairs.items():
        if not theirs or not ours or len(ours) > 150:
            raise GroupRolesError(f"{theirs}={ours}")
    return GroupRoles(pairs)


def _json_pairs(text: str) -> dict[str, str]:
    try:
        pairs = json.loads(text)
    except ValueError:
        raise GroupRolesError(text) from None
    if not isinstance(pairs, dict) or not all(isinstance(ours, str) for ours in pairs.values()):
        raise GroupRolesError(text)
    return {theirs.strip(): ours.strip() for theirs, ours in pairs.items()}


def _plain_pairs(text: str) -> dict[str, str]:
    pairs = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        theirs, equals, ours = part.rpartition("=")
        if not equals:
            raise GroupRolesError(part)
        pairs[theirs.strip()] = ours.strip()
    return pairs
