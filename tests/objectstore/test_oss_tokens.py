"""Temporary STS credentials, on the only test server that supports them."""

from __future__ import annotations

import pytest

from tests.stores.oss import OssStore
from tests.stores.oss.accounts import Account
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import Reason, Refused
from uploads.objectstore.types import Credentials, StoreConfig


def client_of(store: OssStore, account: Account, token: str | None) -> ObjectStoreClient:
    credentials = Credentials(account.access_key, account.secret_key, token)
    config = StoreConfig(
        store.endpoint_url, store.region, credentials, provider="oss", addressing="virtual", signature="oss4"
    )
    return ObjectStoreClient(config)


def test_valid_token_is_accepted(oss_store: OssStore) -> None:
    bucket, account = oss_store.new_bucket(), oss_store.new_account(temporary=True)
    with client_of(oss_store, account, account.token) as client:
        upload_id = client.create_multipart_upload(bucket, "k")
        assert [each.upload_id for each in client.list_multipart_uploads(bucket).uploads] == [upload_id]


@pytest.mark.parametrize(
    ("expired", "token", "reason"),
    [
        (True, "its own", Reason.CREDENTIALS_EXPIRED),
        (False, "another", Reason.CREDENTIALS),
        (False, None, Reason.CREDENTIALS),
    ],
)
def test_invalid_token_is_refused(oss_store: OssStore, expired: bool, token: str | None, reason: Reason) -> None:
    bucket, account = oss_store.new_bucket(), oss_store.new_account(temporary=True, expired=expired)
    given = account.token if token == "its own" else token
    with client_of(oss_store, account, given) as client, pytest.raises(Refused) as caught:
        client.list_multipart_uploads(bucket)
    assert caught.value.reason is reason
