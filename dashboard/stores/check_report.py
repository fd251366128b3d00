"""What a store check found, as its card shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.urls import reverse

from dashboard.shared import jsonapi
from dashboard.shared.messages import error_json
from dashboard.stores import provider_notes
from uploads.domain.states import ItemState
from uploads.models import Store, StoreCheck
from uploads.objectstore.probing.results import CheckResult, Group, Verdict
from uploads.objectstore.providers import OVERRIDABLE, PROVIDERS, Provider, with_overrides
from uploads.selectors.stores import newest_check, newest_checks


class Look(NamedTuple):
    """How a verdict looks: never by its colour alone."""

    word: str
    icon: str
    tone: str


LOOKS: Mapping[Verdict, Look] = {
    Verdict.OK: Look("ok", "circle-check", "good"),
    Verdict.DIFFERS: Look("differs", "info-circle", "busy"),
    Verdict.FAILED: Look("failed", "circle-x", "bad"),
    Verdict.DENIED: Look("denied", "lock", "warn"),
    Verdict.NOT_TRIED: Look("not tried", "circle-dashed", "idle"),
}

TITLES: Mapping[Group, str] = {
    Group.REACH: "Reaching the store",
    Group.PERMISSIONS: "Permissions",
    Group.LISTING: "Listing uploads",
    Group.PARTS: "Parts",
    Group.COMPLETION: "Completing",
    Group.DIGESTS: "Digests",
    Group.KEYS: "Odd keys",
}

TO_LOOK_AT = (Verdict.FAILED, Verdict.DENIED)
"""What is shown before all else."""


@dataclass(frozen=True, slots=True)
class Count:
    verdict: Verdict
    look: Look
    number: int


@dataclass(frozen=True, slots=True)
class Row:
    result: CheckResult
    look: Look


@dataclass(frozen=True, slots=True)
class Section:
    """The checks of a group, `name` to the page's script."""

    name: str
    title: str
    rows: list[Row]
    counts: list[Count]


@dataclass(frozen=True, slots=True)
class Overruled:
    """A field of the profile that this store has otherwise."""

    name: str
    holds: str
    profile_says: str


@dataclass(frozen=True, slots=True)
class Card:
    check: StoreCheck
    url: str
    provider: str
    counts: list[Count]
    sections: list[Section]
    to_look_at: list[Row]
    overruled: list[Overruled]
    done: int
    quarter: int
    is_interrupted: bool

    @property
    def is_running(self) -> bool:
        return self.check.is_active


def card_of(check: StoreCheck) -> Card:
    results = [CheckResult.from_json(fields) for fields in check.results]
    profile = PROVIDERS.get(check.provider)
    return Card(
        check=check,
        url=reverse("store-check", args=[check.store.name, check.pk]),
        provider=profile.label if profile else check.provider,
        counts=_counts(results),
        sections=_sections(results),
        to_look_at=[Row(result, LOOKS[result.verdict]) for result in results if result.verdict in TO_LOOK_AT],
        overruled=overruled(profile, check.overrides),
        done=len(results),
        quarter=len(results) * 4 // max(check.total, 1) * 25,
        is_interrupted=check.state == ItemState.FAILED,
    )


def last_card(store: Store) -> Card | None:
    """Of the newest check of a store."""
    check = newest_check(store)
    return card_of(check) if check else None


def last_cards(stores: QuerySet[Store]) -> dict[int, Card]:
    """Of the newest check of each store that was ever checked, by the store's key."""
    return {pk: card_of(check) for pk, check in newest_checks(stores).items()}


def overruled(profile: Provider | None, found: Mapping[str, Any]) -> list[Overruled]:
    """What was found, in words, beside what the profile says."""
    if profile is None:
        return []
    holds = with_overrides(profile, found.items())
    names = [name for name in sorted(found) if name in OVERRIDABLE and getattr(holds, name) != getattr(profile, name)]
    return [Overruled(name, provider_notes.way(holds, name), provider_notes.way(profile, name)) for name in names]


def _counts(results: list[CheckResult]) -> list[Count]:
    numbers = {verdict: sum(result.verdict is verdict for result in results) for verdict in Verdict}
    return [Count(verdict, LOOKS[verdict], number) for verdict, number in numbers.items() if number]


def _sections(results: list[CheckResult]) -> list[Section]:
    grouped = {group: [result for result in results if result.group is group] for group in Group}
    return [
        Section(
            group.value,
            TITLES[group],
            [Row(result, LOOKS[result.verdict]) for result in found],
            _counts(found),
        )
        for group, found in grouped.items()
        if found
    ]


def check_json(check: StoreCheck) -> dict[str, Any]:
    """The same facts as the card."""
    return {
        "id": str(check.pk),
        "url": reverse("store-check", args=[check.store.name, check.pk]),
        "store": check.store.name,
        "Bucket": check.bucket,
        "actor": check.actor.get_username() if check.actor else None,
        "state": check.state,
        "created": jsonapi.iso(check.created_at),
        "finished": jsonapi.iso(check.finished_at),
        "checks": {"count": check.total, "done": len(check.results)},
        "requests": check.requests,
        "provider": check.provider,
        "found": check.overrides,
        "results": check.results,
        "leftovers": check.leftovers,
        "error": error_json(check.error),
    }
