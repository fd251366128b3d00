"""The form that orders a store check: a bucket, and the consent to what is written there."""

from __future__ import annotations

from django import forms

CONSENT = (
    "Some 20 uploads and 12 objects of a few bytes are written to this bucket, under a scratch prefix "
    "(.partway-check-…), and all removed again."
)


class CheckForm(forms.Form):
    bucket = forms.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$",
        strip=True,
        max_length=255,
        error_messages={"invalid": "Letters, digits, '.', '-' and '_' are allowed, beginning with a letter or digit."},
        widget=forms.TextInput(
            attrs={"class": "form-control mono", "autocapitalize": "none", "spellcheck": "false", "list": "buckets"}
        ),
    )
    consent = forms.BooleanField(
        label=CONSENT,
        error_messages={"required": "Agree to this first: nothing was written."},
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
