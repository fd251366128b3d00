"""The form that grants a role to a user or a group."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.people.fields import check_bucket_name, check_prefix, checkbox, choice_field, exact_field, text_field
from dashboard.shared.messages import text_of
from dashboard.shared.messages.access import ROLES
from uploads import access
from uploads.access import AnyUser
from uploads.domain.roles import Role
from uploads.services.people.grants import GrantRefused, GrantValues, add_grant


class GrantForm(forms.Form):
    """Offers the roles and stores that the user of the page may grant."""

    role = choice_field(gettext_lazy("Role"), [])
    store = choice_field(gettext_lazy("Store"), [], required=False)
    bucket = text_field(
        gettext_lazy("Bucket"), required=False, help_text=gettext_lazy("If empty: all buckets."), limit=255, mono=True
    )
    key_prefix = exact_field(
        gettext_lazy("Prefix"),
        gettext_lazy(
            "Only keys that start with it, compared exactly. End it with “/”: “a” is also the start of “ab”. If empty: "
            "all keys."
        ),
    )
    all_transfers = checkbox(
        gettext_lazy("Transfers of all users"),
        gettext_lazy("Without this, viewers and operators see and steer their own transfers only."),
    )

    def __init__(self, data: Any = None, *, user: AnyUser) -> None:
        super().__init__(data, initial={"role": Role.VIEWER.value}, auto_id="grant_%s")
        self._user = user
        self._stores = {store.name: store for store in access.stores_to_grant(user).order_by("name")}
        roles = [(role.value, str(ROLES[role])) for role in access.roles_to_grant(user)]
        everywhere = [("", _("All stores"))] if access.may_manage_users(user) else []
        self._set_choices("role", roles)
        self._set_choices("store", [*everywhere, *((name, name) for name in self._stores)])

    def _set_choices(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def clean_bucket(self) -> str:
        name: str = self.cleaned_data["bucket"]
        if name:
            check_bucket_name(name)
        return name

    def clean_key_prefix(self) -> str:
        prefix: str = self.cleaned_data["key_prefix"]
        check_prefix(prefix)
        return prefix

    def clean(self) -> dict[str, Any]:
        """A place has to be whole: a bucket of a store, a prefix in a bucket. Some roles are for a whole place only."""
        data = self.cleaned_data
        place = [bool(data.get(name)) for name in ("store", "bucket", "key_prefix")]
        if data.get("role") == Role.ADMINISTRATOR and any(place):
            self.add_error("store", _("An administrator has all stores. Leave store, bucket and prefix empty."))
        elif data.get("role") == Role.STORE_ADMINISTRATOR and any(place[1:]):
            self.add_error("bucket", _("An administrator of a store has all of it. Leave bucket and prefix empty."))
        elif place[1] and not place[0]:
            self.add_error("store", _("Select the store of this bucket."))
        elif place[2] and not place[1]:
            self.add_error("bucket", _("Enter the bucket of this prefix."))
        elif not place[0] and "" not in dict(self.fields["store"].choices):  # type: ignore[attr-defined]
            self.add_error("store", _("Select a store."))
        return data

    def grant_to(self, holder: User | Group) -> bool:
        """Grant what the form says. False, with the reason in the form, if it is not valid or refused."""
        if not self.is_valid():
            return False
        values = self.values()
        actor = access.actor_to_grant(self._user, values.role, values.store)
        try:
            add_grant(actor, holder, values)
        except GrantRefused as refusal:
            self.add_error(None, text_of(refusal.problem))
            return False
        return True

    def values(self) -> GrantValues:
        data = self.cleaned_data
        return GrantValues(
            role=Role(data["role"]),
            store=self._stores.get(data["store"]),
            bucket=data["bucket"],
            prefix=data["key_prefix"],
            all_transfers=data["all_transfers"],
        )


def check_name(name: str) -> str:
    """A name of a user or a group without spaces at its ends. Raises ValidationError."""
    name = name.strip()
    if not name or any(not character.isprintable() for character in name):
        raise ValidationError(_("Enter a name without control characters."))
    return name
