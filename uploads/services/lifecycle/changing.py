"""Changing the rules of a bucket: read, compare with what was seen, write, read back.

No store can be told to replace its rules only if they are still the same, so a change that somebody else makes between
our last reading and our writing is replaced. It is kept short, and everything that was read is kept in the database.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from uploads import audit
from uploads.domain.lifecycle.comparing import Outcome, compare
from uploads.domain.lifecycle.rules import Configuration, configuration_of
from uploads.models import LifecycleChange, LifecycleState, Store
from uploads.objectstore.client_lifecycle import has_no_rules
from uploads.objectstore.errors import ObjectStoreError, certainly_not_done
from uploads.objectstore.xml_document import LifecycleDocument
from uploads.services.lifecycle.reading import (
    SETTLE_AFTER,
    NotSupported,
    document_of_text,
    finish,
    read_rules,
    settle,
    text_of_document,
)
from uploads.services.stores.clients import ONCE, client_for
from uploads.services.work.failures import error_fields
from uploads.services.work.leases import in_seconds

EditRules = Callable[[Configuration], Configuration]

PAUSES = (1.0, 2.0)
"""Seconds before rules that seem to be dropped are read again: S3 may return the earlier ones for a moment."""

HOLD_SECONDS = 120.0
"""The longest time that one change keeps others of the same bucket waiting, if its process dies."""


class ChangedMeanwhile(Exception):
    """The rules are not those that were seen. Nothing was written."""

    def __init__(self, now: Configuration) -> None:
        super().__init__(now.digest)
        self.now = now


class ChangeInProgress(Exception):
    """Partway is changing the rules of this bucket already. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A change, the rules before it, and why it failed or has no known outcome yet."""

    change: LifecycleChange
    before: Configuration
    failure: ObjectStoreError | None = None

    @property
    def outcome(self) -> Outcome:
        return Outcome(self.change.outcome)


@dataclass(slots=True)
class _Attempt:
    """What is made of the rules that the client has read. `change` is recorded before the client writes."""

    actor: User
    store: Store
    bucket: str
    seen: str
    rule_id: str
    edit: EditRules
    before: Configuration | None = field(default=None, init=False)
    change: LifecycleChange | None = field(default=None, init=False)

    def __call__(self, document: LifecycleDocument) -> LifecycleDocument:
        before = configuration_of(document)
        if before.digest != self.seen:
            raise ChangedMeanwhile(before)
        after = self.edit(before)
        self.before, self.change = before, self._record(before, after)
        return after.document

    @transaction.atomic
    def _record(self, before: Configuration, after: Configuration) -> LifecycleChange:
        texts = text_of_document(before.document), text_of_document(after.document)
        change = LifecycleChange.objects.create(
            store=self.store,
            bucket=self.bucket,
            actor=self.actor,
            rule_id=self.rule_id,
            before=texts[0],
            before_size=before.document.size_rule,
            written=texts[1],
            written_size=after.document.size_rule,
        )
        # If this process dies, the outcome is looked up in the background.
        rows = LifecycleState.objects.filter(store=self.store, bucket=self.bucket)
        rows.update(due_at=change.created_at + SETTLE_AFTER)
        audit.record(
            self.actor,
            "lifecycle.ordered",
            store=self.store.name,
            bucket=self.bucket,
            before={"rules": texts[0]},
            after={"rules": texts[1]},
            detail={"rule": self.rule_id},
        )
        return change


def change_rules(actor: User, store: Store, bucket: str, *, seen: str, rule_id: str, edit: EditRules) -> Changed:
    """Apply the edit to the rules with this digest, and say what became of it. `rule_id` is the rule that it changes.

    Raises ChangedMeanwhile, ChangeInProgress, NotSupported, or ObjectStoreError if nothing was written.
    """
    return _write(_Attempt(actor, store, bucket, seen, rule_id, edit))


def restore_rules(actor: User, change: LifecycleChange, *, seen: str) -> Changed:
    """Write the rules from before a change again, if the present ones are those that were seen. Raises as above."""
    earlier = configuration_of(document_of_text(change.before, change.before_size))
    return _write(_Attempt(actor, change.store, change.bucket, seen, change.rule_id, lambda _now: earlier))


def _write(attempt: _Attempt) -> Changed:
    store, bucket, failure, request_id = attempt.store, attempt.bucket, None, ""
    with _alone(store, bucket):
        try:
            request_id = client_for(store, ONCE).change_bucket_lifecycle(bucket, attempt)
        except ObjectStoreError as error:
            if has_no_rules(error) and attempt.change is None:
                raise NotSupported(error) from error
            failure = error
        change, before = attempt.change, attempt.before
        if change is None or before is None:
            assert failure is not None
            raise failure
        _note_response(change, failure)
        if failure is not None and certainly_not_done(failure):
            finish(change, Outcome.FAILED)
            return Changed(change, before, failure)
        return _read_back(Changed(change, before, failure), is_response=bool(request_id))


@contextmanager
def _alone(store: Store, bucket: str) -> Iterator[None]:
    """Be the only change of the bucket that Partway makes now. Raises ChangeInProgress."""
    LifecycleState.objects.get_or_create(store=store, bucket=bucket)
    rows, until = LifecycleState.objects.filter(store=store, bucket=bucket), in_seconds(HOLD_SECONDS)
    is_free = Q(busy_until__isnull=True) | Q(busy_until__lt=timezone.now())
    if not rows.filter(is_free).update(busy_until=until):
        raise ChangeInProgress
    try:
        yield
    finally:
        rows.filter(busy_until=until).update(busy_until=None)


def _note_response(change: LifecycleChange, failure: ObjectStoreError | None) -> None:
    values = {"accepted_at": timezone.now()} if failure is None else error_fields(failure)
    LifecycleChange.objects.filter(pk=change.pk).update(**values)
    change.refresh_from_db()


def _read_back(changed: Changed, *, is_response: bool) -> Changed:
    """What the store has now. `is_response`: the store itself said that it has the rules, and not a proxy."""
    change, before = changed.change, changed.before
    written = configuration_of(document_of_text(change.written, change.written_size))
    try:
        found = read_rules(change.store, change.bucket)
        for seconds in () if changed.failure else PAUSES:
            if compare(written, found, change.rule_id).outcome is not Outcome.DROPPED:
                break
            time.sleep(seconds)
            found = read_rules(change.store, change.bucket)
    except (ObjectStoreError, NotSupported) as error:
        cause = error.cause if isinstance(error, NotSupported) else error
        return Changed(change, before, changed.failure or cause)  # Without an outcome. The next reading decides.
    if changed.failure is not None and found.digest == before.digest and written.digest != before.digest:
        return changed  # The request may still arrive. The next reading decides.
    if settle(change, found) is Outcome.DROPPED and is_response:
        _note_dropped(change.store)
    return changed


def _note_dropped(store: Store) -> None:
    """The store accepts rules and drops them: an override of its profile."""
    with transaction.atomic():
        locked = Store.objects.select_for_update().get(pk=store.pk)
        if locked.overrides.get("lifecycle") != "none":
            Store.objects.filter(pk=locked.pk).update(overrides={**locked.overrides, "lifecycle": "none"})
            audit.record(None, "store.lifecycle-dropped", store=locked.name, detail={"found": ["lifecycle"]})
