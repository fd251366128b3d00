"""Fields of forms in which somebody chooses a password."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _


def password_field(label: Any, *, autocomplete: str = "new-password", limit: int = 1024) -> forms.CharField:
    widget = forms.PasswordInput(attrs={"class": "form-control", "autocomplete": autocomplete})
    return forms.CharField(label=label, strip=False, max_length=limit, widget=widget)


def check_repeated(form: forms.Form, name: str, again: str = "again") -> None:
    """Add an error if the second field has another password than the first one. Call it in `clean`."""
    data = form.cleaned_data
    if name in data and again in data and data[name] != data[again]:
        form.add_error(again, _("The two passwords differ."))
