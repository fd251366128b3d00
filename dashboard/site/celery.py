"""The Celery application. settings.py has its settings, with the prefix CELERY_."""

from __future__ import annotations

import logging
import logging.config
import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any

import psutil
from celery import Celery, bootsteps
from celery.app.amqp import AMQP
from celery.signals import (
    celeryd_after_setup,
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
    worker_ready,
    worker_shutting_down,
)
from kombu import Connection
from kombu.transport import redis as transport
from redis import ConnectionError

from dashboard.site.memory import limit_heaps, protect_memory

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.site.settings")
# Django's checks load all pages, which no worker needs. `migrate` and the web server run them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

log = logging.getLogger(__name__)


class _FrequentRetries(Connection):
    """Retries an unavailable Redis every few seconds. Celery's own delays grow to 30 s."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        return super().ensure_connection(
            *args, **{"interval_start": 1, "interval_step": 1, "interval_max": 5, **kwargs}
        )


class _Amqp(AMQP):
    Connection = _FrequentRetries


class _Channel(transport.Channel):
    """Raises the ConnectionError of Redis, which Celery handles, if the connection is closed.

    A task that ends after Redis has become unavailable is acknowledged on a closed connection. That would raise
    AttributeError and end the worker.
    """

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("queue connection is closed")
        return super()._connparams(*args, **kwargs)  # type: ignore[misc]  # the stubs lack it


transport.Transport.Channel = _Channel


class WorkerHeartbeat(bootsteps.StartStopStep):
    """Records in Redis, for each queue of the worker, that it is connected and its event loop runs."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._entry: Any = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        from uploads.services.work import broker

        queues = [queue.name for queue in consumer.task_consumer.queues]
        broker.send_heartbeat(queues)
        self._entry = consumer.timer.call_repeatedly(broker.HEARTBEAT_SECONDS, broker.send_heartbeat, (queues,))

    def stop(self, _consumer: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None

    shutdown = stop


@celeryd_init.connect
@setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    """Configure logging in workers and beat by Django's settings. With a receiver, Celery does not configure it."""
    from django.conf import settings

    protect_memory()
    limit_heaps()
    logging.config.dictConfig(settings.LOGGING)
    logging.captureWarnings(True)


@celeryd_init.connect
def _refuse_to_start(**_: Any) -> None:
    """A worker whose database or keys do not fit would fail all work that it takes."""
    from dashboard.site.checks import check_worker

    check_worker()


START_SECONDS = 3.0
"""How long a worker that starts waits for the database."""


@celeryd_after_setup.connect
def _claim_node(instance: Any, **_: Any) -> None:
    """Before the pool is started: a worker of a node does not start with the name or the disk of another node."""
    from django.db import Error, connections

    from dashboard.shared.messages import text_of
    from uploads import database
    from uploads.services.staging.nodes import NodeConflict, claim

    if not _node_queues(instance.app):
        return
    try:
        with database.waiting(START_SECONDS):
            claim()
    except NodeConflict as conflict:
        log.critical("%s", text_of(conflict.problem))
        raise SystemExit(1) from None
    except (Error, OSError) as error:
        log.warning("the node could not be recorded yet: %s", error)
    finally:
        connections.close_all()


@worker_ready.connect
def _start_pulse(sender: Any, **_: Any) -> None:
    from django.conf import settings

    from uploads.models.transfer import parts_queue
    from uploads.services.upkeep.pulse import Pulse

    if queues := _node_queues(sender.app):
        Pulse(is_sender=parts_queue(settings.NODE_NAME) in queues).start()


def _node_queues(celery: Celery) -> set[str]:
    """The queues of this node that the worker consumes. A worker without one needs no staging disk."""
    from django.conf import settings

    from uploads.models.transfer import parts_queue, steps_queue

    return {parts_queue(settings.NODE_NAME), steps_queue(settings.NODE_NAME)}.intersection(
        celery.amqp.queues.consume_from
    )


@worker_init.connect
def _share_connections(sender: Any, **_: Any) -> None:
    """A worker with threads shares its connections between them. One with processes has none itself."""
    kind = sender.pool_cls if isinstance(sender.pool_cls, str) else sender.pool_cls.__module__
    if "prefork" not in kind:
        from uploads import database
        from uploads.services.work import threads

        database.use_pool(sender.concurrency, database.UNTIL_IT_RESPONDS)
        threads.share(sender.concurrency)


@task_prerun.connect
@task_postrun.connect
def _close_unusable_connections(sender: Any, **_: Any) -> None:
    from django.db import close_old_connections

    if not sender.request.is_eager:
        close_old_connections()


@worker_process_init.connect
def _keep_one_connection(**_: Any) -> None:
    from uploads import database

    database.use_pool(1, database.UNTIL_IT_RESPONDS)


INTERRUPT_SECONDS = 12
"""How long a part may still be sent after the worker was told to stop. Then another worker sends it again."""


@worker_process_init.connect
def _listen_for_interruption(**_: Any) -> None:
    """In each process of the pool. Celery uses SIGUSR1 for soft time limits."""
    from uploads import database
    from uploads.services.transfers.interruption import interrupt_sending

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        database.stop_waiting()
        interrupt_sending()

    signal.signal(signal.SIGUSR2, interrupt)


@worker_shutting_down.connect
def _interrupt_later(**_: Any) -> None:
    from uploads import database

    database.stop_waiting()
    timer = threading.Timer(INTERRUPT_SECONDS, _signal_children, args=[os.getpid()])
    timer.daemon = True
    timer.start()


def _signal_children(worker: int) -> None:
    """The children of the worker are the processes of its pool."""
    for child in psutil.Process(worker).children():
        with suppress(psutil.NoSuchProcess):
            child.send_signal(signal.SIGUSR2)


app = Celery("partway", amqp=_Amqp)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["consumer"].add(WorkerHeartbeat)
