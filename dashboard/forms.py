"""Forms of the stores pages."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from dashboard.routes import BUCKET
from uploads.models import Store
from uploads.models.store import validate_endpoint_url
from uploads.objectstore.providers import PROVIDERS
from uploads.services.stores import StoreValues

RESERVED_NAMES = frozenset({"new"})
"""Names that the site's own URLs take."""


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


class StoreForm(forms.Form):
    """A store as an administrator enters it. Empty secrets keep the stored ones; an empty region takes the default."""

    name = _text("Name", help_text="What URLs and people call it: lower-case letters, digits and hyphens.")
    provider = _choice("Provider", [(each.name, each.label) for each in PROVIDERS.values()])
    endpoint_url = _text(
        "Endpoint URL", help_text="The API's address without a bucket, such as https://s3.eu-west-1.amazonaws.com."
    )
    region = _text("Region", required=False, help_text="Empty: the provider's usual one.")
    addressing = _choice(
        "Addressing",
        [
            ("", "As the provider has it"),
            ("path", "Path: endpoint/bucket/key"),
            ("virtual", "Virtual-hosted: bucket.endpoint/key"),
        ],
    )
    payload_signing = _choice(
        "Sign payloads",
        [("auto", "As usual: no"), ("signed", "Always"), ("unsigned", "Never")],
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

    def __init__(self, data: Any = None, *, store: Store | None = None) -> None:
        super().__init__(data, initial=_initial(store) if store else {"provider": "generic", "payload_signing": "auto"})
        self.store = store
        if store is None:
            self.fields["secret_key"].required = True
            del self.fields["clear_session_token"]
        else:
            # URLs and the audit log know the store by its name.
            self.fields["name"].disabled = True
            self.fields["secret_key"].help_text = "Empty: the stored one is kept. It is never shown."
            self.fields["session_token"].help_text = "Empty: the stored one, if any, is kept. It is never shown."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name in RESERVED_NAMES:
            raise ValidationError(f"“{name}” is taken by a page of this site.")
        if self.store is None and Store.objects.filter(name=name).exists():
            raise ValidationError("There is a store of this name already.")
        return name

    def clean_endpoint_url(self) -> str:
        url: str = self.cleaned_data["endpoint_url"].strip()
        validate_endpoint_url(url)
        return url

    def clean_buckets(self) -> tuple[str, ...]:
        names = [line.strip() for line in self.cleaned_data["buckets"].splitlines()]
        for name in names:
            if name and not re.fullmatch(BUCKET, name):
                raise ValidationError(f"{name!r} is not a bucket name: letters, digits, '.', '-' and '_' are allowed.")
        return tuple(dict.fromkeys(name for name in names if name))

    def values(self) -> StoreValues:
        """What was entered, with the provider's defaults where it was left open."""
        data = self.cleaned_data
        provider = PROVIDERS[data["provider"] or "generic"]
        return StoreValues(
            name=data["name"],
            endpoint_url=data["endpoint_url"],
            region=data["region"] or provider.region_default,
            provider=provider.name,
            addressing=data["addressing"] or provider.addressing,
            payload_signing=data["payload_signing"] or "auto",
            access_key=data["access_key"],
            secret_key=data["secret_key"],
            session_token=data["session_token"],
            clear_session_token=data.get("clear_session_token", False),
            ca_bundle=data["ca_bundle"],
            enabled=data["enabled"],
            buckets=data["buckets"],
        )

    def take_errors(self, error: ValidationError) -> None:
        """Show what the model refused beside the fields it is about."""
        for name, errors in (error.message_dict if hasattr(error, "error_dict") else {"": error.messages}).items():
            self.add_error(name if name in self.fields else None, errors)


def _initial(store: Store) -> dict[str, Any]:
    names = (
        "name",
        "provider",
        "endpoint_url",
        "region",
        "addressing",
        "payload_signing",
        "access_key",
        "ca_bundle",
        "enabled",
    )
    initial: dict[str, Any] = {name: getattr(store, name) for name in names}
    return initial | {"buckets": "\n".join(bucket.name for bucket in store.named_buckets.all())}
