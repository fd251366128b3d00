"""docs/json.md names every field and every state of the JSON of transfers, stores and operations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from dashboard.alerts.serializers import alerts_json
from dashboard.audit.serializers import page_json
from dashboard.lifecycle.serializers import buckets_json, lifecycle_json
from dashboard.operations.pages import progress_of
from dashboard.operations.serializers import operation_json
from dashboard.stores.serializers import store_json
from dashboard.transfers.rows import row_of
from dashboard.transfers.serializers import transfer_json
from tests.dashboard.make_transfer import make_transfer
from tests.domain.lifecycle.documents import OSS_RULES, oss
from uploads.domain.lifecycle.rules import configuration_of
from uploads.domain.proofs import Proof
from uploads.domain.states import ItemState, OperationKind, Phase, StoreUploadState, TransferState
from uploads.domain.store_health import StoreHealth
from uploads.models import Alert, AlertDelivery, AlertRule, AuditEntry, LifecycleState, Operation, Store, StoreUpload
from uploads.objectstore.checksums import ReportedCrc64, as_kept
from uploads.objectstore.types import ObjectFacts
from uploads.objectstore.xml_document import LifecycleDocument, read_document
from uploads.problems import Code, Problem
from uploads.selectors.audit import AuditLine, AuditPage
from uploads.selectors.lifecycle import BucketRules, Known
from uploads.services.lifecycle.simulation import Simulation
from uploads.services.multipart.appearance import ObjectBefore
from uploads.services.operations.completing import facts_json
from uploads.services.operations.outcomes import BEFORE, COMPLETED_AT, REQUESTED_AT, UNANSWERED_AT
from uploads.services.work.failures import problem_fields


@pytest.fixture
def documented() -> set[str]:
    return set(re.findall(r"`([\w-]+)`", (settings.BASE_DIR / "docs" / "json.md").read_text()))


@pytest.fixture
def unreachable(db: None) -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def fields_in(value: Any) -> Iterator[str]:
    """The names of all fields, at any depth."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from fields_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from fields_in(each)


def test_fields_of_lifecycle_rules_are_documented(documented: set[str], unreachable: Store) -> None:
    body = oss(OSS_RULES["exceptions"] + OSS_RULES["an abort of somebody else"].replace("r1", "r2"))
    rules = configuration_of(LifecycleDocument(read_document(body, "LifecycleConfiguration")))
    simulation = Simulation(1, 2, 1, 1, 2, 0, timezone.now(), ())
    fields = set(fields_in(lifecycle_json(unreachable, "b", rules, simulation)))
    state = LifecycleState(store=unreachable, bucket="b", rules=[rule.as_json() for rule in rules.rules])
    fields |= set(fields_in(buckets_json([BucketRules(state, Known.ALL, 1, 2)], {}, "")))
    assert fields - documented == set()
    assert {known.value for known in Known} <= documented


@pytest.mark.parametrize("algorithm", ["nvme", "ecma"])
def test_fields_of_a_transfer_are_documented(
    documented: set[str], operator: User, unreachable: Store, algorithm: str
) -> None:
    now = timezone.now()
    lost: dict[str, Any] = {"lost_creates": 1, "lost_create_at": now, "lost_create_until": now}
    transfer = make_transfer(
        operator,
        unreachable,
        phase=Phase.DONE,
        crc64=f"{algorithm}:0",
        lost_create_reason=Code.UPLOADS_NOT_LISTABLE,
        **lost,
        **problem_fields(Problem(Code.OBJECT_MISSING)),
    )
    StoreUpload.objects.create(transfer=transfer, upload_id="u", state=StoreUploadState.SUSPECT)
    shown = transfer_json(row_of(transfer))
    assert shown["possible_orphans"]["without_id"]["reason"]
    assert shown["verification"]["reason"]
    assert set(fields_in(shown)) - documented == set()


def test_fields_of_an_operation_are_documented(documented: set[str], operator: User, unreachable: Store) -> None:
    operation = Operation.objects.create(kind="complete", actor=operator, store=unreachable, bucket="photos")
    facts = ObjectFacts(size=1, etag="e", last_modified=timezone.now())
    expected = {
        "parts": 1,
        "expected_size": 1,
        "expected_etag": "e",
        "expected_crc64": as_kept(ReportedCrc64("nvme", 0)),
    }
    response = {COMPLETED_AT: "", "request_id": "", "reported_crc64": "", "verified": False, "proofs": []}
    before = {REQUESTED_AT: "", BEFORE: ObjectBefore.of(facts).as_json()}
    found = {**facts_json(facts, "etag"), "head_showed": facts_json(facts, "etag")}
    aborted = {"repeats": 1, "already_gone": False, "no_bucket": {}, UNANSWERED_AT: ""}
    error = problem_fields(Problem(Code.OBJECT_MISSING))
    outcome = {**expected, **response, **before, **found, **aborted, "not_verified": error}
    operation.items.create(key="k", upload_id="u", state=ItemState.DONE, outcome=outcome, **error)
    shown = operation_json(operation, progress_of(operation))
    assert set(fields_in(shown)) - documented == set()


def test_fields_of_a_store_are_documented(documented: set[str], unreachable: Store) -> None:
    assert set(fields_in(store_json(unreachable, with_endpoint=True))) - documented == set()


def test_states_and_proofs_are_documented(documented: set[str]) -> None:
    values = [*TransferState, *StoreHealth, *OperationKind, *ItemState, *Proof]
    assert {value.value for value in values} - documented == set()


def test_fields_of_the_audit_log_are_documented(documented: set[str]) -> None:
    entry = AuditEntry(pk=1, at=timezone.now(), actor_name="olga", action="abort.ordered")
    page = page_json(AuditPage((AuditLine(entry, (entry,)),)))
    assert set(fields_in(page)) <= documented


def test_fields_of_alerts_are_documented(documented: set[str]) -> None:
    rule = AlertRule(pk=1, name="r", what="bytes", threshold=Decimal(1))
    alert = Alert(rule=rule, value=Decimal(2), started_at=timezone.now())
    shown = alerts_json([rule], [alert], [AlertDelivery(rule=rule, event="start", channel="email")])
    assert set(fields_in(shown)) - documented == set()
