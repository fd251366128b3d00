"""The form of how the uploads of a store are judged, and when and how fast it is scanned."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages.scans import REPEATS, WEEKDAYS
from dashboard.shared.messages.validation import with_texts
from uploads.models import InventorySettings
from uploads.services.inventory.settings import RANGES, InventoryValues

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise as Text


def _number(name: str, label: Text, help_text: Text) -> forms.IntegerField:
    least, most = RANGES[name]
    error = _("Enter a whole number from %(least)s to %(most)s.") % {"least": least, "most": most}
    return forms.IntegerField(
        label=label,
        help_text=help_text,
        min_value=least,
        max_value=most,
        error_messages=dict.fromkeys(("invalid", "min_value", "max_value", "required"), error),
        widget=forms.NumberInput(attrs={"class": "form-control", "inputmode": "numeric"}),
    )


class InventoryForm(forms.Form):
    alive_hours = _number(
        "alive_hours",
        _("Alive for (hours)"),
        _("An upload is alive for so many hours after its last part, or after its start."),
    )
    dead_days = _number(
        "dead_days",
        _("Dead after (days)"),
        _("An upload is dead if no part has arrived for so many days."),
    )
    schedule = forms.ChoiceField(
        label=_("Scans"), choices=[*REPEATS.items()], widget=forms.Select(attrs={"class": "form-select"})
    )
    at = forms.TimeField(
        label=_("Time (UTC)"),
        help_text=_("Of daily and weekly scans, such as 03:00."),
        input_formats=["%H:%M"],
        error_messages=dict.fromkeys(("invalid", "required"), _("Enter a time from 00:00 to 23:59.")),
        widget=forms.TimeInput(format="%H:%M", attrs={"class": "form-control", "type": "time"}),
    )
    scan_weekday = forms.TypedChoiceField(
        label=_("Day"),
        help_text=_("Of weekly scans."),
        coerce=int,
        choices=[*enumerate(WEEKDAYS)],
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    requests_per_second = _number(
        "requests_per_second",
        _("Requests per second"),
        _("The most that all workers together send. A store that asks to slow down gets fewer."),
    )
    requests_in_flight = _number(
        "requests_in_flight",
        _("Requests in flight"),
        _("The most that all workers together have sent and that have no response yet."),
    )

    def __init__(self, data: Any = None, *, settings: InventorySettings) -> None:
        super().__init__(data, initial=_initial(settings))

    def values(self) -> InventoryValues:
        """The values of a valid form."""
        values = dict(self.cleaned_data)
        at: time = values.pop("at")
        return InventoryValues(scan_minute=60 * at.hour + at.minute, **values)

    def add_error(self, field: str | None, error: Any) -> None:
        """Show texts in place of the codes of services."""
        super().add_error(field, with_texts(error) if isinstance(error, ValidationError) else error)


def _initial(settings: InventorySettings) -> dict[str, Any]:
    names = ("alive_hours", "dead_days", "schedule", "scan_weekday", "requests_per_second", "requests_in_flight")
    values = {name: getattr(settings, name) for name in names}
    return values | {"at": time(settings.scan_minute // 60, settings.scan_minute % 60)}
