"""A text field that is encrypted at rest."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models


def _cipher() -> MultiFernet:
    """The first of CREDENTIALS_KEYS encrypts, every one of them decrypts."""
    return MultiFernet([Fernet(key) for key in settings.CREDENTIALS_KEYS])


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]
    """Text in Python, a Fernet token in the database; empty stays empty. Cannot be searched.

    Raises cryptography.fernet.InvalidToken on load when none of CREDENTIALS_KEYS made the token.
    """

    def get_prep_value(self, value: Any) -> Any:
        return _cipher().encrypt(value.encode()).decode() if value else ""

    def from_db_value(self, value: str | None, *_: object) -> str:
        return _cipher().decrypt(value.encode()).decode() if value else ""
