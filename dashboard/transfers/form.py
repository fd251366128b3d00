"""The form of a new transfer: the text fields before the file."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from dashboard.shared.messages import store_error_text, text_of
from dashboard.shared.replacing import read_replacement
from dashboard.transfers import parsing
from uploads import access
from uploads.domain.confirmation import InvalidConfirmation
from uploads.domain.replacement import NOTHING, Replacement
from uploads.models import Store, Transfer
from uploads.objectstore.errors import NotSent
from uploads.objectstore.keys import check_bucket, check_key
from uploads.problems import Code, Problem, ProblemError
from uploads.services.staging.expected_sha256 import parse_digest
from uploads.services.transfers.start import NewTransfer

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from uploads.access import AnyUser


@dataclass(frozen=True, slots=True)
class NewTransferValues:
    """The values of the text fields. `key` is empty if it depends on the name of a file that is not known yet."""

    store: Store
    bucket: str
    key: str
    prefix: str
    content_type: str
    storage_class: str
    metadata: Mapping[str, str]
    part_size: int | None
    part_count: int | None
    replace: bool
    replacement: Replacement
    filename: str
    verify: str
    sha256: str
    fingerprint: str
    discard: Transfer | None

    def new_transfer(self, owner: User, size: int, *, resumable: bool = False) -> NewTransfer:
        """The transfer to start for a file of `size` bytes."""
        return NewTransfer(
            owner=owner,
            store=self.store,
            bucket=self.bucket,
            key=self.key,
            size=size,
            filename=self.filename,
            content_type=self.content_type,
            storage_class=self.storage_class,
            metadata=dict(self.metadata),
            part_size=self.part_size,
            part_count=self.part_count,
            replace=self.replace,
            replacement=self.replacement,
            resumable=resumable,
            fingerprint=self.fingerprint if resumable else "",
            # Only a browser that sends the file in pieces can send a digest at the end.
            verify_sha256=bool(self.sha256) or (resumable and self.verify == "sha256"),
            expected_sha256=self.sha256,
            discard=self.discard,
        )


OPTIONS = ("key", "content_type", "storage_class", "part_size", "part_count", "metadata", "sha256")
"""The fields below *Options*, in their order. static/new-transfer/options.js has the same."""


def text_input(**attrs: StrOrPromise) -> forms.TextInput:
    return forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", **attrs})


class NewTransferForm(forms.Form):
    """Validates everything but the file. Fields have the names of the page: `content-type`, not `content_type`."""

    store = forms.ModelChoiceField(
        Store.objects.none(),
        to_field_name="name",
        label=_("Store"),
        empty_label=None,
        widget=forms.Select(
            attrs={
                "class": "form-select",
                "hx-get": reverse_lazy("new-transfer-buckets"),
                "hx-trigger": "load, change",
                "hx-target": "#bucket-suggestions",
                "hx-swap": "innerHTML",
            }
        ),
        error_messages={
            "required": _("Select a store."),
            "invalid_choice": _("There is no such store, or it is disabled."),
        },
    )
    bucket = forms.CharField(
        label=_("Bucket"),
        max_length=255,
        widget=text_input(list="bucket-options", spellcheck="false"),
        error_messages={"required": _("Enter a bucket of the store.")},
    )
    # Keys are exact: leading and trailing spaces belong to the key.
    prefix = forms.CharField(  # type: ignore[assignment]  # declared fields are taken off the class
        required=False,
        strip=False,
        label=_("Prefix"),
        widget=text_input(
            spellcheck="false", placeholder=_("none, or such as backups/2024/"), **{"class": "form-control mono"}
        ),
    )
    key = forms.CharField(
        required=False,
        strip=False,
        label=_("Key"),
        widget=text_input(spellcheck="false", **{"class": "form-control mono"}),
        help_text=_("The whole key. If empty: the prefix and the file's name."),
    )
    content_type = forms.CharField(
        required=False,
        label=_("Content type"),
        max_length=255,
        widget=text_input(spellcheck="false", placeholder=_("automatic")),
        help_text=_("Such as text/csv. If empty, it follows from the file's name."),
    )
    storage_class = forms.CharField(
        required=False,
        label=_("Storage class"),
        max_length=64,
        widget=text_input(list="storage-classes", spellcheck="false", placeholder=_("automatic")),
        help_text=_("If empty, the store uses its default."),
    )
    metadata = forms.CharField(
        required=False,
        label=_("Metadata"),
        strip=False,
        widget=forms.Textarea(
            attrs={"class": "form-control mono", "rows": 3, "spellcheck": "false", "placeholder": "owner: ops"}
        ),
        help_text=_("One per line, as name: value."),
    )
    part_size = forms.CharField(
        required=False,
        label=_("Part size"),
        widget=text_input(placeholder=_("automatic")),
        help_text=_("In bytes, or with a unit, such as 64 MiB or 1 GiB."),
    )
    part_count = forms.CharField(
        required=False,
        label=_("Number of parts"),
        widget=text_input(inputmode="numeric", placeholder=_("automatic")),
        help_text=_("Instead of a part size."),
    )
    replace = forms.BooleanField(
        required=False,
        label=_("Replace the object with this key"),
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    # The object that was shown, where replacing it was allowed.
    replace_etag = forms.CharField(required=False, strip=False, max_length=1024, widget=forms.HiddenInput())
    replace_size = forms.CharField(required=False, max_length=32, widget=forms.HiddenInput())
    replace_modified = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput())
    filename = forms.CharField(required=False, strip=False, max_length=1024, widget=forms.HiddenInput())
    verify = forms.ChoiceField(
        choices=[("", _("No")), ("sha256", _("Compute it in the browser while sending"))],
        required=False,
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    sha256 = forms.CharField(
        required=False,
        label="SHA-256",
        widget=text_input(spellcheck="false", placeholder=_("64 hexadecimal digits"), **{"class": "form-control mono"}),
        help_text=_("The digest of the file, if you know it. A file with another digest is not completed."),
    )
    fingerprint = forms.CharField(required=False, max_length=128, widget=forms.HiddenInput())
    discard = forms.UUIDField(
        required=False,
        widget=forms.HiddenInput(),
        error_messages={"invalid": _("“discard” must be the id of a transfer.")},
    )

    def __init__(
        self, *, user: AnyUser, data: Mapping[str, Any] | None = None, initial: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(data=data, initial=dict(initial or {}))
        self._user = user
        self.is_forbidden = False
        """Whether the user may not send a file to the bucket or with the key."""
        self._offer_stores()

    def _offer_stores(self) -> None:
        """Let the field of the store have the stores that the user may send to."""
        cast("forms.ModelChoiceField[Store]", self.fields["store"]).queryset = access.stores_to_transfer_to(self._user)

    def add_prefix(self, field_name: str) -> str:
        return field_name.replace("_", "-")

    def clean_bucket(self) -> str:
        bucket: str = self.cleaned_data["bucket"]
        try:
            check_bucket(bucket)
        except NotSent as refusal:
            raise ValidationError(store_error_text(refusal)) from refusal
        return bucket

    def clean_content_type(self) -> str:
        return parsing.parse_content_type(self.cleaned_data["content_type"])

    def clean_storage_class(self) -> str:
        return parsing.parse_storage_class(self.cleaned_data["storage_class"])

    def clean_metadata(self) -> dict[str, str]:
        return parsing.parse_metadata(self.cleaned_data["metadata"])

    def clean_sha256(self) -> str:
        try:
            return parse_digest(self.cleaned_data["sha256"])
        except ProblemError as error:
            raise ValidationError(text_of(error.problem)) from error

    def clean_discard(self) -> Transfer | None:
        """The transfer that the user decided to discard: one that the user may cancel."""
        transfer_id: uuid.UUID | None = self.cleaned_data["discard"]
        if transfer_id is None:
            return None
        try:
            return access.transfer_to_steer(self._user, transfer_id)
        except (access.NotVisible, access.NotAllowed) as error:
            raise ValidationError(text_of(error.problem)) from error

    def clean_part_size(self) -> int | None:
        return parsing.parse_part_size(self.cleaned_data["part_size"])

    def clean_part_count(self) -> int | None:
        return parsing.parse_part_count(self.cleaned_data["part_count"])

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if cleaned.get("part_size") is not None and cleaned.get("part_count") is not None:
            self.add_error("part_count", text_of(Problem(Code.PART_SIZE_AND_COUNT)))
        self._clean_key(cleaned)
        self._clean_place(cleaned)
        cleaned["replacement"] = self._replacement(cleaned)
        return cleaned

    def _replacement(self, cleaned: dict[str, Any]) -> Replacement:
        """The object that may be replaced, if the form names one. The three fields exist only together."""
        etag, size, modified = (cleaned.pop(f"replace_{name}", "") for name in ("etag", "size", "modified"))
        if not etag:
            return NOTHING
        try:
            return read_replacement(etag, size, modified)
        except InvalidConfirmation as invalid:
            self.add_error(
                str(invalid).replace("-", "_"), text_of(Problem(Code.CONFIRMATION_INVALID, name=str(invalid)))
            )
            return NOTHING

    def _clean_key(self, cleaned: dict[str, Any]) -> None:
        """A key that is typed is the whole key. The prefix applies only to the file's name."""
        key = parsing.object_key(cleaned.get("key", ""), cleaned.get("prefix", ""), cleaned.get("filename", ""))
        if not key:
            return
        cleaned["key"] = key
        try:
            check_key(key)
        except NotSent as refusal:
            self.add_error("key", store_error_text(refusal))

    def _clean_place(self, cleaned: dict[str, Any]) -> None:
        """Refuse a bucket or a key for which the user has no grant. A prefix alone is checked when there is a key."""
        if "store" not in cleaned or "bucket" not in cleaned:
            return
        try:
            access.require_to_send(self._user, cleaned["store"], cleaned["bucket"], cleaned.get("key") or None)
        except (access.NotVisible, access.NotAllowed) as refusal:
            self.is_forbidden = True
            self.add_error("key" if cleaned.get("key") else "bucket", text_of(refusal.problem))

    def values(self) -> NewTransferValues:
        """The clean values. Call only after is_valid()."""
        cleaned = self.cleaned_data
        content_type = cleaned["content_type"] or parsing.guess_content_type(cleaned["filename"] or cleaned["key"])
        return NewTransferValues(**{**cleaned, "content_type": content_type})

    def field_errors(self) -> dict[str, str]:
        """The errors by the field's name in the page."""
        return {self.add_prefix(name): " ".join(map(str, errors)) for name, errors in self.errors.items()}

    def options_summary(self) -> str:
        """What is set below *Options*, in one line."""
        given = ((self[name].label, str(self[name].value() or "").strip()) for name in OPTIONS)
        shown = (f"{label}: {', '.join(value.splitlines())}" for label, value in given if value)
        return " · ".join(shown) or str(_("all automatic"))

    def has_option_errors(self) -> bool:
        """Whether a field below *Options* has an error that must be visible."""
        return not self.errors.keys().isdisjoint(OPTIONS)


