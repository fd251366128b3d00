"""The Celery application; its settings are the CELERY_ ones of settings.py."""

from __future__ import annotations

import logging.config
import os
from typing import Any

from celery import Celery, bootsteps
from celery.app.amqp import AMQP
from celery.signals import celeryd_init, setup_logging
from kombu import Connection
from kombu.transport import redis as transport

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")


class _SoonBack(Connection):
    """Looks for a Redis that is away every few seconds, however long it has been: Celery's pauses grow to 30 s."""

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        return super().ensure_connection(
            *args, **{"interval_start": 1, "interval_step": 1, "interval_max": 5, **kwargs}
        )


class _Amqp(AMQP):
    Connection = _SoonBack


class _Forgetful(transport.QoS):
    """Hands messages back when a connection closes; where Redis is away that fails, which must not end the worker."""

    def restore_unacked_once(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().restore_unacked_once(*args, **kwargs)
        except Exception as error:
            logging.getLogger(__name__).warning("messages are left to the watchdog: %s", error)


transport.Channel.QoS = _Forgetful


class Heartbeat(bootsteps.StartStopStep):
    """While a worker is connected and its loop turns, it says so in Redis, for each queue it takes from."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        self._entry: Any = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        from uploads.services import broker

        queues = [queue.name for queue in consumer.task_consumer.queues]
        broker.beat(queues)
        self._entry = consumer.timer.call_repeatedly(broker.HEARTBEAT_SECONDS, broker.beat, (queues,))

    def stop(self, _consumer: Any) -> None:
        if self._entry is not None:
            self._entry.cancel()
            self._entry = None

    shutdown = stop


@celeryd_init.connect
@setup_logging.connect
def _set_up_logging(**_: Any) -> None:
    """As Django's settings say, in workers and beat too: with a receiver Celery leaves it alone."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
    logging.captureWarnings(True)


app = Celery("partway", amqp=_Amqp)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["consumer"].add(Heartbeat)
