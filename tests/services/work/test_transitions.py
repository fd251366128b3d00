"""Only `change()` writes states, and it writes only transitions that the tables have."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboard.make_transfer import make_transfer
from tests.grants import make_operator
from uploads.domain.states import PHASES, NoSuchTransition, Phase
from uploads.models import Store, Transfer
from uploads.services.work.transitions import change

PROJECT = Path(__file__).parents[3]
STATES = frozenset({"state", "phase", "desired_state"})


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for folder in ("uploads", "dashboard"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            if "migrations" not in path.parts:
                yield from (
                    (path, node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
                )


def test_no_other_function_updates_a_state() -> None:
    found = [
        f"{path.relative_to(PROJECT)}:{call.lineno}"
        for path, call in calls()
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"update", "renew", "release", "bulk_update", "update_or_create"}
        and STATES & {keyword.arg for keyword in call.keywords}
    ]
    assert found == []


ASSIGNED = {
    "order.py": "the initial state of an item",
    "dispatch.py": "follows an UPDATE, on the object in memory",
    "create.py": "the initial state of an upload in the store, in `get_or_create`",
    "whole_files.py": "the initial state of a transfer whose file has arrived",
    "steps.py": "the values before and after a step, in the audit log",
}
"""Modules of services that mention a state as an attribute or a key, and why."""


def test_no_state_is_assigned_or_hidden_in_a_dict() -> None:
    found = set()
    for path in sorted((PROJECT / "uploads" / "services").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            targets = node.targets if isinstance(node, ast.Assign) else []
            keys = node.keys if isinstance(node, ast.Dict) else []
            names = {each.attr for each in targets if isinstance(each, ast.Attribute)}
            if STATES & (names | {key.value for key in keys if isinstance(key, ast.Constant)}):
                found.add(path.name)
    assert found == set(ASSIGNED)


@pytest.fixture
def transfer(db: None) -> Transfer:
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    return make_transfer(make_operator("olga"), store, phase=Phase.SENDING)


def test_change_writes_the_state_and_the_fields(transfer: Transfer) -> None:
    rows = Transfer.objects.filter(pk=transfer.pk)
    assert change(PHASES, rows, Phase.COMPLETING, tries=3) == 1
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.tries) == (Phase.COMPLETING, 3)


def test_change_leaves_rows_in_other_states_alone(transfer: Transfer) -> None:
    rows = Transfer.objects.filter(pk=transfer.pk)
    assert change(PHASES, rows, Phase.DONE) == 0
    assert change(PHASES, rows, Phase.CANCELLED, {Phase.RECEIVING}) == 0
    transfer.refresh_from_db()
    assert transfer.phase == Phase.SENDING


def test_change_raises_for_a_transition_that_no_table_has(transfer: Transfer) -> None:
    with pytest.raises(NoSuchTransition):
        change(PHASES, Transfer.objects.all(), Phase.SENDING, {Phase.DONE})
    transfer.refresh_from_db()
    assert transfer.phase == Phase.SENDING
