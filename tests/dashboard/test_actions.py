"""Access by action: each view reaches the database only through the function of its action in `uploads.access`."""

from __future__ import annotations

import ast
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from dashboard.shared.messages.access import ROLES
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.test_access import EVERY, PUBLIC
from uploads import grants
from uploads.domain.roles import ROLE_FOR, Action, Role
from uploads.models import Operation, OperationItem, Scan, Store, StoreCheck

GET, POST = "get", "post"

NO_ROWS = {
    "tokens",
    "new-token",
    "revoke-token",
    "logout",
    "queue",
    "account",
    "guide",
    "dismiss-first-steps",
    "password",
    "second-factor",
    "sign-out-everywhere",
    "list-columns",
}
"""Views for every signed-in user that load no object, or only the user and the own tokens."""

BY_ACTION: dict[tuple[str, str], Action] = {
    ("overview", GET): Action.SEE_STORES,
    ("stores", GET): Action.SEE_STORES,
    ("store", GET): Action.SEE_STORES,
    ("store-state", GET): Action.SEE_STORES,
    ("store-checks", GET): Action.SEE_STORES,
    ("store-check", GET): Action.SEE_STORES,
    ("add-store", GET): Action.ADD_STORES,
    ("add-store", POST): Action.ADD_STORES,
    ("edit-store", GET): Action.CHANGE_STORES,
    ("edit-store", POST): Action.CHANGE_STORES,
    ("disable-store", GET): Action.CHANGE_STORES,
    ("disable-store", POST): Action.CHANGE_STORES,
    ("enable-store", GET): Action.CHANGE_STORES,
    ("enable-store", POST): Action.CHANGE_STORES,
    ("store-checks", POST): Action.CHECK_STORES,
    ("reset-found", POST): Action.CHECK_STORES,
    ("open-bucket", GET): Action.LIST_UPLOADS,
    ("lifecycle", GET): Action.LIST_UPLOADS,
    ("lifecycle-buckets", GET): Action.LIST_UPLOADS,
    ("lifecycle", POST): Action.CHANGE_LIFECYCLE,
    ("uploads", GET): Action.LIST_UPLOADS,
    ("facts", GET): Action.LIST_UPLOADS,
    ("facts", POST): Action.LIST_UPLOADS,
    ("compare", GET): Action.LIST_UPLOADS,
    ("upload", GET): Action.LIST_UPLOADS,
    ("survey", GET): Action.LIST_UPLOADS,
    ("inventory-views", POST): Action.LIST_UPLOADS,
    ("rename-inventory-view", POST): Action.LIST_UPLOADS,
    ("delete-inventory-view", POST): Action.LIST_UPLOADS,
    ("abort", GET): Action.ABORT_UPLOADS,
    ("abort", POST): Action.ABORT_UPLOADS,
    ("complete", GET): Action.COMPLETE_UPLOADS,
    ("complete", POST): Action.COMPLETE_UPLOADS,
    ("scans", GET): Action.LIST_UPLOADS,
    ("scans", POST): Action.SCAN_STORES,
    ("scan", GET): Action.LIST_UPLOADS,
    ("cancel-scan", POST): Action.SCAN_STORES,
    ("store-inventory", GET): Action.CHANGE_INVENTORY,
    ("store-inventory", POST): Action.CHANGE_INVENTORY,
    ("search", GET): Action.SEE_STORES,
    ("operations", GET): Action.SEE_OPERATIONS,
    ("checks", GET): Action.SEE_STORES,
    ("operations-steps", POST): Action.ABORT_UPLOADS,
    ("operation", GET): Action.SEE_OPERATIONS,
    ("operation-pause", POST): Action.ABORT_UPLOADS,
    ("operation-resume", POST): Action.ABORT_UPLOADS,
    ("operation-stop", POST): Action.ABORT_UPLOADS,
    ("sweeps", GET): Action.SEE_OPERATIONS,
    ("sweep", GET): Action.SEE_OPERATIONS,
    ("new-sweep", GET): Action.PLAN_SWEEPS,
    ("new-sweep", POST): Action.PLAN_SWEEPS,
    ("repeating-sweeps", GET): Action.PLAN_SWEEPS,
    ("edit-repeating-sweep", GET): Action.PLAN_SWEEPS,
    ("edit-repeating-sweep", POST): Action.PLAN_SWEEPS,
    ("change-repeating-sweep", POST): Action.APPROVE_SWEEPS,
    ("sweep-approve", POST): Action.APPROVE_SWEEPS,
    ("sweep-run", POST): Action.APPROVE_SWEEPS,
    ("sweep-pause", POST): Action.APPROVE_SWEEPS,
    ("sweep-resume", POST): Action.APPROVE_SWEEPS,
    ("sweep-cancel", POST): Action.PLAN_SWEEPS,
    ("transfers", GET): Action.SEE_TRANSFERS,
    ("transfers-steps", POST): Action.STEER_TRANSFERS,
    ("transfer", GET): Action.SEE_TRANSFERS,
    ("transfer-pause", POST): Action.STEER_TRANSFERS,
    ("transfer-resume", POST): Action.STEER_TRANSFERS,
    ("transfer-cancel", POST): Action.STEER_TRANSFERS,
    ("transfer-retry", POST): Action.STEER_TRANSFERS,
    ("transfer-verify", POST): Action.STEER_TRANSFERS,
    ("transfer-dismiss-orphan", POST): Action.STEER_TRANSFERS,
    ("new-transfer", GET): Action.SEND_FILES,
    ("new-transfer", POST): Action.SEND_FILES,
    ("new-transfer-buckets", GET): Action.SEND_FILES,
    ("new-transfer-plan", GET): Action.SEND_FILES,
    ("new-transfer-existing", GET): Action.SEND_FILES,
    ("new-transfer-check", POST): Action.SEND_FILES,
    ("new-transfer-known", POST): Action.SEND_FILES,
    ("transfer-received", GET): Action.SEND_FILES,
    ("files", POST): Action.SEND_FILES,
    ("files", "options"): Action.SEND_FILES,
    ("files-together", POST): Action.SEND_FILES,
    ("file", "head"): Action.SEND_FILES,
    ("file", "patch"): Action.SEND_FILES,
    ("file", "delete"): Action.SEND_FILES,
    ("staging", GET): Action.SEE_STAGING,
    ("audit", GET): Action.SEE_AUDIT,
    ("inventory", GET): Action.LIST_UPLOADS,
    ("trend", GET): Action.LIST_UPLOADS,
    ("store-prices", GET): Action.CHANGE_INVENTORY,
    ("store-prices", POST): Action.CHANGE_INVENTORY,
    ("alerts", GET): Action.MANAGE_ALERTS,
    ("new-alert-rule", GET): Action.MANAGE_ALERTS,
    ("new-alert-rule", POST): Action.MANAGE_ALERTS,
    ("alert-rule", GET): Action.MANAGE_ALERTS,
    ("alert-rule", POST): Action.MANAGE_ALERTS,
    ("change-alert-rule", POST): Action.MANAGE_ALERTS,
    ("users", GET): Action.GRANT_ROLES,
    ("user", GET): Action.GRANT_ROLES,
    ("user", POST): Action.GRANT_ROLES,
    ("remove-grant", POST): Action.GRANT_ROLES,
    ("groups", GET): Action.GRANT_ROLES,
    ("group", GET): Action.GRANT_ROLES,
    ("group", POST): Action.GRANT_ROLES,
    ("groups", POST): Action.MANAGE_USERS,
    ("new-user", GET): Action.MANAGE_USERS,
    ("new-user", POST): Action.MANAGE_USERS,
    ("user-email", POST): Action.MANAGE_USERS,
    ("user-groups", POST): Action.MANAGE_USERS,
    ("disable-user", GET): Action.MANAGE_USERS,
    ("disable-user", POST): Action.MANAGE_USERS,
    ("enable-user", POST): Action.MANAGE_USERS,
    ("remove-administrator", POST): Action.MANAGE_USERS,
    ("sign-out-user", POST): Action.MANAGE_USERS,
    ("unlock-user", POST): Action.MANAGE_USERS,
    ("reset-second-factor", POST): Action.MANAGE_USERS,
    ("new-link", POST): Action.MANAGE_USERS,
    ("revoke-link", POST): Action.MANAGE_USERS,
    ("group-members", POST): Action.MANAGE_USERS,
    ("delete-group", GET): Action.MANAGE_USERS,
    ("delete-group", POST): Action.MANAGE_USERS,
}
"""The action that each view needs, by the URL's name and the method. A new view needs a row here."""

