"""Comparing the object at a key with the one that may be replaced, before a request that creates an object."""

from __future__ import annotations

from dataclasses import dataclass

from uploads.domain.replacement import Replacement
from uploads.models import Store
from uploads.problems import ProblemError
from uploads.services.browse.browsing import ExistingObject, may_forbid_overwrite, provider_of


class OtherObject(ProblemError):
    """An object would be lost that may not be replaced. The problem names it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What the store is told about the object at the key, so that nothing is lost after the last look at it.

    With neither (the store supports none of them, or the object has no ETag) a window of a moment remains.
    """

    forbid_overwrite: bool = False
    if_match: str = ""


def object_condition(replacement: Replacement, store: Store, now: ExistingObject) -> Condition:
    """The condition for the request, by what HEAD shows. Raises OtherObject.

    An object that has disappeared since is no reason to refuse: nothing is lost. The store is told then that there is
    none, as it is if there was none from the start.
    """
    if now.facts is None:
        return Condition(forbid_overwrite=may_forbid_overwrite(store))
    if problem := replacement.change(now.facts):
        raise OtherObject(problem)
    return Condition(if_match=_matchable(now.facts.etag, store))


def unseen_condition(replacement: Replacement, store: Store) -> Condition | None:
    """The condition where HEAD is not allowed; None if the store cannot be told to keep another object."""
    if replacement.any_object:
        return Condition()
    if replacement.forbidden and may_forbid_overwrite(store):
        return Condition(forbid_overwrite=True)
    if replacement.seen is not None and (etag := _matchable(replacement.seen.etag, store)):
        return Condition(if_match=etag)
    return None


def _matchable(etag: str, store: Store) -> str:
    """The ETag for If-Match; empty if the store does not support it. Quotes in an ETag would end the header's value."""
    return etag if provider_of(store).if_match and '"' not in etag and etag.isascii() and etag.isprintable() else ""
