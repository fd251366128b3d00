"""The form that requests a store check: a bucket, and the consent to what the check writes there."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

CONSENT = _(
    "The check writes about 20 uploads and 12 objects of a few bytes to this bucket, under a scratch prefix "
    "(.partway-check-…), and removes all of them again."
)


class CheckForm(forms.Form):
    bucket = forms.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$",
        label=_("Bucket"),
        strip=True,
        max_length=255,
        error_messages={
            "invalid": _("Use letters, digits, “.”, “-” and “_”, and start with a letter or a digit."),
        },
        widget=forms.TextInput(
            attrs={"class": "form-control mono", "autocapitalize": "none", "spellcheck": "false", "list": "buckets"}
        ),
    )
    consent = forms.BooleanField(
        label=CONSENT,
        error_messages={"required": _("Agree to this first. Nothing was written.")},
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
