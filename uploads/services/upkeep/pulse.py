"""The pulse of a node: each of its processes reports that it runs.

A thread does it, so that a node that works on long parts, or waits for Redis, is still heard.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.db import connections

from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import Part, Transfer
from uploads.services.staging import nodes
from uploads.services.staging.nodes import NodeConflict
from uploads.services.transfers.kinds import dispatch_guarded

log = logging.getLogger(__name__)


def beat_seconds() -> float:
    """Several reports may fail before the node counts as silent."""
    return min(10.0, settings.NODE_SILENT_SECONDS / 4)


class Pulse(threading.Thread):
    """Reports until the process ends. A conflict with another node stops the process.

    `left_to_do` is called after a report, and after each later one until it has succeeded.
    """

    def __init__(self, *, is_sender: bool, left_to_do: Callable[[], None] | None = None) -> None:
        super().__init__(name="pulse", daemon=True)
        self._is_sender = is_sender
        self._left_to_do = left_to_do

    def run(self) -> None:
        while True:
            self.beat()
            connections.close_all()
            time.sleep(beat_seconds())

    def beat(self) -> None:
        try:
            if nodes.beat(is_sender=self._is_sender):
                dispatch_node()
            self._do_what_is_left()
        except NodeConflict as conflict:
            log.critical("%s", conflict.problem)
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception as error:
            log.warning("node %s: it could not report: %s", settings.NODE_NAME, error)

    def _do_what_is_left(self) -> None:
        if self._left_to_do is None:
            return
        try:
            self._left_to_do()
        except Exception as error:
            log.warning("node %s: it tries again to start: %s", settings.NODE_NAME, error)
        else:
            self._left_to_do = None


def dispatch_node() -> None:
    """Enqueue the parts of this node, which nobody has enqueued while it was silent."""
    log.info("node %s: it was silent, and is heard again", settings.NODE_NAME)
    running = Transfer.objects.filter(
        node=settings.NODE_NAME, phase__in=(Phase.RECEIVING, Phase.SENDING), desired_state=DesiredState.RUN
    )
    staged = Part.objects.filter(transfer__in=running, state=PartState.STAGED)
    for transfer_id in Transfer.objects.filter(pk__in=staged.values("transfer")).values_list("pk", flat=True):
        dispatch_guarded(transfer_id)
