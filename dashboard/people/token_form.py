"""The form of a new access token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from dashboard.people.fields import check_bucket_name, check_prefix, choice_field, text_field
from dashboard.shared.messages import text_of
from dashboard.shared.messages.people import SCOPES
from dashboard.shared.numbers import Count
from uploads import access
from uploads.access import AnyUser
from uploads.domain.roles import TokenScope
from uploads.models import Store
from uploads.services.people.tokens import TokenNotCreated, TokenValues

DAYS = (1, 7, 30, 90, 365)
DEFAULT_DAYS = 30
MAX_PLACES = 50


def allowed_days() -> list[int]:
    """The times of the form, within what the installation allows."""
    most: int = settings.TOKEN_MAX_DAYS
    return [days for days in DAYS if days < most] + [most]


def _days_text(days: int) -> str:
    return ngettext("%(days)s day", "%(days)s days", days) % {"days": Count(days)}


class TokenForm(forms.Form):
    name = text_field(
        gettext_lazy("Name"), help_text=gettext_lazy("What uses the token, such as “nightly backup”."), limit=100
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Allowed"),
        choices=[(scope.value, text) for scope, text in SCOPES.items()],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
        error_messages={"required": gettext_lazy("Select at least one.")},
    )
    days = choice_field(gettext_lazy("Expires after"), [])
    places = forms.CharField(
        label=gettext_lazy("Only in"),
        required=False,
        strip=False,
        help_text=gettext_lazy(
            "One per line: a store, store/bucket, or store/bucket/prefix, such as photos/archive/2026/. If empty, the "
            "token is valid wherever you have a role."
        ),
        max_length=MAX_PLACES * 1200,
        widget=forms.Textarea(attrs={"class": "form-control mono", "rows": "3", "spellcheck": "false"}),
    )

    def __init__(self, data: Any = None, *, user: AnyUser) -> None:
        days = allowed_days()
        default = DEFAULT_DAYS if DEFAULT_DAYS in days else days[-1]
        super().__init__(data, initial={"scopes": [TokenScope.READ.value], "days": str(default)})
        self._user = user
        field = self.fields["days"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(str(each), _days_text(each)) for each in days]

    def clean_places(self) -> list[tuple[Store, str, str]]:
        lines = [line for line in self.cleaned_data["places"].splitlines() if line.strip()]
        if len(lines) > MAX_PLACES:
            raise ValidationError(_("Enter at most %(limit)s lines.") % {"limit": Count(MAX_PLACES)})
        stores = {store.name: store for store in access.visible_stores(self._user)}
        return [self._place(line, stores) for line in dict.fromkeys(lines)]

    def _place(self, line: str, stores: Mapping[str, Store]) -> tuple[Store, str, str]:
        """Names of stores and buckets have no slash; everything behind the second one is the prefix."""
        name, _slash, rest = line.partition("/")
        bucket, _slash, prefix = rest.partition("/")
        store = stores.get(name.strip())
        if store is None:
            raise ValidationError(_("There is no store “%(name)s”.") % {"name": name.strip()})
        if bucket:
            check_bucket_name(bucket)
        elif prefix:
            raise ValidationError(_("“%(line)s” has a prefix, but no bucket.") % {"line": line})
        check_prefix(prefix)
        return store, bucket, prefix

    def values(self) -> TokenValues:
        data = self.cleaned_data
        scopes = frozenset(TokenScope(each) for each in data["scopes"])
        return TokenValues(name=data["name"], scopes=scopes, days=int(data["days"]), places=data["places"])

    def add_refusal(self, refusal: TokenNotCreated) -> None:
        self.add_error(refusal.field or None, text_of(refusal.problem))
