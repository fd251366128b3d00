"""The results of checks, as codes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.providers import OVERRIDABLE, Provider
from uploads.problems import Param, Problem, problems_from_json

Flag = tuple[str, object]
"""A field of a provider's profile that a check can determine (providers.OVERRIDABLE), and its value in this store."""


class Verdict(StrEnum):
    """`differs`: the store behaves differently from S3, and Partway can handle it.

    `unknown`: the store failed for a moment (500, timeout), which says nothing about what it does otherwise.
    """

    OK = "ok"
    DIFFERS = "differs"
    FAILED = "failed"
    DENIED = "denied"
    UNKNOWN = "unknown"
    NOT_TRIED = "not-tried"


class Group(StrEnum):
    REACH = "reach"
    PERMISSIONS = "permissions"
    LISTING = "listing"
    PARTS = "parts"
    COMPLETION = "completion"
    DIGESTS = "digests"
    KEYS = "keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of a check: what was observed, and problems that add to it.

    `code`, `request_id` and `store_message` are the store's, where it refused a request.
    """

    verdict: Verdict
    observed: Problem
    details: tuple[Problem, ...] = ()
    flag: Flag | None = None
    code: str = ""
    request_id: str = ""
    store_message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A check's name and its outcome, as `Finding`.

    Results that were stored before findings had codes have their text in `said`, `advice` and `title` instead.
    """

    name: str
    group: Group
    verdict: Verdict
    observed: Problem | None = None
    details: tuple[Problem, ...] = ()
    flag: Flag | None = None
    code: str = ""
    request_id: str = ""
    store_message: str = ""
    title: str = ""
    said: str = ""
    advice: str = ""

    def as_json(self) -> dict[str, Any]:
        texts = ("code", "request_id", "store_message", "title", "said", "advice")
        fields = {name: getattr(self, name) for name in texts} | {
            "name": self.name,
            "group": self.group.value,
            "verdict": self.verdict.value,
            "observed": self.observed.as_json() if self.observed else None,
            "details": [each.as_json() for each in self.details],
            "flag": list(self.flag) if self.flag else None,
        }
        return {name: value for name, value in fields.items() if value not in ("", None, [])}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> CheckResult:
        """Read what `as_json` returned, in this version or before findings had codes."""
        flag, observed = fields.get("flag"), fields.get("observed")
        read = {
            "group": Group(fields["group"]),
            "verdict": Verdict(fields["verdict"]),
            "observed": Problem.from_json(observed) if observed else None,
            "details": problems_from_json(fields.get("details", ())),
            "flag": (flag[0], flag[1]) if flag else None,
        }
        known = {name: value for name, value in fields.items() if name in cls.__slots__}
        return cls(**{**known, **read})


def read_results(stored: Iterable[Mapping[str, Any]]) -> list[CheckResult]:
    """The results of a check as its row keeps them, without those that only a later version can read."""
    results = []
    for fields in stored:
        with suppress(LookupError, TypeError, ValueError):
            results.append(CheckResult.from_json(fields))
    return results


def ok(code: FindingCode, flag: Flag | None = None, /, **params: Param) -> Finding:
    return Finding(verdict=Verdict.OK, observed=Problem(code, **params), flag=flag)


def differs(code: FindingCode, flag: Flag | None = None, /, **params: Param) -> Finding:
    return Finding(verdict=Verdict.DIFFERS, observed=Problem(code, **params), flag=flag)


def failed(code: FindingCode, flag: Flag | None = None, /, **params: Param) -> Finding:
    return Finding(verdict=Verdict.FAILED, observed=Problem(code, **params), flag=flag)


def not_tried(why: Problem) -> Finding:
    return Finding(verdict=Verdict.NOT_TRIED, observed=why)


def overrides_of(results: Iterable[CheckResult], profile: Provider, before: Mapping[str, object]) -> dict[str, object]:
    """What overrides the provider's profile from now on: fields found to differ, and of `before` what is unknown now.

    The last result about a field wins.
    """
    determined = {result.flag[0]: result.flag[1] for result in results if result.flag}
    merged = {**before, **determined}
    return {
        name: value for name, value in sorted(merged.items()) if name in OVERRIDABLE and value != getattr(profile, name)
    }