TUS = {"Tus-Resumable": "1.0.0"}
UPLOAD = {"key": "a.bin", "upload-id": "an-upload"}


def test_every_view_has_its_action() -> None:
    assert {name for name, _ in BY_ACTION} == set(EVERY) - PUBLIC - NO_ROWS


def test_every_action_has_a_view() -> None:
    widening = {Action.SEE_ALL_TRANSFERS, Action.SEE_DISABLED_STORES}
    assert set(ROLE_FOR) == set(Action)
    assert set(BY_ACTION.values()) == set(Action) - widening


@dataclass(frozen=True)
class Rows:
    """Rows that exist, for the arguments of paths; the store cannot be reached, so a request to it fails at once."""

    store: Store
    transfer_id: uuid.UUID
    operation_id: uuid.UUID
    check_id: uuid.UUID
    scan_id: uuid.UUID

    def path(self, name: str) -> str:
        path = EVERY[name].replace("/main/", f"/{self.store.name}/")
        transfer, operation, check, scan = (str(uuid.UUID(int=number)) for number in (2, 1, 3, 4))
        path = path.replace(transfer, str(self.transfer_id)).replace(operation, str(self.operation_id))
        return path.replace(check, str(self.check_id)).replace(scan, str(self.scan_id))


@pytest.fixture
def administrator(db: None) -> User:
    """Without a password: hashing one for each test takes longer than the test."""
    return User.objects.create(username="ada", is_staff=True)


