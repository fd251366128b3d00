"""Each kind of work is declared once; leases, watchdog, queue and metrics derive from the declarations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.grants import make_operator
from uploads import metrics
from uploads.domain.states import ITEM_STATES, ItemState
from uploads.models import Operation, OperationItem, Store
from uploads.services.upkeep.metrics import _queues
from uploads.services.upkeep.watchdog import watch
from uploads.services.work import leases, queue
from uploads.services.work.kinds import KINDS, register
from uploads.services.work.leases import Kind, Lease, LeaseLost
from uploads.services.work.tasks import TASKS, task


def test_names_of_kinds_are_the_labels_of_the_metric() -> None:
    scans = {"scan", "bucket-scan", "parts-batch", "objects-batch"}
    assert set(KINDS) == {
        "part",
        "item",
        "transfer",
        "check",
        *scans,
        "sweep",
        "sweep-item",
        "alert",
        "lifecycle-reading",
    }


def test_every_task_is_known_to_celery() -> None:
    from dashboard.site.celery import app

    app.loader.import_default_modules()
    assert {f"uploads.tasks.{name}" for name in TASKS} <= set(app.tasks)


@pytest.fixture
def item(db: None) -> OperationItem:
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    actor = make_operator("olga")
    operation = Operation.objects.create(kind="abort", actor=actor, store=store, bucket="b")
    return OperationItem.objects.create(operation=operation, key="k", upload_id="u")


@pytest.fixture
def new_kind() -> Iterator[Kind[OperationItem]]:
    """The only kind, with one task: declared as a package would declare it."""
    kinds, tasks = dict(KINDS), dict(TASKS)
    KINDS.clear()
    TASKS.clear()
    yield _declare()
    KINDS.clear()
    TASKS.clear()
    KINDS.update(kinds)
    TASKS.update(tasks)


def _declare() -> Kind[OperationItem]:
    def dispatch_due(limit: int) -> int:
        waiting = kind.waiting_rows().filter(queued_at__isnull=True)
        ids = list(waiting.values_list("pk", flat=True)[:limit])
        queue.enqueue_rows("run_new", ids, node="n")
        return len(ids)

    kind = register(
        Kind(
            name="new",
            model=OperationItem,
            table=ITEM_STATES,
            waiting=ItemState.ORDERED,
            running=ItemState.RUNNING,
            facts=lambda row: {"order": row.operation_id},
            resume=lambda row, seconds: None,
            give_up=lambda lease, error: None,
            worker_lost=lambda lease: lease.release(),
            dispatch_due=dispatch_due,
        )
    )

    @task(kind, OperationItem.objects.all, queue=lambda node: f"node.{node}.new")
    def run_new(lease: Lease[OperationItem]) -> None:
        lease.renew(outcome={"ran": True})
        lease.end(ItemState.DONE)

    return kind


def test_new_kind_runs_under_a_lease(new_kind: Kind[OperationItem], item: OperationItem) -> None:
    TASKS["run_new"](item.pk)
    item.refresh_from_db()
    assert (item.state, item.outcome, item.lease_token) == (ItemState.DONE, {"ran": True}, None)


@pytest.mark.django_db(transaction=True)
def test_watchdog_and_queue_know_a_new_kind(
    new_kind: Kind[OperationItem], item: OperationItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.objects.update(heard_at=timezone.now())  # Otherwise the watchdog has it tried.
    taken_over: list[tuple[str, int]] = []
    monkeypatch.setattr(metrics, "leases_taken_over", lambda name, count: taken_over.append((name, count)))
    published: list[Any] = []

    def publish(*message: Any) -> None:
        if message[0] != "try_store":
            published.append(message[:3])

    monkeypatch.setattr(queue, "_publish", publish)
    lease = leases.take(new_kind, OperationItem.objects.all(), item.pk)
    assert lease is not None
    OperationItem.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    watch()
    assert taken_over == [("new", 1)]
    assert published == [("run_new", [str(item.pk)], "node.n.new")]
    OperationItem.objects.update(queued_at=timezone.now() - timedelta(hours=1))
    watch()
    assert len(published) == 2, "a lost message is sent again"
    with pytest.raises(LeaseLost):
        lease.renew()
    assert not lease.release()
    assert not lease.end(ItemState.DONE)


@pytest.mark.django_db(transaction=True)
def test_row_that_could_not_be_enqueued_is_marked(
    new_kind: Kind[OperationItem], item: OperationItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(queue, "_publish", unavailable)
    monkeypatch.setattr(queue._Pause, "until", 0.0)
    queue.enqueue_rows("run_new", [item.pk], node="n")
    item.refresh_from_db()
    assert item.queued_at is None


def test_metrics_have_the_queue_of_a_new_kind(
    new_kind: Kind[OperationItem], db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uploads.services.upkeep.metrics.broker.depths", lambda queues: dict.fromkeys(queues, 0))
    depth, _ = _queues()
    queues = [sample.labels["queue"] for sample in depth.samples]
    assert queues == ["node.test-node.new", "node.test-node.steps", "partway.watch"]
