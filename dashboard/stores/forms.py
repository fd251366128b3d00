"""Forms of the stores pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard.shared.routes import BUCKET
from dashboard.stores.provider_notes import ADDRESSING, SIGNATURE
from uploads.models import Store
from uploads.models.store import SIGNATURES as STORE_SIGNATURES
from uploads.models.store import validate_endpoint_url
from uploads.objectstore.providers import PROVIDERS, Provider
from uploads.selectors.stores import is_name_taken
from uploads.services.stores.settings import StoreValues

RESERVED_NAMES = frozenset({"new"})
"""Names that the site's own URLs take."""

ADDRESSINGS = [("", ""), ("path", "Path: endpoint/bucket/key"), ("virtual", "Virtual-hosted: bucket.endpoint/key")]
SIGNATURES = [("", ""), *STORE_SIGNATURES]
"""The first choice leaves it to the provider; what that has is written behind these words."""

AS_PROVIDER = "The provider's: "

NEW_STORE = {"provider": "generic", "payload_signing": "unsigned"}


def _text(label: str, *, required: bool = True, help_text: str = "", **attributes: str) -> forms.CharField:
    widget = forms.TextInput(
        attrs={"class": "form-control", "spellcheck": "false", "autocapitalize": "none"} | attributes
    )
    return forms.CharField(label=label, required=required, help_text=help_text, max_length=500, widget=widget)


def _secret(label: str, help_text: str) -> forms.CharField:
    """Never filled in by us: a secret that was stored is not shown again."""
    widget = forms.PasswordInput(render_value=False, attrs={"class": "form-control", "autocomplete": "new-password"})
    return forms.CharField(label=label, required=False, help_text=help_text, max_length=8192, widget=widget)


def _choice(label: str, choices: list[tuple[str, str]], help_text: str = "") -> forms.ChoiceField:
    widget = forms.Select(attrs={"class": "form-select"})
    return forms.ChoiceField(label=label, choices=choices, required=False, help_text=help_text, widget=widget)


@dataclass(frozen=True, slots=True)
class Complaint:
    """The errors of one field, with its label and the id of its control."""

    label: str
    control: str
    errors: list[str]


