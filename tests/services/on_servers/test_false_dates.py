"""Versity's Initiated is the time of a folder, which moves with each part. No verdict depends on it."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from tests.services.inventory.scanning import scan
from tests.services.on_servers.backend import Backend, Others
from tests.stores.s3 import S3Store
from uploads.domain.verdicts import Verdict
from uploads.models import InventorySettings, InventoryUpload, Store
from uploads.objectstore.types import UploadRef
from uploads.services.stores import pace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.parametrize("backend", ["versity"], indirect=True)]

KEY = "left/by somebody"
MONTH, MINUTE = timedelta(days=30), timedelta(minutes=1)


@pytest.fixture
def ref(store: Store, backend: Backend, bucket: str, others: Others) -> UploadRef:
    """An upload whose only part is the second: nobody can complete it."""
    InventorySettings.objects.create(store=store, requests_per_second=100_000, requests_in_flight=8)
    pace.forget_limits()
    ref = UploadRef(KEY, backend.truth.create_multipart_upload(bucket, KEY))
    others.send_part(ref, 2, b"x" * 10)
    return ref


def date(backend: Backend, ref: UploadRef, *, start: timedelta, part: timedelta) -> None:
    """What the gateway says of the upload, as long ago as given: it takes both from the times of its files."""
    gateway = backend.server.store
    assert isinstance(gateway, S3Store)
    (upload,) = gateway.folder.rglob(ref.upload_id)
    for path, ago in ((upload / "2", part), (upload, start)):
        at = (timezone.now() - ago).timestamp()
        os.utime(path, (at, at))


def read(store: Store, bucket: str) -> InventoryUpload:
    """The row after a scan that reads the parts again."""
    InventoryUpload.objects.update(checked_at=None)
    scan(store, [(bucket, "")])
    return InventoryUpload.objects.get()


def ago(at: datetime | None) -> timedelta:
    assert at is not None
    return timezone.now() - at


def test_a_part_moves_initiated_and_the_verdict_follows_the_part(
    store: Store, backend: Backend, bucket: str, others: Others, ref: UploadRef
) -> None:
    date(backend, ref, start=MONTH, part=MONTH)
    row = read(store, bucket)
    assert row.verdict == Verdict.DEAD
    assert ago(row.initiated) > MONTH - MINUTE
    others.send_part(ref, 3, b"y" * 10)
    (listed,) = backend.truth.list_multipart_uploads(bucket).uploads
    assert ago(listed.initiated) < MINUTE, "the gateway says that the upload was started just now"
    row = read(store, bucket)
    assert row.verdict == Verdict.ALIVE
    assert ago(row.last_part_at) < MINUTE


def test_a_start_that_is_too_old_does_not_make_an_upload_dead(
    store: Store, backend: Backend, bucket: str, ref: UploadRef
) -> None:
    """As where Initiated does not move: the part arrived just now."""
    date(backend, ref, start=10 * MONTH, part=timedelta(0))
    row = read(store, bucket)
    assert ago(row.initiated) > 9 * MONTH
    assert row.verdict == Verdict.ALIVE


def test_a_start_after_the_last_part_never_makes_an_upload_dead(
    store: Store, backend: Backend, bucket: str, ref: UploadRef
) -> None:
    """The dates contradict each other. The later one counts: an upload that may be young is spared."""
    date(backend, ref, start=MONTH, part=MONTH)
    assert read(store, bucket).verdict == Verdict.DEAD
    date(backend, ref, start=timedelta(0), part=MONTH)
    assert read(store, bucket).verdict == Verdict.ALIVE
