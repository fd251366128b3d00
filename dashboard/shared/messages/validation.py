"""Validation errors of models and services with their texts, for forms and commands."""

from __future__ import annotations

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from dashboard.shared.messages import MESSAGES, text_of
from dashboard.shared.messages.stores import SIGNATURES
from uploads.problems import Problem


def by_field(error: ValidationError) -> dict[str, ValidationError]:
    """The errors of each field, with texts; those of the whole under NON_FIELD_ERRORS."""
    if hasattr(error, "error_dict"):
        return {name: _with_texts(errors) for name, errors in error.error_dict.items()}
    return {NON_FIELD_ERRORS: _with_texts(error.error_list)}


def with_texts(error: ValidationError) -> ValidationError:
    """The same errors with texts in place of codes. Django's own errors have texts already."""
    if hasattr(error, "error_dict"):
        return ValidationError(by_field(error))
    return _with_texts(error.error_list)


def _with_texts(errors: list[ValidationError]) -> ValidationError:
    return ValidationError([_with_text(each) for each in errors])


def _with_text(error: ValidationError) -> ValidationError:
    if error.code is None or error.code not in MESSAGES:
        return error
    params = dict(error.params or {})
    if "signature" in params:
        params["signature"] = SIGNATURES.get(params["signature"], params["signature"])
    return ValidationError(text_of(Problem(error.code, **params)))