@pytest.fixture
def rows(administrator: User) -> Rows:
    store = Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    operation = Operation.objects.create(kind="abort", actor=administrator, store=store, bucket="a-bucket")
    OperationItem.objects.create(operation=operation, key="a.bin", upload_id="u")
    check = StoreCheck.objects.create(store=store, bucket="a-bucket", actor=administrator)
    transfer = make_transfer(administrator, store, resumable=True)
    scan = Scan.objects.create(store=store, origin="page")
    return Rows(store, transfer.pk, operation.pk, check.pk, scan.pk)


def status_of(client: Client, rows: Rows, name: str, method: str) -> int:
    values = UPLOAD | {"store": rows.store.name, "bucket": "a-bucket"}
    path = rows.path(name)
    arguments: dict[str, Any] = {"headers": TUS}
    if name == "new-transfer-known":
        arguments |= {"data": values | {"files": []}, "content_type": "application/json"}
    elif method in {GET, POST}:
        arguments["data"] = values
    status: int = getattr(client, method)(path, **arguments).status_code
    return status


@pytest.fixture
def signed_in(administrator: User) -> Client:
    client = Client()
    client.force_login(administrator)
    return client


@pytest.mark.parametrize(("name", "method"), sorted(BY_ACTION))
def test_role_without_the_action_is_refused_by_the_view(
    name: str, method: str, signed_in: Client, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a role can be added or changed in `domain.roles` alone. A role without any action reads no row."""
    assert status_of(signed_in, rows, name, method) != 403
    without = frozenset(Action) - {BY_ACTION[name, method]}
    monkeypatch.setattr(grants, "ALLOWED", dict.fromkeys(Role, without))
    assert status_of(signed_in, rows, name, method) == 403
    monkeypatch.setattr(grants, "ALLOWED", {role: frozenset() for role in Role})
    # The audit log reads the store and the key of what was refused.
    monkeypatch.setattr("dashboard.site.audit_trail.is_refusal", lambda *_: False)
    with recorded_queries() as queries:
        assert status_of(signed_in, rows, name, method) == 403
    assert not [sql for sql in queries if '"uploads_' in sql and '"uploads_session"' not in sql]


@contextmanager
def recorded_queries() -> Iterator[list[str]]:
    queries: list[str] = []

    def record(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        queries.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        yield queries


def test_the_dashboard_uses_no_manager_of_a_model() -> None:
    """Views cannot reach rows past `access` and the selectors: no module of theirs names `.objects`."""
    dashboard = Path(__file__).parents[2] / "dashboard"
    modules = [path for path in dashboard.rglob("*.py") if "management" not in path.parts]
    found = [f"{path.name}:{node.lineno}" for path in modules for node in managers(ast.parse(path.read_text()))]
    assert found == []


def managers(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Every use of a manager, except for `.objects.none()`, which reads nothing."""
    empty = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "none" and isinstance(node.value, ast.Attribute)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "objects" and node not in empty:
            yield node


def test_every_role_has_a_name() -> None:
    assert set(ROLES) == set(Role)


def test_templates_ask_for_actions_and_not_for_roles() -> None:
    templates = (Path(__file__).parents[2] / "templates").rglob("*.html")
    assert [path.name for path in templates if "is_staff" in path.read_text()] == []
