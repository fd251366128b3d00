"""The rules for passwords: AUTH_PASSWORD_VALIDATORS. `make run` checks ADMIN_PASSWORD before it loads the settings."""

from __future__ import annotations

from typing import Any

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
