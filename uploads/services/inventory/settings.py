"""How the uploads of a store are judged, and when and how fast it is scanned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from uploads import audit
from uploads.domain.scan_schedule import Repeat
from uploads.models import InventorySettings, Store
from uploads.models.validation import invalid
from uploads.problems import Code, Problem
from uploads.services.inventory import refresh
from uploads.services.inventory.judging import judge_again

RANGES: Mapping[str, tuple[int, int]] = {
    "alive_hours": (1, 24 * 90),
    "dead_days": (1, 365),
    "scan_minute": (0, 24 * 60 - 1),
    "scan_weekday": (0, 6),
    "requests_per_second": (1, 1000),
    "requests_in_flight": (1, 100),
}
"""The least and the greatest value of each setting."""

THRESHOLDS = frozenset({"alive_hours", "dead_days"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryValues:
    """The settings of a store, as an administrator enters them: `InventorySettings` describes them."""

    alive_hours: int
    dead_days: int
    schedule: str
    scan_minute: int
    scan_weekday: int
    requests_per_second: int
    requests_in_flight: int


def settings_of(store: Store) -> InventorySettings:
    """The settings of a store; the defaults, not saved, if it has none."""
    return InventorySettings.objects.filter(store=store).first() or InventorySettings(store=store)


def values_of(settings: InventorySettings) -> InventoryValues:
    return InventoryValues(**{name: getattr(settings, name) for name in InventoryValues.__dataclass_fields__})


@transaction.atomic
def change_settings(actor: User | None, store: Store, values: InventoryValues) -> frozenset[str]:
    """Save the settings. Returns the names of those that changed.

    Raises django.core.exceptions.ValidationError with a code for each field. Nothing is changed then.
    """
    _check(values)
    Store.objects.select_for_update().get(pk=store.pk)
    before, after = asdict(values_of(settings_of(store))), asdict(values)
    changed = frozenset(name for name in after if before[name] != after[name])
    if not changed:
        return changed
    settings, _created = InventorySettings.objects.update_or_create(store=store, defaults=after)
    if changed & THRESHOLDS:
        judge_again(settings)
        refresh.request()
    audit.record(
        actor,
        "inventory.changed",
        store=store.name,
        before={name: before[name] for name in sorted(changed)},
        after={name: after[name] for name in sorted(changed)},
    )
    return changed


def _check(values: InventoryValues) -> None:
    errors: dict[str, ValidationError] = {}
    for name, (least, most) in RANGES.items():
        if not least <= getattr(values, name) <= most:
            errors[name] = invalid(Problem(Code.VALUE_OUT_OF_RANGE, lowest=least, highest=most))
    if values.schedule not in tuple(Repeat):
        errors["schedule"] = invalid(Problem(Code.NO_SUCH_SCHEDULE, allowed=", ".join(Repeat)))
    if not errors and values.alive_hours >= 24 * values.dead_days:
        errors["alive_hours"] = invalid(Problem(Code.ALIVE_AFTER_DEAD, highest=24 * values.dead_days - 1))
    if errors:
        raise ValidationError(errors)
