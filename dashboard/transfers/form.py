"""The form of a new transfer: the text fields that precede the file, from what was typed to clean values."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.contrib.auth.models import User

from dashboard.shared.messages import store_error_text, text_of
from uploads import access
from uploads.models import Store
from uploads.objectstore.errors import NotSent
from uploads.objectstore.keys import check_bucket, check_key, metadata_headers
from uploads.problems import ProblemError
from uploads.services.staging.expected_sha256 import parse_digest
from uploads.services.transfers.start import NewTransfer

if TYPE_CHECKING:
    from uploads.access import AnyUser

MAX_METADATA_BYTES = 2048 - 160
"""S3 takes 2 KB of names and values; 160 bytes are kept for what Partway itself writes there: id and SHA-256."""

RESERVED_METADATA = "partway-"
DEFAULT_CONTENT_TYPE = "application/octet-stream"

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - the grammar's word for it (RFC 9110), no secret
_PARAMETER = rf'\s*;\s*{_TOKEN}=(?:{_TOKEN}|"[\x20\x21\x23-\x5b\x5d-\x7e]*")'
_CONTENT_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:{_PARAMETER})*")
_STORAGE_CLASS = re.compile(r"[A-Za-z0-9_-]+")
_SIZE = re.compile(r"([0-9]{1,15})\s*(|B|KB?|KiB|MB?|MiB|GB?|GiB)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


@dataclass(frozen=True, slots=True)
class NewTransferValues:
    """What the text fields ask for. `key` is empty where only the file's own name, not yet known, can give it."""

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
    filename: str
    verify: str
    sha256: str
    fingerprint: str

    def new_transfer(self, owner: User, size: int, *, resumable: bool = False) -> NewTransfer:
        """What the services begin, for a file of `size` bytes."""
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
            resumable=resumable,
            fingerprint=self.fingerprint if resumable else "",
            # Only a browser that sends piece by piece can tell a digest at the end.
            verify_sha256=bool(self.sha256) or (resumable and self.verify == "sha256"),
            expected_sha256=self.sha256,
        )


def text_input(**attrs: str) -> forms.TextInput:
    return forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", **attrs})


