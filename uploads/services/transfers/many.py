"""A step for many transfers: each is requested for itself, and what is not possible says why."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.contrib.auth.models import User

from uploads.models import Transfer
from uploads.problems import Problem
from uploads.services.transfers.steps import StepRefused

Request = Callable[[User, Transfer], None]


@dataclass(slots=True)
class Outcome:
    """The transfers whose step was requested, and those for which it is not possible."""

    done: list[Transfer] = field(default_factory=list)
    refused: list[tuple[Transfer, Problem]] = field(default_factory=list)


def request_for_many(request: Request, actor: User, transfers: Iterable[Transfer], most: int) -> Outcome:
    """Request a step for each of the transfers, until it was for `most` of them."""
    outcome = Outcome()
    for transfer in transfers:
        if len(outcome.done) == most:
            break
        try:
            request(actor, transfer)
        except StepRefused as refusal:
            outcome.refused.append((transfer, refusal.problem))
        else:
            outcome.done.append(transfer)
    return outcome
