"""Changing the rules of a bucket: read, compare with what was seen, write, read back.

No store can be told to replace its rules only if they are still the same, so a change that somebody else makes between
our last reading and our writing is replaced. It is kept short, and everything that was read is kept in the database.
"""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import User
from django.db import transaction

from uploads import audit
from uploads.domain.lifecycle.comparing import Outcome
from uploads.domain.lifecycle.rules import Configuration, configuration_of
from uploads.models import LifecycleChange, Store
from uploads.objectstore.errors import ObjectStoreError, certainly_not_done
from uploads.services.lifecycle.reading import (
    document_of_text,
    finish,
    read_rules,
    settle,
    text_of_document,
)
from uploads.services.stores.clients import ONCE, client_for
from uploads.services.work.failures import error_fields

Edit = Callable[[Configuration], Configuration]


class ChangedMeanwhile(Exception):
    """The rules are not those that were seen. Nothing was written."""

    def __init__(self, now: Configuration) -> None:
        super().__init__(now.digest)
        self.now = now


def change_rules(actor: User, store: Store, bucket: str, *, seen: str, rule_id: str, edit: Edit) -> LifecycleChange:
    """Apply the edit to the rules with this digest, and say what became of it. `rule_id` is the rule that it changes.

    Raises ChangedMeanwhile, NotSupported, or ObjectStoreError if the rules could not be read at first.
    """
    before = read_rules(store, bucket)
    if before.digest != seen:
        raise ChangedMeanwhile(before)
    return _write(actor, store, bucket, before, edit(before), rule_id)


def restore_rules(actor: User, change: LifecycleChange, *, seen: str) -> LifecycleChange:
    """Write the rules from before a change again, if the present ones are those that were seen."""
    earlier = configuration_of(document_of_text(change.before, change.before_size))
    now = read_rules(change.store, change.bucket)
    if now.digest != seen:
        raise ChangedMeanwhile(now)
    return _write(actor, change.store, change.bucket, now, earlier, change.rule_id)


def _write(
    actor: User, store: Store, bucket: str, before: Configuration, after: Configuration, rule_id: str
) -> LifecycleChange:
    change = _record(actor, store, bucket, before, after, rule_id)
    client = client_for(store, ONCE)
    failure: ObjectStoreError | None = None
    try:
        if after.document.root is not None:
            client.put_bucket_lifecycle(bucket, after.document)
        elif before.document.root is not None:
            # Only here: the store has just returned rules. One that does not know them would delete the bucket.
            client.delete_bucket_lifecycle(bucket)
    except ObjectStoreError as error:
        failure = error
        values = error_fields(error)
        LifecycleChange.objects.filter(pk=change.pk).update(**values)
        change.refresh_from_db()
    if failure is not None and certainly_not_done(failure):
        finish(change, Outcome.FAILED)
        return change
    try:
        found = read_rules(store, bucket)
    except ObjectStoreError as error:
        if failure is None:
            LifecycleChange.objects.filter(pk=change.pk).update(**error_fields(error))
            change.refresh_from_db()
        return change  # Without an outcome. The next reading decides.
    if settle(change, found) is Outcome.DROPPED and failure is None:
        _note_dropped(store)
    return change


@transaction.atomic
def _record(
    actor: User, store: Store, bucket: str, before: Configuration, after: Configuration, rule_id: str
) -> LifecycleChange:
    texts = text_of_document(before.document), text_of_document(after.document)
    change = LifecycleChange.objects.create(
        store=store,
        bucket=bucket,
        actor=actor,
        rule_id=rule_id,
        before=texts[0],
        before_size=before.document.size_rule,
        written=texts[1],
        written_size=after.document.size_rule,
    )
    audit.record(
        actor,
        "lifecycle.ordered",
        store=store.name,
        bucket=bucket,
        before={"rules": texts[0]},
        after={"rules": texts[1]},
        detail={"rule": rule_id},
    )
    return change


def _note_dropped(store: Store) -> None:
    """The store accepts rules and drops them: an override of its profile."""
    with transaction.atomic():
        locked = Store.objects.select_for_update().get(pk=store.pk)
        if locked.overrides.get("lifecycle") != "none":
            Store.objects.filter(pk=locked.pk).update(overrides={**locked.overrides, "lifecycle": "none"})
            audit.record(None, "store.lifecycle-dropped", store=locked.name, detail={"found": ["lifecycle"]})
