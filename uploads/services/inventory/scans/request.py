"""Requesting scans."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.models import Scan, Store
from uploads.objectstore.keys import check_bucket, check_text
from uploads.services.work.queue import enqueue_on_commit
from uploads.services.work.tasks import SCAN_QUEUE


def request_scan(actor: User | None, store: Store, origin: str, places: Iterable[tuple[str, str]] = ()) -> Scan:
    """Let tasks scan a store, or only the buckets and prefixes in `places`. `origin` is one of `Scan.ORIGINS`.

    Returns the active scan of the same places if there is one. NotSent with BAD_ARGUMENT for an invalid bucket name or
    prefix.
    """
    wanted = _places(places)
    with transaction.atomic():
        # Without the lock, two concurrent requests would both create a scan.
        Store.objects.select_for_update().get(pk=store.pk)
        for active in Scan.objects.filter(store=store, finished_at__isnull=True):
            if active.places == wanted:
                return active
        scan = Scan.objects.create(store=store, actor=actor, origin=origin, places=wanted, queued_at=timezone.now())
        audit.record(actor, "scan.ordered", store=store.name, detail={"origin": origin, "places": wanted})
        enqueue_on_commit("find_buckets", [scan.pk], queue=SCAN_QUEUE)
    return scan


def _places(places: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Each place once, and none inside another one."""
    kept: list[list[str]] = []
    for bucket, prefix in sorted(set(places)):
        check_bucket(bucket)
        check_text("prefix", prefix)
        if not (kept and kept[-1][0] == bucket and prefix.startswith(kept[-1][1])):
            kept.append([bucket, prefix])
    return kept
