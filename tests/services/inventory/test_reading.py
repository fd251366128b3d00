"""What ListParts of a real store becomes in the inventory."""

from __future__ import annotations

import pytest
from django.utils import timezone

from tests.stores.swift import SwiftStore
from uploads.models import InventoryUpload, Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError
from uploads.objectstore.types import FileSlice, UploadRef
from uploads.services.browse.browsing import is_gone
from uploads.services.inventory.reading import apply, read_facts


@pytest.fixture(scope="module")
def any_store(swift_store: SwiftStore) -> SwiftStore:
    """Swift has keys that are no paths."""
    return swift_store


def test_the_parts_of_an_upload(store: Store, client: ObjectStoreClient, bucket: str, tmp_path: object) -> None:
    from pathlib import Path

    path = Path(str(tmp_path)) / "bytes"
    path.write_bytes(b"x" * 3000)
    key = "a/../b//c ü"
    upload_id = client.create_multipart_upload(bucket, key)
    for number, size in ((1, 1000), (3, 2000), (7, 500)):
        client.upload_part(bucket, key, upload_id, number, FileSlice(path, 0, size))
    facts = read_facts(store, bucket, UploadRef(key, upload_id))
    assert (facts.parts, facts.bytes, facts.highest, facts.gaps) == (3, 3500, 7, 4)
    assert facts.smallest_inner == 1000
    assert facts.first_part_at is not None
    assert facts.last_part_at is not None
    now = timezone.now()
    row = InventoryUpload(started_at=facts.first_part_at, check_error="AccessDenied")
    apply(row, facts, now)
    assert (row.parts, row.bytes, row.gaps, row.highest_part, row.smallest_inner_bytes) == (3, 3500, 4, 7, 1000)
    assert (row.active_at, row.checked_at, row.check_error) == (facts.last_part_at, now, "")


def test_an_upload_without_parts_and_one_that_ended(store: Store, client: ObjectStoreClient, bucket: str) -> None:
    upload_id = client.create_multipart_upload(bucket, "key")
    facts = read_facts(store, bucket, UploadRef("key", upload_id))
    assert (facts.parts, facts.bytes, facts.last_part_at, facts.smallest_inner) == (0, 0, None, None)
    client.abort_multipart_upload(bucket, "key", upload_id)
    with pytest.raises(ObjectStoreError) as caught:
        read_facts(store, bucket, UploadRef("key", upload_id))
    assert is_gone(caught.value)
