"""A new bucket on the OSS test server, through the vendor's client."""

from __future__ import annotations

import pytest

from tests.oss.vendor import Uploads
from tests.stores.oss import OssStore


@pytest.fixture
def uploads(oss_store: OssStore) -> Uploads:
    return Uploads(oss_store, oss_store.new_bucket())
