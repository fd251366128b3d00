"""Every effect outside the database is followed by a crash point, and every crash point is tested."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.system.test_crash_points import TESTED

SERVICES = Path(__file__).parents[1] / "uploads" / "services"

EFFECTS = frozenset(
    {
        # In the store
        "create_multipart_upload",
        "upload_part",
        "put_object",
        "complete_multipart_upload",
        "abort_multipart_upload",
        "abort_until_gone",
        # On the disk
        "remove_part",
        "mark_unverified",
        "mark_verified",
        "finish_transfer",
        # In the queue
        "_publish",
    }
)
"""Calls whose effect remains if the process dies after them."""

ALLOWED = {
    "abort._abort": "the abort is repeated until no part is left",
    "cancel.cancel_transfer": "no effect follows",
    "paced.abort_in_turn": "run._abort has the crash point",
    "complete.complete_transfer": "no effect follows",
    "kinds._give_up_transfer": "no effect follows",
    "resume.resume": "truncating the files again changes nothing",
    "checksum.discard": "the next writer repeats it",
    "reconcile._abort": "the next run finds the upload again",
    "create.drop_late_upload": "the watchdog enqueues it again",
    "create._drop_other_upload": "the next attempt looks for what an earlier one has created",
    "quota.give_up": "the next transfer that needs space repeats it",
}
"""Functions with an effect and without a crash point, and why a crash there loses nothing."""


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in sorted(SERVICES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.stem}.{node.name}", node


def called(node: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Call))


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def inner(node: ast.FunctionDef) -> set[ast.AST]:
    """What belongs to the functions in a function, which `functions` yields themselves."""
    nested = (each for each in ast.walk(node) if isinstance(each, ast.FunctionDef) and each is not node)
    return {each for function in nested for each in ast.walk(function)}


def points_in(node: ast.FunctionDef, *, without: Collection[ast.AST] = ()) -> Iterator[str]:
    for call in called(node):
        if call in without:
            continue
        if ast.unparse(call.func) == "crash.point":
            assert isinstance(call.args[0], ast.Constant), "the name of a crash point is a literal"
            yield str(call.args[0].value)


def test_every_effect_has_a_crash_point() -> None:
    without = {
        name
        for name, node in functions()
        if {name_of(call) for call in called(node)} & EFFECTS and not [*points_in(node)]
    }
    assert without == set(ALLOWED), "an effect without a crash point, or an exception that is no longer needed"


def test_every_crash_point_is_unique_and_tested() -> None:
    points = [point for _, node in functions() for point in points_in(node, without=inner(node))]
    assert sorted(points) == sorted(set(points))
    assert set(points) == set(TESTED)
