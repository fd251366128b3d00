"""A step for many rows: each is requested for itself, and what is not possible says why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from django.contrib.auth.models import User
from django.db.models import Model

from uploads.problems import Problem, ProblemError

M = TypeVar("M", bound=Model)


@dataclass(slots=True)
class Outcome(Generic[M]):
    """The rows whose step was requested, and those for which it is not possible."""

    done: list[M] = field(default_factory=list)
    refused: list[tuple[M, Problem]] = field(default_factory=list)


def request_for_many(request: Callable[[User, M], None], actor: User, rows: Iterable[M], most: int) -> Outcome[M]:
    """Request a step for each of the rows, until it was for `most` of them. A step raises why it is not possible."""
    outcome = Outcome[M]()
    for row in rows:
        if len(outcome.done) == most:
            break
        try:
            request(actor, row)
        except ProblemError as refusal:
            outcome.refused.append((row, refusal.problem))
        else:
            outcome.done.append(row)
    return outcome
