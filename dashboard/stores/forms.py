"""Forms of the stores pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.functional import lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dashboard.shared.messages import stores as texts
from dashboard.shared.messages.validation import by_field, with_texts
from dashboard.shared.routes import BUCKET
from dashboard.stores.provider_notes import ADDRESSING, SIGNATURE, label_of
from uploads.models import Store
from uploads.models.fields import is_readable
from uploads.models.store import validate_endpoint_url
from uploads.objectstore.providers import PROVIDERS, Provider
from uploads.selectors.stores import is_name_taken
from uploads.services.stores.settings import StoreValues

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise as Text

RESERVED_NAMES = frozenset({"new"})
"""Names that URLs of the site use."""

ADDRESSINGS: list[tuple[str, Text]] = [
    ("path", gettext_lazy("Path: endpoint/bucket/key")),
    ("virtual", gettext_lazy("Virtual-hosted: bucket.endpoint/key")),
]
SIGNATURES: list[tuple[str, Text]] = [*texts.SIGNATURES.items()]
PAYLOAD_SIGNINGS: list[tuple[str, Text]] = [("unsigned", gettext_lazy("No")), ("signed", gettext_lazy("Yes"))]
CHECKSUMS: list[tuple[str, Text]] = [*texts.CHECKSUMS.items()]

AS_PROVIDER = gettext_lazy("The provider's: %(default)s")
"""The choice that leaves a field to the provider."""

NEW_STORE = {"provider": "generic", "payload_signing": "unsigned", "checksum": "md5"}


def _text(label: Text, *, required: bool = True, help_text: Text = "", **attributes: str) -> forms.CharField:
    widget = forms.TextInput(
        attrs={"class": "form-control", "spellcheck": "false", "autocapitalize": "none"} | attributes
    )
    return forms.CharField(label=label, required=required, help_text=help_text, max_length=500, widget=widget)


def _secret(label: Text, help_text: Text) -> forms.CharField:
    """Always rendered empty: a stored secret is never shown."""
    widget = forms.PasswordInput(render_value=False, attrs={"class": "form-control", "autocomplete": "new-password"})
    return forms.CharField(label=label, required=False, help_text=help_text, max_length=8192, widget=widget)


def _choice(label: Text, choices: list[tuple[str, Text]], help_text: Text = "") -> forms.ChoiceField:
    widget = forms.Select(attrs={"class": "form-select"})
    return forms.ChoiceField(label=label, choices=choices, required=False, help_text=help_text, widget=widget)


@dataclass(frozen=True, slots=True)
class FieldErrors:
    """The errors of one field, with its label and the id of its control."""

    label: str
    control: str
    errors: list[str]


class StoreForm(forms.Form):
    """A store as an administrator enters it. Empty fields mean the provider's values; empty secrets keep the stored."""

    name = _text(gettext_lazy("Name"), help_text=gettext_lazy("Part of URLs: lower-case letters, digits and hyphens."))
    provider = _choice(gettext_lazy("Provider"), [(name, lazy(label_of, str)(name)) for name in PROVIDERS])
    endpoint_url = _text(
        gettext_lazy("Endpoint URL"),
        required=False,
        help_text=gettext_lazy(
            "The address of the API, without a bucket. If empty, it is built from provider and region where possible."
        ),
        inputmode="url",
    )
    region = _text(
        gettext_lazy("Region"), required=False, help_text=gettext_lazy("If empty, the provider's default is used.")
    )
    addressing = _choice(gettext_lazy("Addressing"), [("", ""), *ADDRESSINGS])
    signature = _choice(gettext_lazy("Signature"), [("", ""), *SIGNATURES])
    payload_signing = _choice(
        gettext_lazy("Sign payloads"),
        PAYLOAD_SIGNINGS,
        gettext_lazy("Includes the SHA-256 of every body in the signature. The checksum is always included."),
    )
    checksum = _choice(
        gettext_lazy("Checksum"),
        CHECKSUMS,
        gettext_lazy(
            "The store refuses a file or part whose checksum is wrong. CRC-64/NVME takes far less processor "
            "time. It can be chosen once a store check has proved that the store verifies it."
        ),
    )
    access_key = _text(gettext_lazy("Access key"), autocomplete="off")
    secret_key = _secret(gettext_lazy("Secret key"), gettext_lazy("Stored encrypted, and never shown."))
    session_token = _secret(gettext_lazy("Session token"), gettext_lazy("Only with temporary credentials (STS)."))
    clear_session_token = forms.BooleanField(
        label=gettext_lazy("Remove the stored session token"),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    ca_bundle = _text(
        gettext_lazy("CA bundle"),
        required=False,
    )
    buckets = forms.CharField(
        label=gettext_lazy("Named buckets"),
        required=False,
        help_text=gettext_lazy("One per line, for credentials that cannot list buckets."),
        widget=forms.Textarea(attrs={"class": "form-control", "rows": "3", "spellcheck": "false"}),
    )
    enabled = forms.BooleanField(
        label=gettext_lazy("Enabled: operators can see and use this store"),
        required=False,
        initial=True,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, data: Any = None, *, store: Store | None = None) -> None:
        super().__init__(data, initial=_initial(store) if store else NEW_STORE)
        text = _("A PEM file in %(folder)s on the server, for a store with a private certificate authority.")
        self.fields["ca_bundle"].help_text = text % {"folder": settings.STORE_CA_DIR}
        self.store = store
        if store is None:
            self.fields["secret_key"].required = True
            del self.fields["clear_session_token"], self.fields["seen"]
        else:
            self._edit(store)
        self._show_defaults()

    def _edit(self, store: Store) -> None:
        # URLs and the audit log refer to the store by its name.
        self.fields["name"].disabled = True
        self.fields["secret_key"].help_text = _("If empty, the stored one is kept. It is never shown.")
        self.fields["session_token"].help_text = _("If empty, the stored one, if any, is kept. It is never shown.")
        for name in ("secret_key", "session_token"):
            if not is_readable(getattr(store, name)):
                self.fields[name].help_text = _("The stored one cannot be decrypted: enter it again.")
        # A page of its own explains the consequences.
        del self.fields["enabled"]
        if not store.session_token:
            del self.fields["clear_session_token"]

    @property
    def chosen_provider(self) -> Provider:
        """The provider that is selected now; for an unknown one, the generic profile."""
        return PROVIDERS.get(self["provider"].value() or "", PROVIDERS["generic"])

    def _show_defaults(self) -> None:
        """Show in the fields which values of the provider apply if they are empty."""
        provider = self.chosen_provider
        self._name_default("addressing", ADDRESSINGS, str(ADDRESSING[provider.addressing]))
        self._name_default("signature", SIGNATURES, SIGNATURE[provider.signature])
        self.fields["endpoint_url"].widget.attrs["placeholder"] = provider.endpoint_hint
        self.fields["region"].widget.attrs["placeholder"] = provider.region_default

    def _name_default(self, name: str, choices: list[tuple[str, Text]], default: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", str(AS_PROVIDER) % {"default": default}), *choices]

    def add_error(self, field: str | None, error: Any) -> None:
        """Show texts in place of the codes of models and services."""
        super().add_error(field, with_texts(error) if isinstance(error, ValidationError) else error)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name in RESERVED_NAMES:
            raise ValidationError(_("“%(name)s” is the name of a page of this site.") % {"name": name})
        if self.store is None and is_name_taken(name):
            raise ValidationError(_("A store with this name already exists."))
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
                text = _("“%(name)s” is not a bucket name. Use letters, digits, “.”, “-” and “_”.")
                raise ValidationError(text % {"name": name})
        return tuple(dict.fromkeys(name for name in names if name))

    def clean_seen(self) -> datetime | None:
        """When the store was last changed before the form was shown. Scripts can leave it out."""
        try:
            return datetime.fromisoformat(self.cleaned_data["seen"]) if self.cleaned_data["seen"] else None
        except ValueError as error:
            text = _("Open this form again: it does not contain which version of the store it shows.")
            raise ValidationError(text) from error

    def values(self) -> StoreValues:
        """The entered values; empty ones stay empty."""
        data = self.cleaned_data
        return StoreValues(
            name=data["name"],
            endpoint_url=data["endpoint_url"],
            region=data["region"],
            provider=data["provider"] or "generic",
            addressing=data["addressing"],
            signature=data["signature"],
            payload_signing=data["payload_signing"] or "unsigned",
            checksum=data["checksum"] or self._kept_checksum,
            access_key=data["access_key"],
            secret_key=data["secret_key"],
            session_token=data["session_token"],
            clear_session_token=data.get("clear_session_token", False),
            ca_bundle=data["ca_bundle"],
            enabled=data.get("enabled", True),
            buckets=data["buckets"],
        )

    @property
    def _kept_checksum(self) -> str:
        """For scripts that do not know the field."""
        return self.store.checksum if self.store else "md5"

    def add_errors(self, error: ValidationError) -> None:
        """Show what the model or a service refused beside the fields it concerns."""
        for name, errors in by_field(error).items():
            self.add_error(name if name in self.fields else None, errors)

    def show_state_of(self, changed_at: datetime) -> None:
        """Let the form, when it is sent again, replace the store as it was changed at this time."""
        self.data = {name: self.data[name] for name in self.data} | {"seen": changed_at.isoformat()}

    def all_errors(self) -> list[FieldErrors]:
        """All errors, field by field; those of the whole form have no label."""
        return [self._field_errors(name, [str(error) for error in errors]) for name, errors in self.errors.items()]

    def _field_errors(self, name: str, errors: list[str]) -> FieldErrors:
        if name not in self.fields:
            return FieldErrors("", "", errors)
        return FieldErrors(str(self.fields[name].label or name), self[name].id_for_label, errors)


def _initial(store: Store) -> dict[str, Any]:
    names = ("name", "provider", "endpoint_url", "region", "payload_signing", "checksum", "access_key", "ca_bundle")
    initial: dict[str, Any] = {name: getattr(store, name) for name in names}
    own = PROVIDERS.get(store.provider, PROVIDERS["generic"])
    for name in ("addressing", "signature"):
        initial[name] = "" if getattr(store, name) == getattr(own, name) else getattr(store, name)
    buckets = "\n".join(bucket.name for bucket in store.named_buckets.all())
    return initial | {"buckets": buckets, "seen": store.updated_at.isoformat()}
