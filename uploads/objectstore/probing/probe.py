"""A probe: its store, its scratch prefix, and what its checks have learned so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.probing.requester import Requester
from uploads.objectstore.probing.results import Finding, Group, Verdict
from uploads.objectstore.providers import Provider
from uploads.problems import ProblemError

T = TypeVar("T")

WORKED = frozenset({Verdict.OK, Verdict.DIFFERS})


class NotTried(ProblemError):
    """A check does not apply to this store; the problem says why."""


class Probe:
    """`profile` is the provider's, without what earlier checks of the store overrode."""

    def __init__(self, requester: Requester, profile: Provider) -> None:
        self.requester = requester
        self.profile = profile
        self.prefix = requester.created.prefix
        self.verdicts: dict[str, Verdict] = {}
        self.flags: dict[str, object] = {}
        """Fields of the profile, as the checks of this probe determined them."""
        self._learned: dict[object, Any] = {}
        self._errors: dict[object, ObjectStoreError] = {}

    def worked(self, name: str) -> bool:
        """Whether an earlier check found that something works."""
        return self.verdicts.get(name) in WORKED

    def once(self, learn: Callable[[Probe], T]) -> T:
        """The result of `learn`, which runs only the first time: several checks use one response. So does its error."""
        if learn in self._errors:
            raise self._errors[learn]
        if learn not in self._learned:
            try:
                self._learned[learn] = learn(self)
            except ObjectStoreError as error:
                self._errors[learn] = error
                raise
        learned: T = self._learned[learn]
        return learned


@dataclass(frozen=True, slots=True)
class Check:
    """One test of the store. It runs only if all checks in `needs` worked."""

    name: str
    group: Group
    run: Callable[[Probe], Finding]
    needs: tuple[str, ...] = ()
