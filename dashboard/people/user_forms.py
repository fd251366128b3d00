"""Forms of users, groups and invitations."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group, User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.utils.translation import gettext_lazy

from dashboard.people.fields import text_field
from dashboard.people.grant_form import check_name
from dashboard.shared.password_fields import check_repeated, password_field


def _email_field(help_text: Any = "") -> forms.EmailField:
    widget = forms.EmailInput(attrs={"class": "form-control", "autocomplete": "off"})
    return forms.EmailField(
        label=gettext_lazy("E-mail address"), required=False, help_text=help_text, max_length=254, widget=widget
    )


class NewUserForm(forms.Form):
    username = text_field(
        gettext_lazy("Username"), help_text=gettext_lazy("Letters, digits and @ . + - _. It does not change later.")
    )
    email = _email_field(gettext_lazy("The link is mailed to it if this site can send mail."))

    def clean_username(self) -> str:
        name: str = User.normalize_username(check_name(self.cleaned_data["username"]))
        UnicodeUsernameValidator()(name)
        return name


class EmailForm(forms.Form):
    email = _email_field()


class GroupForm(forms.Form):
    name = text_field(gettext_lazy("Name of the new group"))

    def clean_name(self) -> str:
        return check_name(self.cleaned_data["name"])


class MemberForm(forms.Form):
    member = text_field(gettext_lazy("Add a member"), list="members")


class GroupsForm(forms.Form):
    """The groups of a user, as checkboxes."""

    groups = forms.MultipleChoiceField(
        label=gettext_lazy("Groups"),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
    )

    def __init__(self, data: Any = None, *, groups: list[Group], current: list[Group]) -> None:
        super().__init__(data, initial={"groups": [str(group.pk) for group in current]})
        field = self.fields["groups"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(str(group.pk), group.name) for group in groups]


class PasswordForm(forms.Form):
    """A new password, twice. The service checks the rules."""

    password = password_field(gettext_lazy("New password"))
    again = password_field(gettext_lazy("The same password again"))

    def clean(self) -> dict[str, Any]:
        check_repeated(self, "password")
        return self.cleaned_data
