"""Runs in a separate process with PostgreSQL: threads with separate connections that do the same at the same time.

Prints the results as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.db import connection, transaction

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from uploads.models import Store, Transfer

MANY = 8
WAITING_SECONDS = 0.5
"""Seconds after which a thread that runs into a lock is waiting for it."""


def main() -> None:
    django.setup()
    json.dump(
        {"takers": take_a_part(), "operations": request_the_same_abort(), "reserved_bytes": reserve_quota()}, sys.stdout
    )


def take_a_part() -> int:
    """Try to take a part while another transaction that takes it is not committed. Returns how often it was taken."""
    from uploads.domain.states import PartState, Phase
    from uploads.models import Part
    from uploads.services.transfers import send
    from uploads.services.transfers.kinds import PARTS
    from uploads.services.work import leases

    transfer = _transfer("taken", phase=Phase.SENDING, all_received=True)
    part = Part.objects.create(transfer=transfer, number=1, size=10, state=PartState.STAGED)
    with transaction.atomic():
        lease = leases.take(PARTS, Part.objects.all(), part.pk)
        second = threading.Thread(target=_closing, args=[lambda: send.send_part(part.pk)])
        second.start()
        time.sleep(WAITING_SECONDS)
    second.join()
    assert lease is not None
    return 1 if lease.rows().exists() else 2


def request_the_same_abort() -> int:
    """Request the same abort in all threads. Returns the number of operations."""
    from uploads.models import Operation
    from uploads.objectstore.types import UploadRef
    from uploads.services.operations.order import request_abort

    owner, store = _owner(), _store()
    _at_once(lambda _: request_abort(owner, store, "bucket", [UploadRef("key", "upload")]))
    return Operation.objects.count()


def reserve_quota() -> int:
    """Reserve quota for a part of 10 bytes in all threads, on a new node with a quota of 35. Returns reserved bytes."""
    from uploads.services.staging import quota

    settings.STAGING_QUOTA = 35
    Path(settings.STAGING_DIR).mkdir(parents=True)
    transfers = [_transfer(f"quota-{number}") for number in range(MANY)]
    _at_once(lambda number: quota.reserve(transfers[number], transfers[number].plan.part(1)))
    return quota.reserved_bytes("node")


def _owner() -> User:
    from django.contrib.auth.models import User

    return User.objects.get_or_create(username="olga")[0]


def _store() -> Store:
    from uploads.models import Store

    values = {"endpoint_url": "http://127.0.0.1:1", "region": "r", "access_key": "a", "secret_key": "s"}
    return Store.objects.get_or_create(name="store", defaults=values)[0]


def _transfer(key: str, **values: Any) -> Transfer:
    """A transfer of two parts of 10 bytes."""
    from uploads.models import Transfer

    sizes = {"size": 20, "part_size": 10, "part_count": 2}
    return Transfer.objects.create(
        owner=_owner(), store=_store(), bucket="bucket", key=key, node="node", **sizes, **values
    )


def _at_once(act: Callable[[int], object]) -> None:
    ready = threading.Barrier(MANY)

    def run(number: int) -> None:
        ready.wait()
        act(number)

    threads = [threading.Thread(target=_closing, args=[partial(run, number)]) for number in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _closing(act: Callable[[], object]) -> None:
    try:
        act()
    finally:
        connection.close()


if __name__ == "__main__":
    main()
