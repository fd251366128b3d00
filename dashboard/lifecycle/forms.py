"""The form of the rule that aborts unfinished uploads."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from uploads.domain.lifecycle.editing import AbortTerms
from uploads.domain.lifecycle.rules import MAX_DAYS


class AbortForm(forms.Form):
    """`by_date`: the store also accepts a date (OSS). `with_prefix`: the prefix of the rule can be chosen."""

    days = forms.IntegerField(
        label=_("Days"),
        min_value=1,
        max_value=MAX_DAYS,
        required=False,
        widget=forms.NumberInput(attrs={"class": "form-control"}),
    )
    before = forms.DateField(
        label=_("Or all that were last changed before (UTC)"),
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(attrs={"class": "form-control", "type": "date"}),
    )
    keys = forms.CharField(
        label=_("Only keys that begin with"),
        max_length=1024,
        required=False,
        strip=False,
        widget=forms.TextInput(attrs={"class": "form-control mono", "autocapitalize": "none", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, by_date: bool, with_prefix: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not by_date:
            del self.fields["before"]
        if not with_prefix:
            del self.fields["keys"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if not self.errors and bool(values.get("days")) == bool(values.get("before")):
            raise ValidationError(_("Enter a number of days, or a date where the store accepts one, and not both."))
        return values

    def terms(self) -> AbortTerms:
        values = self.cleaned_data
        return AbortTerms(values.get("days"), values.get("before"), values.get("keys") or "")
