"""Validation errors that carry a code with parameters, as Django's ValidationError takes them."""

from __future__ import annotations

from django.core.exceptions import ValidationError

from uploads.problems import Problem


def invalid(problem: Problem) -> ValidationError:
    """The dashboard shows the text of the problem (dashboard.shared.messages.validation)."""
    return ValidationError(problem.code, code=problem.code, params=dict(problem.params))
