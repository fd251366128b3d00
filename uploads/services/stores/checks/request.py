"""Requesting store checks."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from uploads import audit
from uploads.models import Store, StoreCheck
from uploads.models.store_check import active_check
from uploads.objectstore.keys import check_bucket
from uploads.objectstore.probing.running import CHECKS
from uploads.services.work.queue import enqueue_on_commit


def request_check(actor: User | None, store: Store, bucket: str, *, here: bool = False) -> StoreCheck:
    """Let a task check a store in a bucket, or the caller if `here`. Returns the active check if there is one.

    NotSent with BAD_ARGUMENT for an invalid bucket name.
    """
    check_bucket(bucket)
    with transaction.atomic():
        # Without the lock, two concurrent requests would both create a row, and one would violate the active key.
        Store.objects.select_for_update().get(pk=store.pk)
        key = active_check(store.pk, bucket)
        active = StoreCheck.objects.filter(active_key=key).first()
        if active is not None:
            return active
        check = StoreCheck.objects.create(
            store=store,
            bucket=bucket,
            actor=actor,
            active_key=key,
            queued_at=timezone.now(),
            total=len(CHECKS),
            provider=store.provider,
        )
        audit.record(actor, "check.ordered", store=store.name, bucket=bucket)
        if not here:
            enqueue_on_commit("run_store_check", [check.pk])
    return check
