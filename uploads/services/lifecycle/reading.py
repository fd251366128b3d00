"""Reading the rules of a bucket, and what became of changes of which only the store knows the outcome."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from uploads import audit
from uploads.audit import Outcome as AuditOutcome
from uploads.domain.lifecycle.comparing import Outcome, compare
from uploads.domain.lifecycle.rules import Configuration, configuration_of
from uploads.models import LifecycleChange, LifecycleState, LifecycleVersion, Store
from uploads.objectstore.client_lifecycle import has_no_rules
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.xml_document import Element, LifecycleDocument, read_document, write
from uploads.services.stores.clients import client_for
from uploads.services.work.failures import NO_ERROR, error_fields

EVERY = timedelta(days=1)
"""How often the rules of a bucket are read in the background."""

GONE_EVERY = timedelta(days=7)
"""The same for a bucket that does not exist."""

SETTLE_AFTER = timedelta(minutes=2)
"""When the outcome of a change is looked up again. No request of a page takes that long."""

VERSIONS = 20
"""Versions of the rules of a bucket that are kept."""


class NotSupported(Exception):
    """The store has no lifecycle rules. `cause` is what it said."""

    def __init__(self, cause: ObjectStoreError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def read_rules(store: Store, bucket: str) -> Configuration:
    """The rules of a bucket, which are also noted for the list. Raises ObjectStoreError or NotSupported."""
    try:
        found = configuration_of(client_for(store).get_bucket_lifecycle(bucket))
    except ObjectStoreError as error:
        unsupported = has_no_rules(error)
        if error.reason is Reason.STORE_BUSY:
            raise  # It says nothing about the rules.
        _note(store, bucket, {**error_fields(error), "is_unsupported": unsupported})
        if unsupported:
            raise NotSupported(error) from error
        raise
    _settle_open(store, bucket, found)
    rules = [rule.as_json() for rule in found.aborting]
    values = {"rules": rules, "others": len(found.others), "coverage": found.coverage.value, "is_unsupported": False}
    _note(store, bucket, {**NO_ERROR, **values, "read_at": timezone.now()})
    _keep_version(store, bucket, found)
    if rules and store.overrides.get("lifecycle") == "none":
        _note_kept(store)
    return found


def _note(store: Store, bucket: str, values: dict[str, Any]) -> None:
    now = timezone.now()
    is_gone = values["error_reason"] == Reason.NO_SUCH_BUCKET
    due = {"due_at": _next_reading(store, bucket, now, GONE_EVERY if is_gone else EVERY), "tried_at": now}
    LifecycleState.objects.update_or_create(store=store, bucket=bucket, defaults={**values, **due})


def _next_reading(store: Store, bucket: str, now: datetime, usual: timedelta) -> datetime:
    """Sooner while the outcome of a change is not known, and less often the longer that takes."""
    newest = open_changes(store, bucket).order_by("-created_at").values_list("created_at", flat=True).first()
    if newest is None:
        return now + usual
    return now + min(usual, max(SETTLE_AFTER, (now - newest) / 4))


def _keep_version(store: Store, bucket: str, found: Configuration) -> None:
    versions = LifecycleVersion.objects.filter(store=store, bucket=bucket)
    if versions.filter(digest=found.digest).update(seen_at=timezone.now()):
        return
    text = text_of_document(found.document)
    size = found.document.size_rule
    new = LifecycleVersion(
        store=store, bucket=bucket, digest=found.digest, text=text, size_rule=size, seen_at=timezone.now()
    )
    LifecycleVersion.objects.bulk_create([new], ignore_conflicts=True)
    old = list(versions.order_by("-seen_at", "pk").values_list("pk", flat=True)[VERSIONS : VERSIONS * 2])
    if old:
        LifecycleVersion.objects.filter(pk__in=old).delete()


def text_of_document(document: LifecycleDocument) -> str:
    return "" if document.root is None else write(document.root)


def document_of_text(text: str, size_rule: str) -> LifecycleDocument:
    root: Element | None = read_document(text.encode(), "LifecycleConfiguration") if text else None
    return LifecycleDocument(root, size_rule)


def open_changes(store: Store, bucket: str) -> QuerySet[LifecycleChange]:
    """Changes whose outcome is not known."""
    return LifecycleChange.objects.filter(store=store, bucket=bucket, finished_at=None)


def _settle_open(store: Store, bucket: str, found: Configuration) -> None:
    """The outcome of changes that were interrupted before their rules were read back, or whose response was lost."""
    old = open_changes(store, bucket).filter(created_at__lt=timezone.now() - SETTLE_AFTER)
    for change in old.select_related("store", "actor").order_by("created_at")[:20]:
        settle(change, found)


def settle(change: LifecycleChange, found: Configuration) -> Outcome:
    """The outcome of a change by what the store has now. Recorded once."""
    written = configuration_of(document_of_text(change.written, change.written_size))
    outcome = compare(written, found, change.rule_id).outcome
    if outcome is Outcome.DROPPED and change.accepted_at is None:
        outcome = Outcome.FAILED
    finish(change, outcome)
    return outcome


def finish(change: LifecycleChange, outcome: Outcome) -> None:
    result = {Outcome.DONE: AuditOutcome.DONE, Outcome.UNKNOWN: AuditOutcome.UNKNOWN}.get(outcome, AuditOutcome.FAILED)
    with transaction.atomic():
        ended = LifecycleChange.objects.filter(pk=change.pk, finished_at=None)
        if not ended.update(outcome=outcome.value, finished_at=timezone.now()):
            return
        audit.record(
            change.actor,
            f"lifecycle.{result.value}",
            store=change.store.name,
            bucket=change.bucket,
            request_id=change.error_request_id,
            detail={"outcome": outcome.value, "code": change.error_code, "rule": change.rule_id},
        )
    change.outcome = outcome.value


def _note_kept(store: Store) -> None:
    """The store has such a rule: that it drops them is not true any more, or never was."""
    with transaction.atomic():
        locked = Store.objects.select_for_update().get(pk=store.pk)
        if locked.overrides.get("lifecycle") == "none":
            kept = {name: value for name, value in locked.overrides.items() if name != "lifecycle"}
            Store.objects.filter(pk=locked.pk).update(overrides=kept)
            audit.record(None, "store.lifecycle-kept", store=locked.name, detail={"forgot": ["lifecycle"]})
    store.overrides = {name: value for name, value in store.overrides.items() if name != "lifecycle"}
