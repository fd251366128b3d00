"""The record of what a check has created in its bucket, and its removal by later checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.db.models import Q, QuerySet

from uploads import metrics
from uploads.domain.states import ACTIVE_ITEM_STATES, EndedHow
from uploads.models import StoreCheck
from uploads.objectstore.probing.created import CreatedThings, Leftover
from uploads.objectstore.probing.requester import ProbeBudget, Requester
from uploads.objectstore.types import UploadRef
from uploads.problems import Code, Problem
from uploads.services.ended.noting import End, note_ended


def created_by(check: StoreCheck, prefix: str) -> CreatedThings:
    """What the row records, with the scratch prefix of the next attempt."""
    created = CreatedThings(prefix, ended=partial(_note_ended, check))
    created.load(check.created)
    return created


def _note_ended(check: StoreCheck, key: str, upload_id: str, is_completed: bool) -> None:
    """For the inventory, which has the upload if a scan has run since it was created."""
    how = EndedHow.COMPLETED if is_completed else EndedHow.ABORTED
    note_ended(check.store, check.bucket, [UploadRef(key, upload_id)], End(how))


def as_row(check: StoreCheck, created: CreatedThings) -> dict[str, Any]:
    """What was created, and at which endpoint; empty if nothing is left."""
    fields: dict[str, Any] = created.as_json()
    return fields | {"endpoint": check.store.endpoint_url} if fields else {}


def as_json(leftovers: Sequence[Leftover]) -> list[dict[str, Any]]:
    return [each.as_json() for each in leftovers]


def is_at_other_endpoint(check: StoreCheck) -> bool:
    """Whether the check created things at another endpoint than its store has now."""
    return bool(check.created) and check.created.get("endpoint", check.store.endpoint_url) != check.store.endpoint_url


def requester_for(check: StoreCheck, created: CreatedThings, budget: ProbeBudget) -> Requester:
    return Requester(check.store.config(), check.bucket, created, budget=budget, observer=metrics.StoreObserver())


def clean_up_earlier(check: StoreCheck, renew: Callable[[], None], budget: ProbeBudget) -> None:
    """Remove what this check, if its process died, or earlier checks of the bucket have left there."""
    for each in _with_leftovers(check):
        created = created_by(each, each.prefix)
        if is_at_other_endpoint(each):
            # Another store may be there: that it has no such upload does not mean that the upload is gone.
            left = created.as_leftovers(Problem(Code.LEFT_AT_OTHER_ENDPOINT, endpoint_url=each.created["endpoint"]))
            StoreCheck.objects.filter(pk=each.pk).update(leftovers=as_json(left))
            continue
        created.changed = renew
        with requester_for(check, created, budget) as requester:
            left = requester.clean()
        StoreCheck.objects.filter(pk=each.pk).update(created=as_row(each, created), leftovers=as_json(left))


def _with_leftovers(check: StoreCheck) -> QuerySet[StoreCheck]:
    """This check and the finished checks of its bucket that have recorded something."""
    # No other active check has this store and bucket.
    earlier = StoreCheck.objects.filter(store=check.store, bucket=check.bucket).exclude(created={})
    return earlier.filter(Q(pk=check.pk) | ~Q(state__in=ACTIVE_ITEM_STATES)).select_related("store")
