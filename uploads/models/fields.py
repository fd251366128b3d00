"""A text field that is encrypted at rest, and in memory until it is used."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


@lru_cache(maxsize=8)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    """The first key encrypts, every one of them decrypts."""
    return MultiFernet([Fernet(key) for key in keys])


def cipher() -> MultiFernet:
    """The cipher of CREDENTIALS_KEYS."""
    return _cipher(tuple(settings.CREDENTIALS_KEYS))


class SecretUnreadable(Exception):
    """None of CREDENTIALS_KEYS decrypts a stored secret."""


class Sealed:
    """A stored secret. It is decrypted by `open()` only, so that a row can be loaded without its key."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    def open(self) -> str:
        """The secret. Raises SecretUnreadable."""
        try:
            return cipher().decrypt(self.token.encode()).decode()
        except InvalidToken:
            raise SecretUnreadable from None

    @property
    def is_readable(self) -> bool:
        try:
            self.open()
        except SecretUnreadable:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        """Whether both are the same secret, which may be plain text. Raises SecretUnreadable."""
        if isinstance(other, Sealed):
            return self.token == other.token or self.open() == other.open()
        return isinstance(other, str) and other != "" and self.open() == other

    __hash__ = None  # type: ignore[assignment]  # Two tokens of one secret differ.

    def __repr__(self) -> str:
        return "<sealed>"


def opened(value: str | Sealed) -> str:
    """The text of an attribute: a loaded row has it sealed, and plain text was assigned. Raises SecretUnreadable."""
    return value.open() if isinstance(value, Sealed) else value


def is_readable(value: str | Sealed) -> bool:
    return not isinstance(value, Sealed) or value.is_readable


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Plain text or Sealed in Python, a Fernet token in the database; empty stays empty. Cannot be searched.

    `manage.py rotate_credentials` finds the fields of every model by this class.
    """

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, Sealed):
            return value.token
        return cipher().encrypt(value.encode()).decode() if value else ""

    def from_db_value(self, value: str | None, *_: object) -> str | Sealed:
        return Sealed(value) if value else ""

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, Sealed) else super().to_python(value)

    def value_to_string(self, _obj: models.Model) -> str:
        """Nothing: an export of rows (`manage.py dumpdata`) contains no secrets."""
        return ""
