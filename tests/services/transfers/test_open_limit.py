"""How many transfers in progress one user may have: requests at the same time do not exceed it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from uploads.domain.replacement import ANYTHING
from uploads.domain.states import Phase
from uploads.models import Store, Transfer
from uploads.services.transfers.start import NewTransfer, TooManyOpen, start_transfer


def test_concurrent_creations_never_exceed_the_limit(user: User, settings: Settings) -> None:
    """To different stores, so that no lock of a store makes them wait for each other."""
    settings.USER_OPEN_TRANSFERS = 3
    facts = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    stores = [Store.objects.create(name=name, **facts) for name in ("s", "t")]
    barrier = threading.Barrier(8)

    def create(number: int) -> bool:
        known: dict[str, Any] = {
            "owner": user,
            "store": stores[number % 2],
            "bucket": "photos",
            "size": 3,
            "replace": True,
        }
        barrier.wait(30)
        try:
            start_transfer(NewTransfer(key=f"k{number}", replacement=ANYTHING, **known))
        except TooManyOpen:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 3
    assert Transfer.objects.count() == 3


def test_counting_transfers_in_progress_reads_an_index(user: User) -> None:
    """Among many transfers of the user that have ended: other indexes begin with the owner too"""
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    now = timezone.now()
    facts: dict[str, Any] = {
        "owner": user,
        "store": store,
        "bucket": "photos",
        "size": 1,
        "part_size": 1,
        "part_count": 1,
        "node": "n",
    }
    ended: dict[str, Any] = {"phase": Phase.DONE, "received_at": now, "finished_at": now}
    Transfer.objects.bulk_create(Transfer(key=f"k{number}", **facts, **ended) for number in range(3000))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    rows = Transfer.objects.filter(owner=user, finished_at__isnull=True).order_by()
    assert "transfer_open" in rows.explain()
