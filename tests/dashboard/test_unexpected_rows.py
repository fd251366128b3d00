"""Rows whose errors, results and details are hostile, malformed or of a later version: pages and JSON show them."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.shared.messages import MESSAGES, error_text, text_of
from tests.dashboard.make_transfer import make_transfer
from uploads import audit
from uploads.domain.states import ItemState, Phase
from uploads.models import AuditEntry, Operation, OperationItem, Store, StoreCheck
from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.probing.results import read_results
from uploads.problems import Code, Problem, RecordedError
from uploads.services.work.failures import error_fields, problem_fields

HOSTILE = '100% %s %(size)s <b>bold</b> "quoted" & \u202eevil'

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 10**30, 1.5, float("inf"), float("nan")),
    *(HOSTILE, "\ud800", "\0", "x" * 10_000, [], ["a", 1], {"a": {"b": 1}}),
)

NAMES = (
    *("allowed", "algorithm", "bucket", "character", "check", "code", "count", "detail", "element", "expected", "file"),
    *("given", "limit", "limit_bytes", "limit_seconds", "missing_bytes", "name", "number", "operation", "parts"),
    *("path", "present", "received", "region", "silent_seconds", "size", "size_bytes", "status", "store", "upload_id"),
)

PARAMS: tuple[Any, ...] = (
    None,
    [],
    ["x"],
    "x",
    {"details": "x"},
    {"details": ["x", 1, None, {}, {"code": None}, {"code": "KeyTooLong", "params": ["x"]}, {"code": ["x"]}]},
    {"details": {"a": 1}},
    {"operation": ["x"]},
    {"size_bytes": HOSTILE, "count": HOSTILE},
)


@pytest.mark.parametrize("code", MESSAGES)
def test_text_with_unexpected_parameters(code: str) -> None:
    assert text_of(Problem(code))
    for value in VALUES:
        text = text_of(Problem(code, **dict.fromkeys(NAMES, value)))
        assert text
        text.encode()


def test_problem_with_a_surrogate_can_be_logged() -> None:
    assert str(Problem(Code.KEY_EMPTY, name="\ud800")).encode() == "KeyEmpty name=\ufffd".encode()


def test_parameters_that_do_not_fit_are_shown_as_they_are() -> None:
    assert text_of(Problem(Code.KEY_TOO_LONG, length=3)) == "KeyTooLong length=3"


def test_known_parameters_are_not_affected_by_further_ones() -> None:
    problem = Problem(Code.EXPIRED, silent_seconds=3600, later=HOSTILE)
    assert text_of(problem) == text_of(Problem(Code.EXPIRED, silent_seconds=3600))


@pytest.mark.parametrize("params", PARAMS, ids=str)
@pytest.mark.parametrize("reason", ["", "permission", "refused", "KeyTooLong", "LaterReason", "InternalError"])
def test_error_with_unexpected_parameters(reason: str, params: Any) -> None:
    columns = {"error_code": "X", "error_reason": reason, "error_params": params, "error_message": HOSTILE}
    error = RecordedError.from_columns(columns)
    assert error is not None
    assert HOSTILE in error_text(error)


@pytest.fixture
def quiet_store(db: None) -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")


ERRORS: tuple[dict[str, Any], ...] = (
    *({"error_code": HOSTILE[:100], "error_reason": "refused", "error_params": params} for params in PARAMS if params),
    {"error_code": "X", "error_reason": "", "error_message": HOSTILE},
    {"error_code": "X", "error_reason": "refused", "error_message": HOSTILE, "error_request_id": HOSTILE},
    {"error_code": "X", "error_reason": "refused", "error_message": "x" * 10_000},
    {"error_code": "X", "error_reason": "TlsFailed", "error_params": {"detail": HOSTILE}},
    {"error_code": "X", "error_reason": "TlsFailed", "error_params": {"detail": "\ud800 lone surrogate"}},
    {"error_code": "X", "error_reason": "KeyTooLong", "error_params": {"later": HOSTILE}},
    {"error_code": "X", "error_reason": "LaterReason", "error_params": {"later": [HOSTILE]}},
)


def assert_shown(client: Client, path: str) -> str:
    """The page and its JSON answer, and nothing of a row is markup."""
    page = client.get(path)
    assert page.status_code == 200
    html: str = page.content.decode()
    assert "<b>bold</b>" not in html
    response = client.get(path, headers={"accept": "application/json"})
    assert response.status_code == 200
    return html


@pytest.mark.parametrize("error", ERRORS, ids=range(len(ERRORS)))
def test_rows_with_hostile_errors_are_shown(
    operator_client: Client, operator: User, quiet_store: Store, error: dict[str, Any]
) -> None:
    failed = make_transfer(operator, quiet_store, staged=1, phase=Phase.FAILED, key=HOSTILE, **error)
    waiting = make_transfer(operator, quiet_store, staged=1, **error)
    waiting.parts.update(**error)
    operation = Operation.objects.create(kind="abort", actor=operator, store=quiet_store, bucket="photos")
    items = OperationItem.objects.filter(operation=operation)
    items.create(operation=operation, key=HOSTILE, upload_id=HOSTILE, state=ItemState.FAILED, **error)
    items.create(operation=operation, key=HOSTILE, upload_id="u", state=ItemState.ORDERED, **error)
    check = StoreCheck.objects.create(store=quiet_store, bucket="photos", state=ItemState.FAILED, **error)
    audit.record_transfer(None, "failed", failed, **error)
    for path in (
        *("/", "/transfers/", f"/transfers/{failed.pk}/", f"/transfers/{waiting.pk}/"),
        *(f"/operations/{operation.pk}/", "/stores/s/check/", f"/stores/s/check/{check.pk}/", "/audit/"),
    ):
        assert_shown(operator_client, path)


RESULT = {"name": "clock", "group": "reach", "verdict": "ok", "observed": {"code": "ClocksAgree", "params": {}}}


def test_results_of_a_later_version_are_left_out(operator_client: Client, quiet_store: Store) -> None:
    stored: list[Any] = [
        RESULT | {"later": "field"},
        RESULT | {"verdict": "later"},
        RESULT | {"group": "later"},
        RESULT | {"flag": 1},
        RESULT | {"observed": "x", "details": ["x"]},
        {},
    ]
    leftovers: list[Any] = [{"kind": "upload"}, {"kind": "upload", "key": HOSTILE, "id": "u", "error": "x"}]
    assert [result.name for result in read_results(stored)] == ["clock", "clock"]
    check = StoreCheck.objects.create(
        store=quiet_store, bucket="photos", state=ItemState.DONE, results=stored, leftovers=leftovers
    )
    html = assert_shown(operator_client, f"/stores/s/check/{check.pk}/")
    assert "ClocksAgree" in html
    assert "&lt;b&gt;bold" in html


@pytest.mark.parametrize("detail", [{"reason": {"code": "KeyTooLong", "params": []}}, {"a": {"code": 1}}])
def test_audit_entry_with_unexpected_details_is_shown(operator_client: Client, operator: User, detail: Any) -> None:
    AuditEntry.objects.create(actor=operator, actor_name="olga", action="transfer.failed", detail=detail)
    assert_shown(operator_client, "/audit/")


def test_surrogates_are_replaced_before_an_error_is_stored(operator: User, quiet_store: Store) -> None:
    """The name of a file that is not UTF-8 has surrogates, which PostgreSQL does not store."""
    problem = Problem(Code.FILE_UNREADABLE, file="caf\udce9", detail="no")
    stored = error_fields(NotSent(problem, reason=Reason.UNREACHABLE, retryable=True))
    assert stored["error_params"]["details"][0]["params"]["file"] == "caf\ufffd"
    assert problem_fields(problem)["error_params"]["file"] == "caf\ufffd"
    transfer = make_transfer(operator, quiet_store, **stored)
    transfer.refresh_from_db()
    assert transfer.error is not None
