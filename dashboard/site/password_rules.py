"""The rules for passwords: AUTH_PASSWORD_VALIDATORS. `make run` checks ADMIN_PASSWORD before it loads the settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import get_password_validators, validate_password
from django.core.exceptions import ValidationError

MIN_LENGTH = 12

VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": MIN_LENGTH},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]


def broken_rules(password: str) -> list[str]:
    """What is wrong with a password, in English, in a process that has not loaded the settings."""
    if not settings.configured:
        settings.configure(USE_I18N=False)
    try:
        validate_password(password, password_validators=get_password_validators(VALIDATORS))
    except ValidationError as error:
        return error.messages
    return []
