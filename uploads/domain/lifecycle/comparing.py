"""Compares what was written with what the store then has."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from uploads.domain.lifecycle.rules import ABORTS, Configuration, Rule, rule_meaning
from uploads.objectstore.xml_document import Element


class Outcome(StrEnum):
    """What became of a change.

    DROPPED: the store accepted it, and its rules are as before or lack what was set. OTHERS_CHANGED: the change is
    there or not, but other rules are not what was written. UNKNOWN: the store could not be asked yet.
    """

    DONE = "done"
    DROPPED = "dropped"
    OTHERS_CHANGED = "others-changed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences between what was written and what was found. The rules are those beside the one that was changed."""

    target_as_written: bool
    missing: int
    """Other rules that were written and are not there."""
    unexpected: int
    """Other rules that are there and were not written."""

    @property
    def others_as_written(self) -> bool:
        return not self.missing and not self.unexpected

    @property
    def outcome(self) -> Outcome:
        if not self.others_as_written:
            return Outcome.OTHERS_CHANGED
        return Outcome.DONE if self.target_as_written else Outcome.DROPPED


def compare(written: Configuration, found: Configuration, rule_id: str) -> Comparison:
    """Compare a changed rule by what it says about unfinished uploads, and the others by all that they say."""
    target, there = _with_id(written, rule_id), _with_id(found, rule_id)
    expected, actual = _others(written, rule_id), _others(found, rule_id)
    return Comparison(
        target_as_written=_said(target) == _said(there),
        missing=sum((expected - actual).values()),
        unexpected=sum((actual - expected).values()),
    )


def marked(rules: Configuration, others: Configuration) -> tuple[tuple[Rule, bool], ...]:
    """The rules of a configuration, and whether another one lacks each of them as it is."""
    left = Counter(rule.digest for rule in others.rules)
    found = []
    for rule in rules.rules:
        found.append((rule, not left[rule.digest]))
        left[rule.digest] -= 1 if left[rule.digest] else 0
    return tuple(found)


def _with_id(configuration: Configuration, rule_id: str) -> Rule | None:
    return next((rule for rule in configuration.rules if rule.id == rule_id), None)


def _said(rule: Rule | None) -> object:
    """What the rule says about unfinished uploads. No rule says the same as one without such an element."""
    if rule is None or rule.abort is None:
        return None
    return rule.abort, rule.is_enabled, rule.prefix, rule.conditions


def _others(configuration: Configuration, rule_id: str) -> Counter[object]:
    """Everything else in the configuration, counted by what it says."""
    root = configuration.document.root
    found: Counter[object] = Counter()
    if configuration.document.size_rule:
        found[configuration.document.size_rule] += 1
    if root is None:
        return found
    for each in root.elements:
        if each.local != "Rule":
            found[rule_meaning(each, root)] += 1
    for rule in configuration.rules:
        if rule.id != rule_id:
            found[rule_meaning(rule.element, root)] += 1
        elif not rule.is_ours and rule.actions:
            found[rule_meaning(_without_abort(rule.element), root)] += 1
    return found


def _without_abort(rule: Element) -> Element:
    kept = tuple(each for each in rule.content if not (isinstance(each, Element) and each.local in ABORTS))
    return Element(rule.name, rule.attributes, kept)
