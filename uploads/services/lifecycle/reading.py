"""Reading the rules of a bucket, and what became of a change whose response was lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.audit import Outcome as AuditOutcome
from uploads.domain.lifecycle.comparing import Outcome, compare
from uploads.domain.lifecycle.rules import Configuration, configuration_of
from uploads.models import LifecycleChange, LifecycleState, Store
from uploads.models.work import ErrorFields
from uploads.objectstore.errors import ObjectStoreError, Refused, UnreadableResponse
from uploads.objectstore.xml_document import Element, LifecycleDocument, read_document, write
from uploads.problems import Code
from uploads.services.stores.clients import client_for
from uploads.services.work.failures import error_fields

NOT_SUPPORTED = frozenset({"NotImplemented", "MethodNotAllowed", "UnsupportedOperation"})
NO_ERROR = {field.name: field.get_default() for field in ErrorFields._meta.fields}

SETTLE_AFTER = timedelta(minutes=2)
"""A change that is older and has no outcome was interrupted. No request of a page takes that long."""


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
        _note(store, bucket, error_fields(error))
        if _says_not_supported(error):
            raise NotSupported(error) from error
        raise
    rules = [rule.as_json() for rule in found.aborting]
    values = {"rules": rules, "others": len(found.others), "aborts_all": found.aborts_all}
    _note(store, bucket, {**NO_ERROR, **values, "read_at": timezone.now()})
    _settle_interrupted(store, bucket, found)
    return found


def _says_not_supported(error: ObjectStoreError) -> bool:
    """Swift ignores the parameter and lists the bucket. (It would also delete the bucket instead of its rules.)"""
    if isinstance(error, UnreadableResponse):
        return error.problem is not None and error.problem.code == Code.RESPONSE_ELEMENT_UNEXPECTED
    return isinstance(error, Refused) and (error.code in NOT_SUPPORTED or error.status in (405, 501))


def _note(store: Store, bucket: str, values: dict[str, Any]) -> None:
    LifecycleState.objects.update_or_create(store=store, bucket=bucket, defaults={**values, "tried_at": timezone.now()})


def text_of_document(document: LifecycleDocument) -> str:
    return "" if document.root is None else write(document.root)


def document_of_text(text: str, size_rule: str) -> LifecycleDocument:
    root: Element | None = read_document(text.encode(), "LifecycleConfiguration") if text else None
    return LifecycleDocument(root, size_rule)


def _settle_interrupted(store: Store, bucket: str, found: Configuration) -> None:
    """The outcome of changes that were interrupted before their rules were read back."""
    open_changes = LifecycleChange.objects.filter(
        store=store,
        bucket=bucket,
        finished_at=None,
        created_at__lt=timezone.now() - SETTLE_AFTER,
    )
    for change in open_changes.order_by("created_at")[:20]:
        settle(change, found)


def settle(change: LifecycleChange, found: Configuration) -> Outcome:
    """The outcome of a change by what the store has now. Recorded once."""
    written = configuration_of(document_of_text(change.written, change.written_size))
    outcome = compare(written, found, change.rule_id).outcome
    before = configuration_of(document_of_text(change.before, change.before_size))
    if outcome is Outcome.DROPPED and change.error_code and found.digest == before.digest:
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
