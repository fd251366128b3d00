"""Finding lines of the audit log: every filter by an index, pages by marker both ways, outcomes with their requests."""

from __future__ import annotations

import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from time import perf_counter
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from uploads import audit
from uploads.domain.roles import Role
from uploads.models import AuditEntry, Grant, Store
from uploads.selectors import audit as selector
from uploads.selectors.audit import AuditFilter, AuditPage, find_audit_page, iter_audit_lines

pytestmark = pytest.mark.django_db

MANY = int(os.environ.get("AUDIT_ROWS", "12000"))
"""Entries of the tests of plans. docs/performance.md was measured with 1,000,000."""

log = logging.getLogger(__name__)

MOST_READ = 1_500 if MANY < 100_000 else 100_000
"""Rows that a statement may read."""

START = timezone.now() - timedelta(days=100)
TRANSFER, OPERATION = uuid.UUID(int=3), uuid.UUID(int=5)


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


def lines(page: AuditPage) -> list[tuple[str, ...]]:
    return [(line.entry.action, *(each.action for each in line.outcomes)) for line in page.lines]


def find(user: User, limit: int = 100, **given: Any) -> AuditPage:
    place = {name: given.pop(name) for name in ("before", "after", "oldest_first") if name in given}
    return find_audit_page(user, AuditFilter(**given), limit=limit, **place)


# --- Lines ------------------------------------------------------------------------------------------------------------


def order_and_end(number: int, end: str = "done", between: Callable[[], object] = lambda: None) -> None:
    of: dict[str, Any] = {"store": "s", "bucket": "b", "key": f"k-{number}", "upload_id": f"u-{number}"}
    ordered = audit.record(None, "abort.ordered", **of)
    between()
    audit.record(None, f"abort.{end}", request_id=f"r-{number}", ordered=ordered, **of)


def test_request_and_outcome_are_one_line_wherever_they_are(ada: User) -> None:
    order_and_end(1, between=lambda: audit.record(ada, "store.changed"))
    order_and_end(2, "failed")
    assert lines(find(ada)) == [("abort.ordered", "abort.failed"), ("store.changed",), ("abort.ordered", "abort.done")]


@pytest.mark.parametrize(
    ("wanted", "keys"),
    [
        ({"action": "abort"}, ["k-2", "k-1"]),
        ({"action": "abort.ordered"}, ["k-2", "k-1"]),
        ({"action": "abort.failed"}, ["k-2"]),
        ({"outcome": "failed"}, ["k-2"]),
        ({"outcome": "done", "bucket": "b"}, ["k-1"]),
        ({"request_id": "r-1"}, ["k-1"]),
        ({"request_id": "r-1", "key": "k-2"}, []),
        ({"upload_id": "u-2"}, ["k-2"]),
    ],
)
def test_filter_by_an_outcome_shows_the_whole_line(ada: User, wanted: dict[str, Any], keys: list[str]) -> None:
    order_and_end(1)
    order_and_end(2, "failed")
    page = find(ada, **wanted)
    assert [line.entry.key for line in page.lines] == keys
    assert all(line.entry.action == "abort.ordered" and len(line.outcomes) == 1 for line in page.lines)


def test_outcome_that_arrives_while_somebody_pages_moves_no_line(ada: User) -> None:
    ordered = [audit.record(None, "abort.ordered", key=f"k-{number}") for number in range(6)]
    first = find(ada, limit=3)
    for each in ordered:
        audit.record(None, "abort.done", key=each.key, ordered=each)
    second = find(ada, limit=3, before=first.older)
    keys = [line.entry.key for page in (first, second) for line in page.lines]
    assert keys == [f"k-{number}" for number in reversed(range(6))]
    assert all(line.outcomes for line in second.lines)


def test_pages_lead_both_ways_over_the_same_lines(ada: User) -> None:
    for number in range(10):
        audit.record(ada, "test.done", key=f"k-{number}")
    first = find(ada, limit=4)
    assert (first.newer, len(first.lines)) == (None, 4)
    second = find(ada, limit=4, before=first.older)
    third = find(ada, limit=4, before=second.older)
    assert ([line.entry.key for line in third.lines], third.older) == (["k-1", "k-0"], None)
    back = find(ada, limit=4, after=third.newer)
    assert back.lines == second.lines
    again = find(ada, limit=4, after=back.newer)
    assert (again.lines, again.newer) == (first.lines, None)
    assert find(ada, limit=4, before=again.older).lines == second.lines
    beyond = find(ada, limit=4, before=third.lines[-1].entry.pk)
    assert (beyond.lines, beyond.older) == ((), None)
    assert find(ada, limit=1, after=beyond.newer).lines == third.lines[-1:]


