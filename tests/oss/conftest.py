"""New buckets on the OSS test server: through the vendor's client, and with raw requests."""

from __future__ import annotations

import pytest

from tests.oss.vendor import Uploads
from tests.oss.wire import BucketClient
from tests.stores.oss import OssStore


@pytest.fixture
def uploads(oss_store: OssStore) -> Uploads:
    return Uploads(oss_store, oss_store.new_bucket())


@pytest.fixture(scope="module")
def client(oss_store: OssStore) -> BucketClient:
    return BucketClient(oss_store, oss_store.new_bucket())
