"""The metrics of a scrape: the counters of all processes, and the current state by database, Redis and disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.conf import settings
from django.db import Error as DatabaseError
from django.db.models import Case, Count, Value, When
from prometheus_client import CollectorRegistry, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from redis import RedisError

from uploads import metrics
from uploads.domain.states import FINAL_PHASES, DesiredState, Phase, TransferState, shown_state
from uploads.domain.store_health import StoreHealth
from uploads.models import StagingNode, Store, Transfer
from uploads.models.node import silent_nodes
from uploads.models.transfer import browser_is_silent, has_no_space, steps_queue, store_is_failing
from uploads.services.staging import quota
from uploads.services.upkeep import inventory_metrics
from uploads.services.work import broker
from uploads.services.work.tasks import TASKS, WATCH_QUEUE


class State(Collector):
    """Read at each scrape, so that no process has to keep it up to date. `partway_up` names what is unavailable."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("partway_up", "Whether this part could be read at this scrape.", labels=["part"])
        for part, read, failures in (
            ("database", _database, DatabaseError),
            ("staging", _staging, (DatabaseError, OSError)),
            ("redis", _queues, (DatabaseError, RedisError)),
        ):
            try:
                found = read()
            except failures:
                up.add_metric([part], 0)
            else:
                up.add_metric([part], 1)
                yield from found
        yield up


def _database() -> list[Metric]:
    return [_transfers(), *_stores(), _nodes(), *inventory_metrics.inventory()]


def _nodes() -> Metric:
    """Of the nodes with transfers that have not ended: a node that is not used any more may be silent."""
    family = GaugeMetricFamily(
        "partway_node_silent", "1: transfers have bytes on a node that is silent.", labels=["node"]
    )
    silent = silent_nodes()
    unfinished = Transfer.objects.exclude(phase__in=FINAL_PHASES).order_by()
    for node in unfinished.values_list("node", flat=True).distinct():
        family.add_metric([node], node in silent)
    return family


def _stores() -> list[Metric]:
    answers = GaugeMetricFamily("partway_store_answers", "0: the last requests failed.", labels=["store"])
    health = GaugeMetricFamily("partway_store_health", "1: the state of this store.", labels=["store", "state"])
    for store in Store.objects.filter(enabled=True):
        answers.add_metric([store.name], not store.is_failing)
        for state in StoreHealth:
            if state is not StoreHealth.DISABLED:
                health.add_metric([store.name, state.value], store.shown_health is state)
    return [answers, health]


def _transfers() -> Metric:
    silent = silent_nodes()
    states = Counter(dict.fromkeys(TransferState, 0))
    # Most transfers have ended: they are counted by an index alone, and only the others are read.
    ended = Transfer.objects.filter(phase__in=FINAL_PHASES).order_by().values_list("phase")
    states.update({TransferState(phase): count for phase, count in ended.annotate(count=Count("*"))})
    waits = {
        "browser_is_silent": browser_is_silent(),
        "has_no_space": has_no_space(),
        "store_is_failing": store_is_failing(),
    }
    flags = {name: Case(When(condition, then=Value(1)), default=Value(0)) for name, condition in waits.items()}
    rows = Transfer.objects.exclude(phase__in=FINAL_PHASES).order_by().annotate(**flags)
    for group in rows.values("phase", "desired_state", "node", *flags).annotate(count=Count("pk")):
        state = shown_state(
            Phase(group["phase"]),
            DesiredState(group["desired_state"]),
            node_is_silent=group["node"] in silent,
            **{name: bool(group[name]) for name in flags},
        )
        states[state] += group["count"]
    family = GaugeMetricFamily("partway_transfers", "Transfers by the state that pages show.", labels=["state"])
    for state, count in states.items():
        family.add_metric([state.value], count)
    return family


def _staging() -> list[Metric]:
    node = settings.NODE_NAME
    used = GaugeMetricFamily(
        "partway_staging_bytes", "Bytes of this node's staging that are taken or reserved.", labels=["node"]
    )
    limit = GaugeMetricFamily(
        "partway_staging_quota_bytes", "Bytes that staging may take; 0: limited by the disk.", labels=["node"]
    )
    free = GaugeMetricFamily("partway_staging_free_bytes", "Bytes that are free for the next part.", labels=["node"])
    used.add_metric([node], quota.reserved_bytes(node))
    limit.add_metric([node], settings.STAGING_QUOTA)
    free.add_metric([node], max(0, quota.free_bytes(node)))
    return [used, limit, free]


def _queues() -> list[Metric]:
    nodes = dict.fromkeys([settings.NODE_NAME, *StagingNode.objects.values_list("name", flat=True)])
    of_tasks = (task.queue(node) for node in nodes for task in TASKS.values())
    queues = dict.fromkeys([*of_tasks, *map(steps_queue, nodes), WATCH_QUEUE])
    depth = GaugeMetricFamily("partway_queue_depth", "Messages that no worker has taken yet.", labels=["queue"])
    served = GaugeMetricFamily("partway_queue_served", "Whether a worker serves this queue.", labels=["queue"])
    for queue, waiting in broker.depths(queues).items():
        depth.add_metric([queue], waiting)
        served.add_metric([queue], broker.is_served(queue))
    return [depth, served]


def exposition(accept: str) -> tuple[bytes, str]:
    """All metrics in the format that the client prefers, and the content type of that format."""
    encode, content_type = choose_encoder(accept)
    whole = CollectorRegistry()
    whole.register(State())
    if metrics.FOLDER:
        multiprocess.MultiProcessCollector(whole, path=metrics.FOLDER)  # type: ignore[no-untyped-call]
    else:
        whole.register(metrics.registry)
    return encode(whole), content_type
