"""What a check found. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from uploads.objectstore.providers import OVERRIDABLE, Provider

Flag = tuple[str, object]
"""A field of a provider's profile that a check can find (providers.OVERRIDABLE), and the value it has in this store."""


class Verdict(StrEnum):
    """`differs`: the store has a way of its own, and Partway knows how to live with it."""

    OK = "ok"
    DIFFERS = "differs"
    FAILED = "failed"
    DENIED = "denied"
    NOT_TRIED = "not-tried"


class Group(StrEnum):
    REACH = "reach"
    PERMISSIONS = "permissions"
    LISTING = "listing"
    PARTS = "parts"
    COMPLETION = "completion"
    DIGESTS = "digests"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a check: what was seen, in a sentence, and what to do where that is needed."""

    verdict: Verdict
    said: str
    advice: str = ""
    flag: Flag | None = None
    code: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check's name, and what came of it. `code` and `request_id` are the store's, where it refused."""

    name: str
    title: str
    group: Group
    verdict: Verdict
    said: str
    advice: str = ""
    flag: Flag | None = None
    code: str = ""
    request_id: str = ""

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> CheckResult:
        """What `as_json` gave."""
        flag = fields.get("flag")
        read = {"verdict": Verdict(fields["verdict"]), "group": Group(fields["group"])}
        return cls(**{**fields, **read, "flag": (flag[0], flag[1]) if flag else None})


def ok(said: str, flag: Flag | None = None) -> Finding:
    return Finding(Verdict.OK, said, flag=flag)


def differs(said: str, advice: str = "", flag: Flag | None = None) -> Finding:
    return Finding(Verdict.DIFFERS, said, advice, flag)


def failed(said: str, advice: str, flag: Flag | None = None) -> Finding:
    return Finding(Verdict.FAILED, said, advice, flag)


def not_tried(why: str) -> Finding:
    return Finding(Verdict.NOT_TRIED, why)


def overruling(results: Iterable[CheckResult], profile: Provider, before: Mapping[str, object]) -> dict[str, object]:
    """What is to overrule the provider's profile: what was found otherwise, and of before what was not found out now.

    A later result has the last word about its field.
    """
    seen = {result.flag[0]: result.flag[1] for result in results if result.flag}
    merged = {**before, **seen}
    return {
        name: value for name, value in sorted(merged.items()) if name in OVERRIDABLE and value != getattr(profile, name)
    }
