"""The results of a store check, as its card shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.urls import reverse

from dashboard.shared.messages.check_results import leftover_text, result_advice, result_text, result_title
from dashboard.shared.messages.checks import GROUPS, VERDICTS, Text, step_text
from dashboard.stores import provider_notes
from uploads.domain.states import ItemState
from uploads.models import Store, StoreCheck
from uploads.objectstore.probing.created import Leftover
from uploads.objectstore.probing.results import CheckResult, Group, Verdict, read_results
from uploads.objectstore.providers import OVERRIDABLE, PROVIDERS, Provider, with_overrides
from uploads.selectors.stores import newest_checks


class Style(NamedTuple):
    """How a verdict is shown: never by its colour alone."""

    word: Text
    icon: str
    tone: str


STYLES: Mapping[Verdict, Style] = {
    Verdict.OK: Style(VERDICTS[Verdict.OK], "circle-check", "good"),
    Verdict.DIFFERS: Style(VERDICTS[Verdict.DIFFERS], "info-circle", "busy"),
    Verdict.FAILED: Style(VERDICTS[Verdict.FAILED], "circle-x", "bad"),
    Verdict.DENIED: Style(VERDICTS[Verdict.DENIED], "lock", "warn"),
    Verdict.UNKNOWN: Style(VERDICTS[Verdict.UNKNOWN], "help-circle", "warn"),
    Verdict.NOT_TRIED: Style(VERDICTS[Verdict.NOT_TRIED], "circle-dashed", "idle"),
}

NEEDS_ATTENTION = (Verdict.FAILED, Verdict.DENIED, Verdict.UNKNOWN)
"""Results with these verdicts are shown first."""


@dataclass(frozen=True, slots=True)
class Count:
    style: Style
    number: int


@dataclass(frozen=True, slots=True)
class Row:
    """One result."""

    title: str
    text: str
    advice: str
    code: str
    request_id: str
    style: Style


@dataclass(frozen=True, slots=True)
class Section:
    """The results of a group. The page's script knows it by `name`."""

    name: str
    title: Text
    rows: list[Row]
    counts: list[Count]


@dataclass(frozen=True, slots=True)
class Override:
    """A field of the profile that is different in this store."""

    name: str
    store: str
    profile: str


@dataclass(frozen=True, slots=True)
class LeftoverRow:
    kind: str
    key: str
    id: str
    why: str


@dataclass(frozen=True, slots=True)
class Card:
    check: StoreCheck
    url: str
    provider: str
    counts: list[Count]
    sections: list[Section]
    needs_attention: list[Row]
    overrides: list[Override]
    leftovers: list[LeftoverRow]
    step: str
    done: int
    quarter: int
    is_interrupted: bool

    @property
    def is_running(self) -> bool:
        return self.check.is_active


def card_of(check: StoreCheck) -> Card:
    results = read_results(check.results)
    profile = PROVIDERS.get(check.provider)
    return Card(
        check=check,
        url=reverse("store-check", args=[check.store.name, check.pk]),
        provider=provider_notes.label_of(check.provider),
        counts=_counts(results),
        sections=_sections(results),
        needs_attention=[_row(result) for result in results if result.verdict in NEEDS_ATTENTION],
        overrides=overrides_in_words(profile, check.overrides),
        leftovers=[_leftover_row(Leftover.from_json(fields)) for fields in check.leftovers],
        step=step_text(check.step),
        done=len(results),
        quarter=len(results) * 4 // max(check.total, 1) * 25,
        is_interrupted=check.state == ItemState.FAILED,
    )


def last_card(checks: QuerySet[StoreCheck]) -> Card | None:
    """The card of the newest of these checks."""
    check = checks.first()
    return card_of(check) if check else None


def last_cards(stores: QuerySet[Store], is_visible: Callable[[StoreCheck], bool]) -> dict[int, Card]:
    """The card of the newest check of each store, by the store's primary key, if the check is visible."""
    return {pk: card_of(check) for pk, check in newest_checks(stores).items() if is_visible(check)}


def overrides_in_words(profile: Provider | None, overrides: Mapping[str, Any]) -> list[Override]:
    """The fields of the profile that a check overrode, in words, beside what the profile says."""
    if profile is None:
        return []
    store = with_overrides(profile, overrides.items())
    names = [name for name in sorted(overrides) if name in OVERRIDABLE and _differ(name, store, profile)]
    return [Override(name, provider_notes.note(store, name), provider_notes.note(profile, name)) for name in names]


def _differ(name: str, store: Provider, profile: Provider) -> bool:
    return bool(getattr(store, name) != getattr(profile, name))


def _counts(results: list[CheckResult]) -> list[Count]:
    numbers = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
    return [Count(STYLES[verdict], number) for verdict, number in numbers.items() if number]


def _sections(results: list[CheckResult]) -> list[Section]:
    grouped = {group: [result for result in results if result.group is group] for group in Group}
    return [
        Section(group.value, GROUPS[group], [_row(result) for result in found], _counts(found))
        for group, found in grouped.items()
        if found
    ]


def _row(result: CheckResult) -> Row:
    return Row(
        title=result_title(result),
        text=result_text(result),
        advice=result_advice(result),
        code=result.code,
        request_id=result.request_id,
        style=STYLES[result.verdict],
    )


def _leftover_row(leftover: Leftover) -> LeftoverRow:
    return LeftoverRow(leftover.kind, leftover.key, leftover.id, leftover_text(leftover))
