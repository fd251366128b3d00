"""How many transfers in progress one user may have: requests at the same time do not exceed it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings

from uploads.domain.replacement import ANYTHING
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
    rows = Transfer.objects.filter(owner=user, finished_at__isnull=True).order_by()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET enable_seqscan = off")
    assert "transfer_open" in rows.explain()
