"""A probe: its store, its scratch prefix, and what its checks have learned so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.probing.requester import Requester
from uploads.objectstore.probing.results import Finding, Group, Verdict
from uploads.objectstore.providers import Provider

T = TypeVar("T")

WORKED = frozenset({Verdict.OK, Verdict.DIFFERS})


class CannotTry(Exception):
    """What is to be tried makes no sense in this store; the message, half a sentence, says why."""


class Probe:
    """`profile` is the provider's, without what earlier checks found."""

    def __init__(self, requester: Requester, profile: Provider) -> None:
        self.requester = requester
        self.profile = profile
        self.prefix = requester.created.prefix
        self.verdicts: dict[str, Verdict] = {}
        self.flags: dict[str, object] = {}
        """Fields of the profile, as earlier checks found them."""
        self._learned: dict[object, Any] = {}
        self._refused: dict[object, ObjectStoreError] = {}

    def worked(self, name: str) -> bool:
        """Whether an earlier check found that something works."""
        return self.verdicts.get(name) in WORKED

    def once(self, learn: Callable[[Probe], T]) -> T:
        """What `learn` finds out, asked the first time only: several checks look at one answer. Its failure stays."""
        if learn in self._refused:
            raise self._refused[learn]
        if learn not in self._learned:
            try:
                self._learned[learn] = learn(self)
            except ObjectStoreError as error:
                self._refused[learn] = error
                raise
        found: T = self._learned[learn]
        return found


@dataclass(frozen=True, slots=True)
class Check:
    """One question. It is asked if the checks named in `needs` found that their things work.

    `advice` is what to do where the store refuses what the check asks.
    """

    name: str
    title: str
    group: Group
    run: Callable[[Probe], Finding]
    needs: tuple[str, ...] = ()
    advice: str = ""