class StoreForm(forms.Form):
    """A store as an administrator enters it. What is left open is the provider's; empty secrets keep the stored."""

    name = _text("Name", help_text="What URLs and people call it: lower-case letters, digits and hyphens.")
    provider = _choice("Provider", [(each.name, each.label) for each in PROVIDERS.values()])
    endpoint_url = _text(
        "Endpoint URL",
        required=False,
        help_text="The API's address, without a bucket. Empty: made from provider and region where these say it all.",
        inputmode="url",
    )
    region = _text("Region", required=False, help_text="Empty: the provider's usual one.")
    addressing = _choice("Addressing", ADDRESSINGS)
    signature = _choice("Signature", SIGNATURES)
    payload_signing = _choice(
        "Sign payloads",
        [("unsigned", "No"), ("signed", "Yes")],
        "SHA-256 of every body in the signature, besides the Content-MD5 that always is in it.",
    )
    access_key = _text("Access key", autocomplete="off")
    secret_key = _secret("Secret key", "Stored encrypted, never shown again.")
    session_token = _secret("Session token", "Only with temporary credentials (STS).")
    clear_session_token = forms.BooleanField(
        label="Forget the stored session token",
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    ca_bundle = _text(
        "CA bundle", required=False, help_text="Path of a PEM file on the server, for a store with a private authority."
    )
    buckets = forms.CharField(
        label="Named buckets",
        required=False,
        help_text="One a line. For credentials that may not list buckets.",
        widget=forms.Textarea(attrs={"class": "form-control", "rows": "3", "spellcheck": "false"}),
    )
    enabled = forms.BooleanField(
        label="Enabled: operators see it and may use it",
        required=False,
        initial=True,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, store: Store | None = None) -> None:
        super().__init__(data, initial=_initial(store) if store else NEW_STORE)
        self.store = store
        if store is None:
            self.fields["secret_key"].required = True
            del self.fields["clear_session_token"], self.fields["seen"]
        else:
            # URLs and the audit log know the store by its name.
            self.fields["name"].disabled = True
            self.fields["secret_key"].help_text = "Empty: the stored one is kept. It is never shown."
            self.fields["session_token"].help_text = "Empty: the stored one, if any, is kept. It is never shown."
            # A step of its own, which says what it means.
            del self.fields["enabled"]
            if not store.session_token:
                del self.fields["clear_session_token"]
        self._show_defaults()

    @property
    def chosen_provider(self) -> Provider:
        """What is chosen as the form stands now; where that is none, the one we know nothing of."""
        return PROVIDERS.get(self["provider"].value() or "", PROVIDERS["generic"])

    def _show_defaults(self) -> None:
        """Say in the fields what the provider has where they are left open."""
        provider = self.chosen_provider
        self._name_default("addressing", ADDRESSINGS, str(ADDRESSING[provider.addressing]))
        self._name_default("signature", SIGNATURES, SIGNATURE[provider.signature])
        self.fields["endpoint_url"].widget.attrs["placeholder"] = provider.endpoint_hint
        self.fields["region"].widget.attrs["placeholder"] = provider.region_default

    def _name_default(self, name: str, choices: list[tuple[str, str]], default: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", f"{AS_PROVIDER}{default}"), *choices[1:]]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name in RESERVED_NAMES:
            raise ValidationError(f"“{name}” is taken by a page of this site.")
        if self.store is None and is_name_taken(name):
            raise ValidationError("There is a store of this name already.")
        return name

    def clean_endpoint_url(self) -> str:
        url: str = self.cleaned_data["endpoint_url"].strip()
        if url:
            validate_endpoint_url(url)
        return url

    def clean_buckets(self) -> tuple[str, ...]:
        names = [line.strip() for line in self.cleaned_data["buckets"].splitlines()]
        for name in names:
            if name and not re.fullmatch(BUCKET, name):
                raise ValidationError(f"{name!r} is not a bucket name: letters, digits, '.', '-' and '_' are allowed.")
        return tuple(dict.fromkeys(name for name in names if name))

    def clean_seen(self) -> datetime | None:
        """When the store was last changed, as the form was shown; a script need not say."""
        try:
            return datetime.fromisoformat(self.cleaned_data["seen"]) if self.cleaned_data["seen"] else None
        except ValueError as error:
            raise ValidationError("Open this form anew: it does not say which state of the store it shows.") from error

    def values(self) -> StoreValues:
        """What was entered; what was left open stays open."""
        data = self.cleaned_data
        return StoreValues(
            name=data["name"],
            endpoint_url=data["endpoint_url"],
            region=data["region"],
            provider=data["provider"] or "generic",
            addressing=data["addressing"],
            signature=data["signature"],
            payload_signing=data["payload_signing"] or "unsigned",
            access_key=data["access_key"],
            secret_key=data["secret_key"],
            session_token=data["session_token"],
            clear_session_token=data.get("clear_session_token", False),
            ca_bundle=data["ca_bundle"],
            enabled=data.get("enabled", True),
            buckets=data["buckets"],
        )

    def take_errors(self, error: ValidationError) -> None:
        """Show what the model refused beside the fields it is about."""
        for name, errors in (error.message_dict if hasattr(error, "error_dict") else {"": error.messages}).items():
            self.add_error(name if name in self.fields else None, errors)

    def show_state_of(self, changed_at: datetime) -> None:
        """Have the form, sent once more, replace the store as it was changed at this time."""
        self.data = {name: self.data[name] for name in self.data} | {"seen": changed_at.isoformat()}

    def complaints(self) -> list[Complaint]:
        """What is wrong, field by field; of the form as a whole without a label."""
        return [self._complaint(name, [str(error) for error in errors]) for name, errors in self.errors.items()]

    def _complaint(self, name: str, errors: list[str]) -> Complaint:
        if name not in self.fields:
            return Complaint("", "", errors)
        return Complaint(str(self.fields[name].label or name), self[name].id_for_label, errors)


def _initial(store: Store) -> dict[str, Any]:
    names = ("name", "provider", "endpoint_url", "region", "payload_signing", "access_key", "ca_bundle")
    initial: dict[str, Any] = {name: getattr(store, name) for name in names}
    own = PROVIDERS.get(store.provider, PROVIDERS["generic"])
    for name in ("addressing", "signature"):
        initial[name] = "" if getattr(store, name) == getattr(own, name) else getattr(store, name)
    buckets = "\n".join(bucket.name for bucket in store.named_buckets.all())
    return initial | {"buckets": buckets, "seen": store.updated_at.isoformat()}
