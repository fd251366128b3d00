"""Forms of the account pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.password_fields import check_repeated, password_field
from uploads.services.sign_in.passwords import check_rules

LONGEST = 4096


class PasswordForm(forms.Form):
    """The old password counts as a sign-in: whoever guesses it at an open browser is locked out too."""

    old = password_field(gettext_lazy("Current password"), autocomplete="current-password", limit=LONGEST)
    new = password_field(gettext_lazy("New password"), limit=LONGEST)
    again = password_field(gettext_lazy("New password, again"), limit=LONGEST)
    revoke_tokens = forms.BooleanField(
        label=gettext_lazy("Revoke my access tokens too"),
        help_text=gettext_lazy("Whoever knew the password may have created one."),
        initial=True,
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    def __init__(self, request: HttpRequest, user: User) -> None:
        super().__init__(request.POST or None)
        self._request, self._user = request, user

    def clean_old(self) -> str:
        old: str = self.cleaned_data["old"]
        if authenticate(self._request, username=self._user.get_username(), password=old) is None:
            raise ValidationError(_("This is not your password."))
        return old

    def clean_new(self) -> str:
        new: str = self.cleaned_data["new"]
        check_rules(new, self._user)
        return new

    def clean(self) -> dict[str, Any]:
        check_repeated(self, "new")
        return self.cleaned_data
