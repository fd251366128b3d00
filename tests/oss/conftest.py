"""A bucket of one's own on the OSS test server, by the vendor's client."""

from __future__ import annotations

import pytest

from tests.oss.vendor import Uploads
from tests.stores.oss import OssStore


@pytest.fixture
def uploads(oss_store: OssStore) -> Uploads:
    return Uploads(oss_store, oss_store.new_bucket())