def test_pages_lead_from_the_oldest_line_to_the_newest_and_back(ada: User) -> None:
    for number in range(10):
        audit.record(ada, "test.done", key=f"k-{number}")
    first = find(ada, limit=4, oldest_first=True)
    assert (first.older, [line.entry.key for line in first.lines]) == (None, ["k-0", "k-1", "k-2", "k-3"])
    second = find(ada, limit=4, after=first.newer, oldest_first=True)
    third = find(ada, limit=4, after=second.newer, oldest_first=True)
    assert ([line.entry.key for line in third.lines], third.newer) == (["k-8", "k-9"], None)
    back = find(ada, limit=4, before=third.older, oldest_first=True)
    assert back.lines == second.lines
    again = find(ada, limit=4, before=back.older, oldest_first=True)
    assert (again.lines, again.older) == (first.lines, None)
    assert find(ada, limit=4, after=again.newer, oldest_first=True).lines == second.lines


def test_times_are_exact_and_survive_clocks_that_differ(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for minutes in (0, 10, 5, 20, 15, 300):
        monkeypatch.setattr(timezone, "now", lambda minutes=minutes: START + timedelta(minutes=minutes))
        audit.record(ada, "test.done", key=str(minutes))
    monkeypatch.undo()
    page = find(ada, since=START + timedelta(minutes=5), until=START + timedelta(minutes=20))
    assert {line.entry.key for line in page.lines} == {"10", "5", "15"}
    assert not find(ada, until=START - timedelta(hours=5)).lines
    assert not find(ada, since=timezone.now() + timedelta(hours=5)).lines


@pytest.mark.parametrize("few", [0, 2000])
def test_prefix_is_exact_in_case_and_code_points(ada: User, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selector, "FEW_KEYS", few)
    for key in ("a", "a/", "a/b", "A/b", "a%", "a_x", "a/\U0010ffff", "b", "a0", "é/x", "a/é"):
        audit.record(ada, "test.done", key=key)

    def found(prefix: str) -> set[str]:
        return {line.entry.key for line in find(ada, prefix=prefix).lines}

    assert found("a/") == {"a/", "a/b", "a/\U0010ffff", "a/é"}
    assert found("a%") == {"a%"}
    assert found("a_") == {"a_x"}
    assert found("é") == {"é/x"}
    assert found("a/\U0010ffff") == {"a/\U0010ffff"}
    assert found("z") == set()


def test_rare_matches_among_many_candidates_end_the_page_early(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selector, "CANDIDATES", (2, 3))
    audit.record(ada, "other.done", bucket="rare")
    for _ in range(12):
        audit.record(ada, "test.done", bucket="common")
        audit.record(None, "other.done", bucket="common")
    assert len(find(ada, actor="ada", action="other", bucket="rare").lines) == 1, "by the index with few entries"
    page, pages, seen = find(ada, actor="ada", action="other"), 1, 0
    assert (page.lines, page.searched_until is not None) == ((), True)
    while page.older is not None:
        page, pages = find(ada, actor="ada", action="other", before=page.older), pages + 1
        seen += len(page.lines)
    assert (seen, pages) == (1, 3)
    assert page.searched_until is None


def test_export_reads_everything_once_in_batches(ada: User) -> None:
    for number in range(25):
        order_and_end(number)
    found = list(iter_audit_lines(ada, AuditFilter(action="abort"), batch=7))
    assert [line.entry.key for line in found] == [f"k-{number}" for number in reversed(range(25))]
    assert all(len(line.outcomes) == 1 for line in found)


# --- Plans ------------------------------------------------------------------------------------------------------------


def fill(count: int) -> None:
    """Entries of 50 users, 20 stores and 200 buckets; half of them are outcomes. Some values are rare."""
    entries = []
    for number in range(count):
        is_rare = number == count // 3
        is_outcome = number % 2 == 1 and not is_rare
        kind = ("abort", "complete", "transfer", "sign-in")[number // 2 % 4]
        result = "ordered" if not is_outcome else "failed" if number % 101 == 0 else "done"
        entries.append(
            AuditEntry(
                pk=number + 1,
                actor_name="rare" if is_rare else f"user-{number // 2 % 50}",
                address="2001:db8::1" if is_rare else f"192.0.2.{number // 2 % 250}",
                means="command" if is_rare else "page" if number % 7 else "token",
                token="rare" if is_rare else "nightly" if number % 7 == 0 else "",
                action="store.changed" if is_rare else f"{kind}.{result}",
                thing="store" if is_rare else kind,
                outcome="refused" if is_rare else result,
                ordered_id=number if is_outcome else None,
                store="rare" if is_rare else f"store-{number // 2 % 20}",
                bucket="rare" if is_rare else f"bucket-{number // 2 % 200}",
                key="rare/key" if is_rare else f"folder-{number // 2 % 100}/file-{number // 2}",
                upload_id="rare" if is_rare else f"upload-{number // 2}",
                transfer_id=TRANSFER
                if is_rare
                else uuid.UUID(int=10_000_000 + number // 2)
                if kind == "transfer"
                else None,
                operation_id=OPERATION
                if is_rare
                else uuid.UUID(int=20_000_000 + number // 50)
                if kind == "abort"
                else None,
                request_id="rare" if is_rare else f"request-{number}" if is_outcome else "",
                detail={"outcome": {"repeats": 1, "already_gone": False}},
            )
        )
        if len(entries) == 2000:
            _write(entries)
            entries = []
    _write(entries)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE uploads_auditentry")


def _write(entries: list[AuditEntry]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        numbers = iter([each.pk for each in entries])
        patch.setattr(timezone, "now", lambda: START + timedelta(seconds=next(numbers) * 0.5))
        AuditEntry.objects.bulk_create(entries)


FILTERS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "actor": {"actor": "rare"},
    "address": {"address": "2001:db8::1"},
    "means": {"means": "command"},
    "token": {"token": "rare"},
    "thing": {"action": "store"},
    "action": {"action": "store.changed"},
    "outcome": {"outcome": "refused"},
    "store": {"store": "rare"},
    "bucket": {"bucket": "rare"},
    "key": {"key": "rare/key"},
    "prefix": {"prefix": "rare/"},
    "common prefix": {"prefix": "folder-"},
    "upload id": {"upload_id": "rare"},
    "transfer": {"transfer": TRANSFER},
    "operation": {"operation": OPERATION},
    "request id": {"request_id": "rare"},
    "times": {"since": START + timedelta(seconds=10), "until": START + timedelta(seconds=20)},
    "long time": {"since": START + timedelta(seconds=10), "until": timezone.now()},
    "common actor": {"actor": "user-7"},
    "common bucket and store": {"bucket": "bucket-21", "store": "store-1"},
    "actor and action": {"actor": "user-7", "action": "abort.done"},
    "store and outcome": {"store": "store-1", "outcome": "failed"},
    "actor and times": {"actor": "user-7", "since": START, "until": START + timedelta(seconds=900)},
    "no such actor": {"actor": "nobody"},
    "no such pair": {"actor": "user-1", "bucket": "bucket-2"},
}


def plans_of(page: Callable[[], object]) -> Iterator[tuple[str, str]]:
    """The statements that read the log for a page, and how the database runs them."""
    with CaptureQueriesContext(connection) as captured:
        page()
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN (ANALYZE, TIMING OFF)"
    for query in captured.captured_queries:
        if 'FROM "uploads_auditentry"' in query["sql"]:
            with connection.cursor() as cursor:
                cursor.execute(f"{explain} {query['sql']}")
                yield query["sql"], "\n".join(str(row[-1]) for row in cursor.fetchall())


def is_slow(plan: str) -> bool:
    """Whether a plan reads the whole table, or sorts more rows than are tested for a page.

    PostgreSQL may read a few rows in another order and sort them. SQLite cannot tell how many they are.
    """
    if connection.vendor == "postgresql":
        read = re.findall(r"(?:Seq Scan on uploads_auditentry|Sort ).*actual rows=(\d+)|by Filter: (\d+)", plan)
        counts = [int(sorted_rows or filtered) for sorted_rows, filtered in read]
        return max(counts, default=0) > MOST_READ if re.search("Seq Scan on uploads_auditentry|Sort ", plan) else False
    scans = [line for line in plan.splitlines() if line.startswith("SCAN uploads_auditentry")]
    # Few entries have the same request id, and these may be sorted.
    sorts = "TEMP B-TREE" in plan and "audit_by_request" not in plan
    return sorts or any(" INDEX audit_" not in line for line in scans)


@pytest.fixture
def olga() -> User:
    """An operator of one bucket: what she may see is tested on every candidate."""
    olga = User.objects.create_user("olga")
    store = Store.objects.create(name="store-1", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    Grant.objects.create(user=olga, role=Role.OPERATOR, store=store, bucket="bucket-21")
    return olga


PLACES: tuple[dict[str, int], ...] = (
    {},
    {"before": MANY // 2},
    {"after": MANY // 2},
    {"oldest_first": True},
    {"after": MANY // 2, "oldest_first": True},
    {"before": MANY // 2, "oldest_first": True},
)


def test_every_filter_reads_few_rows_by_an_index(ada: User, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    if MANY < 100_000:
        monkeypatch.setattr(selector, "CANDIDATES", (200, 1000))
        monkeypatch.setattr(selector, "FEW_KEYS", 200)
    fill(MANY)
    slow, took = [], dict[str, float]()
    for user in (ada, olga):
        for name, wanted in FILTERS.items():
            for place in PLACES:
                started = perf_counter()
                page = find(user, **wanted, **place)
                took[f"{user.username}, {name}, {place}"] = perf_counter() - started
                plans = plans_of(partial(find, user, **wanted, **place))
                slow += [f"{name} {place}\n{sql}\n{plan}" for sql, plan in plans if is_slow(plan)]
                if "rare" in str(wanted) and user is ada and not place:
                    assert len(page.lines) == 1, name
    if MANY > 100_000:
        log.warning("%s", "\n".join(f"{seconds * 1000:8.1f} ms  {name}" for name, seconds in took.items()))
    assert not slow, "\n\n".join(slow)


def test_page_has_few_statements(ada: User) -> None:
    fill(3000)
    with CaptureQueriesContext(connection) as captured:
        find(ada, actor="user-7", action="abort", since=START, prefix="folder-")
    assert len(captured) <= 12
