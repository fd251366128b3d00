"""A lifecycle configuration as rules: when they abort unfinished uploads, and what else they do.

S3: `AbortIncompleteMultipartUpload` with `DaysAfterInitiation`, days after the upload was started. OSS:
`AbortMultipartUpload` with `Days`, days after its last change, or `CreatedBeforeDate`, a date. Google: an `Action` with
`AbortIncompleteMultipartUpload` and a `Condition` with an `Age` in days after the start; such rules are only read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from uploads.objectstore.received import clean_text, number_of, time_of
from uploads.objectstore.xml_document import Element, LifecycleDocument, meaning, namespaces_of, write

OUR_ID = "partway-abort-unfinished-uploads"
"""The id of the rule that Partway adds."""

MAX_DAYS = 36_500

ABORTS = {"AbortIncompleteMultipartUpload": "s3", "AbortMultipartUpload": "oss"}
_DESCRIBES = frozenset({"ID", "Status", "Prefix", "Filter", "Tag", "Condition"})
"""Elements of a rule that are no actions."""

Since = Literal["start", "last-change"]


class Coverage(StrEnum):
    """Which unfinished uploads of a bucket its rules abort: those of all keys, of some keys or dates, or none."""

    ALL = "all"
    PART = "part"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Abort:
    """When a rule aborts unfinished uploads: `days` after their start or last change, or all from before a time.

    Both are None if the element says something else.
    """

    since: Since
    days: int | None = None
    before: datetime | None = None

    @property
    def is_known(self) -> bool:
        return self.days is not None or self.before is not None


@dataclass(frozen=True, slots=True)
class Detail:
    """Something that a rule says, for people: a name and a value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a bucket."""

    element: Element
    id: str
    is_enabled: bool
    prefix: str
    conditions: tuple[Detail, ...]
    """What limits the rule besides its prefix: tags, sizes, exceptions."""
    abort: Abort | None
    actions: tuple[Detail, ...]
    """What it does besides."""
    digest: str
    """Identifies the rule by all that it says."""

    @property
    def is_ours(self) -> bool:
        return self.id == OUR_ID

    @property
    def aborts(self) -> bool:
        """Whether it aborts uploads now."""
        return self.is_enabled and self.abort is not None

    @property
    def is_for_all(self) -> bool:
        """Whether it is for all keys of the bucket."""
        return not self.prefix and not self.conditions

    @property
    def xml(self) -> str:
        return clean_text(write(self.element))

    def as_json(self) -> dict[str, Any]:
        """What is kept in the database."""
        abort = self.abort
        return {
            "id": self.id,
            "enabled": self.is_enabled,
            "prefix": self.prefix,
            "conditions": [[each.name, each.value] for each in self.conditions],
            "since": abort.since if abort else None,
            "days": abort.days if abort else None,
            "before": abort.before.isoformat() if abort and abort.before else None,
            "actions": [[each.name, each.value] for each in self.actions],
        }


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as it was when it was last read: what the database keeps of it."""

    id: str
    is_enabled: bool
    prefix: str
    conditions: tuple[Detail, ...]
    abort: Abort
    actions: tuple[Detail, ...]

    @property
    def aborts(self) -> bool:
        return self.is_enabled


def stored_rule(kept: Mapping[str, Any]) -> StoredRule:
    """From `Rule.as_json`."""
    before = kept["before"]
    return StoredRule(
        id=kept["id"],
        is_enabled=kept["enabled"],
        prefix=kept["prefix"],
        conditions=tuple(Detail(name, value) for name, value in kept["conditions"]),
        abort=Abort(kept["since"], kept["days"], datetime.fromisoformat(before) if before else None),
        actions=tuple(Detail(name, value) for name, value in kept["actions"]),
    )


@dataclass(frozen=True, slots=True)
class Configuration:
    """All rules of a bucket."""

    document: LifecycleDocument
    rules: tuple[Rule, ...]

    @property
    def digest(self) -> str:
        """Identifies the configuration by all that it says, in whatever order."""
        return digest_of(self.document)

    @property
    def aborting(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.abort is not None)

    @property
    def others(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if rule.abort is None)

    @property
    def ours(self) -> Rule | None:
        return next((rule for rule in self.rules if rule.is_ours), None)

    def by_digest(self, digest: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.digest == digest), None)

    @property
    def coverage(self) -> Coverage:
        """A rule with a date says nothing about later uploads, and one that cannot be read counts for nothing."""
        aborting = [rule for rule in self.rules if rule.aborts and (rule.abort and rule.abort.is_known)]
        if any(rule.abort and rule.abort.days is not None and rule.is_for_all for rule in aborting):
            return Coverage.ALL
        return Coverage.PART if aborting else Coverage.NONE


