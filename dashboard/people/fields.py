"""Form fields that look like those of the other forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from dashboard.shared.numbers import Count
from dashboard.shared.routes import BUCKET

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise as Text

MAX_PREFIX_BYTES = 1024


def text_field(
    label: Text, *, required: bool = True, help_text: Text = "", limit: int = 150, mono: bool = False, **attributes: str
) -> forms.CharField:
    classes = "form-control mono" if mono else "form-control"
    attrs = {"class": classes, "spellcheck": "false", "autocapitalize": "none", "autocomplete": "off"} | attributes
    widget = forms.TextInput(attrs=attrs)
    return forms.CharField(label=label, required=required, help_text=help_text, max_length=limit, widget=widget)


def exact_field(label: Text, help_text: Text, limit: int = MAX_PREFIX_BYTES) -> forms.CharField:
    """A text that is kept as it is entered, spaces at its ends included."""
    field = text_field(label, required=False, help_text=help_text, limit=limit, mono=True)
    field.strip = False
    return field


def choice_field(label: Text, choices: Any, *, required: bool = True, help_text: Text = "") -> forms.ChoiceField:
    widget = forms.Select(attrs={"class": "form-select"})
    return forms.ChoiceField(label=label, choices=choices, required=required, help_text=help_text, widget=widget)


def checkbox(label: Text, help_text: Text = "") -> forms.BooleanField:
    widget = forms.CheckboxInput(attrs={"class": "form-check-input"})
    return forms.BooleanField(label=label, required=False, help_text=help_text, widget=widget)


def check_bucket_name(name: str) -> None:
    """Raises ValidationError."""
    if not re.fullmatch(BUCKET, name):
        text = _("“%(name)s” is not a bucket name. Use letters, digits, “.”, “-” and “_”.")
        raise ValidationError(text % {"name": name})


def check_prefix(prefix: str) -> None:
    """Raises ValidationError."""
    if len(prefix.encode()) > MAX_PREFIX_BYTES:
        text = _("A prefix has at most %(limit)s bytes of UTF-8.")
        raise ValidationError(text % {"limit": Count(MAX_PREFIX_BYTES)})