class NewTransferForm(forms.Form):
    """Validates everything but the file. Its fields are named as in the page: `content-type`, not `content_type`."""

    store = forms.ModelChoiceField(
        Store.objects.none(),
        to_field_name="name",
        empty_label=None,
        widget=forms.Select(attrs={"class": "form-select"}),
        error_messages={
            "required": "Choose a store.",
            "invalid_choice": "There is no such store, or it is not enabled.",
        },
    )
    bucket = forms.CharField(
        max_length=255,
        widget=text_input(list="bucket-options", spellcheck="false"),
        error_messages={"required": "Name a bucket of the store."},
    )
    # Keys are exact: a space at either end belongs to the key.
    prefix = forms.CharField(  # type: ignore[assignment]  # declared fields are taken off the class
        required=False,
        strip=False,
        widget=text_input(spellcheck="false", **{"class": "form-control mono"}),
        help_text="Put before the file's name, such as backups/2024/.",
    )
    key = forms.CharField(
        required=False,
        strip=False,
        widget=text_input(spellcheck="false", **{"class": "form-control mono"}),
        help_text="The whole key. Empty: the prefix and the file's name.",
    )
    content_type = forms.CharField(
        required=False,
        max_length=255,
        widget=text_input(spellcheck="false", placeholder="guessed from the name"),
        help_text="Such as text/csv. Empty: guessed from the name.",
    )
    storage_class = forms.CharField(
        required=False,
        max_length=64,
        widget=text_input(list="storage-classes", spellcheck="false", placeholder="the bucket's own"),
        help_text="Empty: the store chooses.",
    )
    metadata = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(
            attrs={"class": "form-control mono", "rows": 3, "spellcheck": "false", "placeholder": "owner: ops"}
        ),
        help_text="One a line, name: value.",
    )
    part_size = forms.CharField(
        required=False,
        widget=text_input(placeholder="chosen"),
        help_text="Bytes; 64 MiB or 1 GiB can be written too.",
    )
    part_count = forms.CharField(
        required=False,
        label="Number of parts",
        widget=text_input(inputmode="numeric", placeholder="chosen"),
        help_text="Instead of a part size.",
    )
    replace = forms.BooleanField(
        required=False,
        label="Replace the object that has this key",
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    filename = forms.CharField(required=False, strip=False, max_length=1024, widget=forms.HiddenInput())
    verify = forms.ChoiceField(
        choices=[("", "No"), ("sha256", "Compute it here while sending")],
        required=False,
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    sha256 = forms.CharField(
        required=False,
        label="SHA-256",
        widget=text_input(spellcheck="false", placeholder="64 hexadecimal digits", **{"class": "form-control mono"}),
        help_text="The file's digest, where you know it: a file that arrives with another is not completed.",
    )
    fingerprint = forms.CharField(required=False, max_length=128, widget=forms.HiddenInput())

    def __init__(
        self, *, user: AnyUser, data: Mapping[str, Any] | None = None, initial: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(data=data, initial=dict(initial or {}))
        cast("forms.ModelChoiceField[Store]", self.fields["store"]).queryset = access.stores_to_transfer_to(user)

    def add_prefix(self, field_name: str) -> str:
        return field_name.replace("_", "-")

    def clean_bucket(self) -> str:
        bucket: str = self.cleaned_data["bucket"]
        try:
            check_bucket(bucket)
        except NotSent as refusal:
            raise forms.ValidationError(store_error_text(refusal)) from refusal
        return bucket

    def clean_content_type(self) -> str:
        content_type: str = self.cleaned_data["content_type"]
        if content_type and not _CONTENT_TYPE.fullmatch(content_type):
            raise forms.ValidationError(
                "Not a content type: type/subtype is allowed, with parameters, such as text/plain; charset=utf-8."
            )
        return content_type

    def clean_storage_class(self) -> str:
        storage_class: str = self.cleaned_data["storage_class"]
        if storage_class and not _STORAGE_CLASS.fullmatch(storage_class):
            raise forms.ValidationError("A storage class has letters, digits, '_' and '-' only, such as STANDARD_IA.")
        return storage_class

    def clean_metadata(self) -> dict[str, str]:
        return parse_metadata(self.cleaned_data["metadata"])

    def clean_sha256(self) -> str:
        try:
            return parse_digest(self.cleaned_data["sha256"])
        except ProblemError as error:
            raise forms.ValidationError(text_of(error.problem)) from error

    def clean_part_size(self) -> int | None:
        return parse_part_size(self.cleaned_data["part_size"])

    def clean_part_count(self) -> int | None:
        return parse_part_count(self.cleaned_data["part_count"])

    def clean(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        if cleaned.get("part_size") is not None and cleaned.get("part_count") is not None:
            self.add_error("part_count", "Give a part size or a number of parts, not both.")
        self._clean_key(cleaned)
        return cleaned

    def _clean_key(self, cleaned: dict[str, Any]) -> None:
        """A key that is typed is whole; the prefix goes before the file's name only."""
        key = object_key(cleaned.get("key", ""), cleaned.get("prefix", ""), cleaned.get("filename", ""))
        if not key:
            return
        cleaned["key"] = key
        try:
            check_key(key)
        except NotSent as refusal:
            self.add_error("key", store_error_text(refusal))

    def values(self) -> NewTransferValues:
        """The clean values; call only after is_valid()."""
        cleaned = self.cleaned_data
        content_type = cleaned["content_type"] or guess_content_type(cleaned["filename"] or cleaned["key"])
        return NewTransferValues(**{**cleaned, "content_type": content_type})

    def field_errors(self) -> dict[str, str]:
        """What is wrong, by the field's name in the page."""
        return {self.add_prefix(name): " ".join(map(str, errors)) for name, errors in self.errors.items()}


def base_name(filename: str) -> str:
    """The last segment of a file's name: some browsers send a path, with either slash."""
    return re.split(r"[/\\]", filename)[-1]


def object_key(key: str, prefix: str, filename: str) -> str:
    """The key to write: the one typed, else the prefix and the file's name; empty where neither is known yet."""
    name = base_name(filename)
    return key or (prefix + name if name else "")


def guess_content_type(name: str) -> str:
    """From the ending of a name; a compressed file is what it is packed in, not what is inside."""
    guessed, encoding = mimetypes.guess_type(name)
    if encoding:
        return {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}.get(
            encoding, DEFAULT_CONTENT_TYPE
        )
    return guessed or DEFAULT_CONTENT_TYPE


def parse_part_size(text: str) -> int | None:
    """Bytes, or a number with a binary unit (`16 MiB`); None when empty. Raises ValidationError."""
    text = text.strip()
    if not text:
        return None
    match = _SIZE.fullmatch(text)
    size = int(match[1]) * _UNITS[match[2][:1].lower()] if match else 0
    if not size:
        raise forms.ValidationError("A part size is a number of bytes, 1 or more; 16 MiB or 1 GiB can be written too.")
    return size


def parse_part_count(text: str) -> int | None:
    """A number of parts; None when empty. Raises ValidationError."""
    text = text.strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        raise forms.ValidationError("A number of parts is a whole number, 1 or more.")
    return int(text)


def parse_metadata(text: str) -> dict[str, str]:
    """Lines of `name: value`, names in lower case as stores keep them. Raises ValidationError that names the line."""
    metadata: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if not line.strip():
            continue
        name, value = _metadata_line(number, line)
        if name in metadata:
            raise forms.ValidationError(f"Line {number}: {name!r} is given twice.")
        metadata[name] = value
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise forms.ValidationError(
            f"The metadata has {size:,} bytes; names and values together may have {MAX_METADATA_BYTES:,}."
        )
    return metadata


def _metadata_line(number: int, line: str) -> tuple[str, str]:
    name, colon, value = (piece.strip(" \t") for piece in line.partition(":"))
    if not colon or not name or not value:
        raise forms.ValidationError(f"Line {number}: each line is a name, a colon and a value.")
    try:
        metadata_headers({name: value})
    except NotSent as refusal:
        raise forms.ValidationError(f"Line {number}: {store_error_text(refusal)}") from refusal
    if name.lower().startswith(RESERVED_METADATA):
        raise forms.ValidationError(f"Line {number}: names that begin with {RESERVED_METADATA!r} are Partway's own.")
    return name.lower(), value
