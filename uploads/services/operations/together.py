"""Aborts of several uploads by one task: they are taken, looked up and recorded together, and sent one after the other.

Messages, statements and transactions cost more than an abort itself. So the task for one upload takes more of the same
operation that wait. Each keeps its own lease, and its own result. What fails, or is not a plain abort, is left to
`run_item`.

No other work waits long: uploads whose abort has not begun after START_SECONDS are returned.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from django.db import transaction
from django.db.models import Q, QuerySet

from uploads import logs
from uploads.database.prepared import Exists, Given
from uploads.domain.states import DesiredState, ItemState, OperationKind
from uploads.models import Operation, OperationItem
from uploads.services.browse.ownership import Owners, owners
from uploads.services.operations.kinds import ITEMS, refusal_of
from uploads.services.operations.order import TO_ENQUEUE, dispatch_operation, end_together
from uploads.services.operations.run import TAKE, abort_outcome, not_paused, run_item, send_abort, settle, spare
from uploads.services.operations.sparing import why_spared
from uploads.services.operations.steps import leave_waiting
from uploads.services.stores.clients import keeping_clients
from uploads.services.work import leases
from uploads.services.work.leases import Lease, TakeNext
from uploads.services.work.tasks import record_safely, recorded_together

log = logging.getLogger(__name__)

UPLOADS = 64
"""What one task takes."""

START_SECONDS = 1.0
"""Uploads whose abort has not begun after this time are returned: others may take them."""

LOOK_SECONDS = 0.1
"""How often a task looks whether the operation was paused or stopped."""

Work = Callable[[Lease[OperationItem]], None]


def run_items(item_id: int) -> None:
    """Do the work of an item. If that is an abort, do that of others which wait in the same operation as well."""
    lease = TAKE(item_id)
    if lease is None:
        return
    others = _others(lease.row) if lease.is_loaded else []
    if not others:
        run_item.proceed(lease)
        return
    try:
        with keeping_clients():
            _Batch([lease, *others]).run()
    except Exception as error:
        log.exception("internal error while %s uploads were aborted together", len(others) + 1)
        for each in (lease, *others):
            record_safely(each, error)


def _others(item: OperationItem) -> list[Lease[OperationItem]]:
    """Uploads that no message is about. One that has failed before is aborted alone."""
    operation = item.operation
    if operation.kind != OperationKind.ABORT or operation.sweep_id or item.tries:
        return []
    if not _WAITS(operation=operation.pk):
        return []
    taken = _TAKE_NEXT(Q(operation=operation.pk, state=ItemState.RUNNING), operation=operation.pk)
    for lease in taken:
        # What the item has loaded: one object for the store of all, so that its client is looked up once.
        lease.row.operation = operation
    return [replace(lease, is_loaded=True) for lease in taken]


def _waiting() -> QuerySet[OperationItem]:
    return not_paused().filter(operation=Given(OperationItem, "operation"), tries=0, **TO_ENQUEUE)


_WAITS = Exists(lambda: _waiting().order_by())
_TAKE_NEXT = TakeNext(ITEMS, _waiting, UPLOADS - 1)


_IS_WANTED = Exists(
    lambda: Operation.objects.filter(pk=Given(Operation, "id"), desired_state=DesiredState.RUN).order_by()
)


class _Batch:
    """The uploads that one task has taken."""

    def __init__(self, taken: Sequence[Lease[OperationItem]]) -> None:
        self._taken = taken
        self._operation = taken[0].row.operation
        self._done: list[tuple[Lease[OperationItem], dict[str, Any]]] = []
        self._until = time.monotonic() + START_SECONDS
        self._look_at = time.monotonic() + LOOK_SECONDS

    def run(self) -> None:
        owned = self._owned()
        left = deque(self._taken)
        self._run_one(left.popleft(), owned)
        while left and self._may_begin():
            self._run_one(left.popleft(), owned)
        self._record()
        if left:
            self._return(left)
        dispatch_operation(self._operation.pk)

    def _owned(self) -> Owners:
        return owners(self._operation.store, self._operation.bucket, [lease.row.upload_id for lease in self._taken])

    def _may_begin(self) -> bool:
        """Whether there is time for another abort, and the operation was neither paused nor stopped."""
        now = time.monotonic()
        if now >= self._until:
            return False
        if now < self._look_at:
            return True
        self._look_at = now + LOOK_SECONDS
        return self._is_wanted()

    def _is_wanted(self) -> bool:
        return _IS_WANTED(id=self._operation.pk)

    def _run_one(self, lease: Lease[OperationItem], owned: Owners) -> None:
        item = lease.row
        is_owned = (item.key, item.upload_id) in owned
        if is_owned or refusal_of(item) is not None:
            # The work of one item says why.
            run_item.proceed(lease)
            return
        with logs.about(**ITEMS.facts(item)):
            self._attempt(lease)

    def _attempt(self, lease: Lease[OperationItem]) -> None:
        try:
            spared = why_spared(lease.row)
            if spared is None:
                self._done.append((lease, abort_outcome(send_abort(lease.row), is_first=True)))
                return
            work: Work = partial(spare, reason=spared)
        except Exception as error:
            work = partial(settle, act=partial(_raise, error))
        run_item.proceed(lease, work=work)

    def _record(self) -> None:
        """Record what is done, together if that is possible."""
        end = partial(end_together, self._operation, self._done)
        if not self._done or recorded_together(ITEMS, len(self._done), end):
            return
        for lease, outcome in self._done:
            run_item.proceed(lease, work=partial(_end, outcome=outcome))

    def _return(self, left: Collection[Lease[OperationItem]]) -> None:
        """Return uploads whose abort has not begun. If the operation was stopped meanwhile, they are left."""
        ids = [lease.row.pk for lease in left]
        with transaction.atomic():
            operation = Operation.objects.select_for_update().get(pk=self._operation.pk)
            tokens = {lease.token for lease in left}
            leases.give_back(ITEMS, ITEMS.rows.filter(pk__in=ids, lease_token__in=tokens))
            if operation.desired_state == DesiredState.CANCEL:
                leave_waiting(None, operation, OperationItem.objects.filter(pk__in=ids))


def _raise(error: Exception) -> NoReturn:
    raise error


def _end(lease: Lease[OperationItem], outcome: dict[str, Any]) -> None:
    end_together(lease.row.operation, [(lease, outcome)])