FindStore = Callable[["AnyUser", str], Store | None]
"""Finds the store of a name, if the user may send to it."""


class _Shared(dict[str, forms.Field]):
    """Fields that all forms of a class have in common. Django would copy each of them for each form."""

    def __deepcopy__(self, _memo: object) -> _Shared:
        return self


class UploadMetadataForm(NewTransferForm):
    """The same for one file of tus: it is never shown, and is made for each file. No form changes its fields."""

    store = forms.CharField(  # type: ignore[assignment]
        strip=False, error_messages=NewTransferForm.base_fields["store"].error_messages
    )

    def __init__(
        self, *, user: AnyUser, data: Mapping[str, Any], find_store: FindStore = access.new_transfer_store
    ) -> None:
        super().__init__(user=user, data=data)
        self._find_store = find_store

    def _offer_stores(self) -> None:
        """The store is looked up by its name."""

    def _bound_items(self) -> Iterator[tuple[str, forms.BoundField]]:
        """Those that Django is to clean: most requests name a few of the fields."""
        return (
            (name, self[name])
            for name, field in self.fields.items()
            if field.required or self.add_prefix(name) in self.data
        )

    def clean(self) -> dict[str, Any]:
        self.cleaned_data = {**_values_of_no_data(), **self.cleaned_data}
        return super().clean()

    def clean_store(self) -> Store:
        store = self._find_store(self._user, self.cleaned_data["store"])
        if store is None:
            raise ValidationError(self.fields["store"].error_messages["invalid_choice"], code="invalid_choice")
        return store


def _without_texts(field: forms.Field) -> forms.Field:
    """A form that validates a field also translates its label and its help text."""
    bare = copy.copy(field)
    bare.label = bare.help_text = ""
    return bare


UploadMetadataForm.base_fields = _Shared(
    {name: _without_texts(field) for name, field in UploadMetadataForm.base_fields.items()}
)


class _Empty(UploadMetadataForm):
    """Names all fields, and gives none of them a value."""

    def __init__(self) -> None:
        super().__init__(user=AnonymousUser(), data={self.add_prefix(name): "" for name in self.base_fields})

    def clean(self) -> dict[str, Any]:
        return self.cleaned_data


@cache
def _values_of_no_data() -> Mapping[str, Any]:
    """The clean values of the fields that are not required, if there is no data for them."""
    empty = _Empty()
    empty.full_clean()
    return empty.cleaned_data