def configuration_of(document: LifecycleDocument) -> Configuration:
    if document.root is None:
        return Configuration(document, ())
    root = _with_whole_filters(document.root)
    outer = namespaces_of(root)
    rules = tuple(_rule(each, dict(outer)) for each in root.all("Rule"))
    return Configuration(replace(document, root=root), rules)


def _with_whole_filters(root: Element) -> Element:
    """With filters of several conditions in the form that S3 documents: all of them in one And.

    Ceph returns the prefix beside the And and does not read it there: its own answer, written back, would make the
    rule apply to all keys.
    """
    for rule in root.all("Rule"):
        changed = rule
        for each in rule.all("Filter"):
            changed = changed.replacing(each, [_whole(each)])
        if changed != rule:
            root = root.replacing(rule, [changed])
    return root


def _whole(filter_: Element) -> Element:
    conditions = filter_.elements
    names = {each.local for each in conditions}
    if len(conditions) < 2 or "Not" in names or not names & {"Prefix", "Tag", "And"}:
        return filter_  # OSS has conditions side by side, and none of these.
    inner: list[Element] = []
    for each in conditions:
        inner += each.elements if each.local == "And" else [each]
    return replace(filter_, content=(Element(f"{filter_.prefix}And", (), tuple(inner)),))


def digest_of(document: LifecycleDocument) -> str:
    said = None if document.root is None else meaning(document.root)
    return hashlib.sha256(repr((said, document.size_rule)).encode()).hexdigest()


def rule_meaning(rule: Element, root: Element) -> object:
    """What the rule says, in this document."""
    outer = namespaces_of(root)
    return meaning(rule, outer, outer.get(root.prefix.removesuffix(":"), ""))


def _rule(element: Element, outer: dict[str, str]) -> Rule:
    limits = _limits(element)
    return Rule(
        element=element,
        id=clean_text((element.text_of("ID") or "").strip(), 255),
        is_enabled=(element.text_of("Status") or _default_status(element)).strip().lower() == "enabled",
        prefix=_prefix(element),
        conditions=tuple(each for limit in limits for each in _details(limit)),
        abort=_abort(element),
        actions=tuple(
            each
            for child in element.elements
            if child.local not in _DESCRIBES and child.local not in ABORTS and not _is_abort_of_google(child)
            for each in _details(child)
        ),
        digest=hashlib.sha256(repr(meaning(element, outer)).encode()).hexdigest()[:32],
    )


def _abort(rule: Element) -> Abort | None:
    for child in rule.elements:
        if child.local == "AbortIncompleteMultipartUpload":
            return Abort("start", _days(child.text_of("DaysAfterInitiation")))
        if child.local == "AbortMultipartUpload":
            return Abort("last-change", _days(child.text_of("Days")), time_of(child.text_of("CreatedBeforeDate") or ""))
        if _is_abort_of_google(child):
            condition = rule.first("Condition")
            return Abort("start", _days(condition.text_of("Age") if condition else None))
    return None


def _is_abort_of_google(element: Element) -> bool:
    return element.local == "Action" and element.first("AbortIncompleteMultipartUpload") is not None


def _default_status(rule: Element) -> str:
    """Rules of Google have no status."""
    return "Enabled" if rule.first("Action") else ""


def _days(text: str | None) -> int | None:
    return number_of(text or "", 0, 10**9)


def _prefix(rule: Element) -> str:
    """The prefix of the rule: its own, or that of its filter."""
    places = [rule, *rule.all("Filter")]
    places += [each for place in places for each in place.all("And")]
    return next((text for place in places if (text := place.text_of("Prefix"))), "")


def _limits(rule: Element) -> list[Element]:
    """The elements that limit a rule, besides its prefix."""
    found = list(rule.all("Tag"))
    found += [each for condition in rule.all("Condition") for each in condition.elements if each.local != "Age"]
    for place in rule.all("Filter"):
        found += [each for each in place.elements if each.local not in ("Prefix", "And")]
        found += [each for inner in place.all("And") for each in inner.elements if each.local != "Prefix"]
    return found


def _details(element: Element, above: str = "") -> list[Detail]:
    """The element in words: each text in it with the names of the elements around."""
    name = f"{above} {element.local}".strip()
    if not element.elements:
        return [Detail(clean_text(name, 200), clean_text(element.text.strip(), 1024))]
    return [each for child in element.elements for each in _details(child, name)]
