"""Every check and everything it can find has a text."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from dashboard.shared.messages import MESSAGES
from dashboard.shared.messages.check_results import result_advice, result_text, result_title
from dashboard.shared.messages.checks import STEPS, TITLES, step_text, title_of
from dashboard.shared.messages.findings import ADVICE, ADVICE_ON_ERROR, ADVICE_ON_ERROR_IN
from uploads.objectstore import probing
from uploads.objectstore.errors import Reason
from uploads.objectstore.probing.codes import FindingCode
from uploads.objectstore.probing.results import CheckResult, Group, Verdict
from uploads.objectstore.probing.running import CHECKS
from uploads.problems import Code, Problem
from uploads.services.stores.checks import run

NAMES = {check.name for check in CHECKS}


def test_every_check_has_a_title() -> None:
    assert set(TITLES) == NAMES
    assert len(set(map(str, TITLES.values()))) == len(TITLES)
    assert set(ADVICE_ON_ERROR_IN) <= NAMES


def test_every_step_has_a_text() -> None:
    assert set(STEPS) == {run.CLEANING_UP, run.CLEANING_UP_EARLIER}
    assert step_text("order") == title_of("order") == "Order of uploads"
    assert step_text("Order of uploads") == "Order of uploads"


def test_every_finding_has_a_text_and_its_own_code() -> None:
    assert set(FindingCode) <= set(MESSAGES)
    assert not set(map(str, FindingCode)) & set(map(str, Code))
    assert set(FindingCode) >= set(ADVICE)
    assert set(ADVICE_ON_ERROR) <= set(Reason)


def used_codes() -> dict[FindingCode, set[str]]:
    """Each code that a check can find, with the parameters that are passed with it."""
    used: dict[FindingCode, set[str]] = {}
    for path in Path(probing.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "FindingCode":
                used.setdefault(FindingCode[node.attr], set())
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Attribute):
                code = node.args[0]
                if isinstance(code.value, ast.Name) and code.value.id == "FindingCode":
                    used[FindingCode[code.attr]] = {str(keyword.arg) for keyword in node.keywords}
    return used


def test_every_code_is_used() -> None:
    assert set(used_codes()) == set(FindingCode)


class Numbers(dict[str, Any]):
    """Any parameter of a text, as a number."""

    def __missing__(self, name: str) -> int:
        self[name] = 2
        return 2


@pytest.mark.parametrize("code", FindingCode)
def test_texts_use_only_parameters_that_are_passed(code: FindingCode) -> None:
    names = Numbers()
    assert str(MESSAGES[code] % names)
    indirect = {"operation", "reason", "code", "difference_seconds", "header"}
    assert set(names) <= (used_codes()[code] or indirect)


def test_another_check_is_shown_by_its_title() -> None:
    waiting = CheckResult(
        name="order",
        group=Group.LISTING,
        verdict=Verdict.NOT_TRIED,
        observed=Problem(FindingCode.NEEDS_CHECK, check="prefix"),
    )
    assert result_title(waiting) == "Order of uploads"
    assert result_text(waiting) == "Not tried: it depends on “Prefix”, which did not work."
    assert result_advice(waiting) == ""


@pytest.mark.parametrize(
    ("name", "reason", "advice"),
    [
        ("bucket", Reason.NO_SUCH_BUCKET, "Check the name of the bucket. It is case-sensitive."),
        ("bucket", "a-later-reason", "See the store's documentation for this code."),
        ("key-marker", Reason.NO_SUCH_BUCKET, "Narrow the prefix until one page holds all uploads."),
    ],
)
def test_advice_on_an_error_follows_from_its_reason_or_its_check(name: str, reason: str, advice: str) -> None:
    observed = Problem(FindingCode.REQUEST_REFUSED, operation="ListMultipartUploads", reason=reason, code="Odd")
    refused = CheckResult(
        name=name,
        group=Group.REACH,
        verdict=Verdict.FAILED,
        observed=observed,
        details=(Problem(Code.BUCKET_REGION, region="eu-x"),),
        code="Odd",
        store_message="No.",
    )
    assert CheckResult.from_json(refused.as_json()) == refused
    text = result_text(refused)
    assert text.startswith("ListMultipartUploads was refused with Odd.")
    assert "eu-x" in text
    assert text.endswith("The store says: No.")
    assert result_advice(refused) == advice


def test_missing_permission_names_what_to_allow_and_what_does_not_work() -> None:
    observed = Problem(FindingCode.PERMISSION_MISSING, operation="ListParts", reason=Reason.PERMISSION, code="Denied")
    denied = CheckResult(name="list-parts", group=Group.PERMISSIONS, verdict=Verdict.DENIED, observed=observed)
    assert "do not allow ListParts. The parts and size of an upload are not shown" in result_text(denied)
    assert "s3:ListMultipartUploadParts" in result_advice(denied)
    assert "oss:ListParts" in result_advice(denied)
