"""Tests of the services use the real Swift store and do the work of the workers themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.grants import make_operator
from tests.services.drive import Drive
from tests.stores.running import RunningStore
from tests.stores.swift import SwiftStore
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.services.stores.clients import client_for
from uploads.services.stores.settings import StoreValues, add_store


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


@pytest.fixture
def user(transactional_db: None) -> User:
    return make_operator("olga")


@pytest.fixture
def store(transactional_db: None, swift_store: SwiftStore) -> Store:
    return add_store(
        None,
        StoreValues(
            name="swift",
            endpoint_url=swift_store.endpoint_url,
            region=swift_store.region,
            provider="swift",
            access_key=swift_store.access_key,
            secret_key=swift_store.secret_key,
        ),
    )


@pytest.fixture
def bucket(swift_store: SwiftStore) -> str:
    return swift_store.new_bucket()


@pytest.fixture
def client(store: Store) -> ObjectStoreClient:
    return client_for(store)


@pytest.fixture
def drive(user: User, store: Store, bucket: str) -> Drive:
    return Drive(user, store, bucket)


@pytest.fixture
def read_object(swift_store: SwiftStore, bucket: str) -> Callable[[str], bytes]:
    """Returns the bytes of an object, read with boto3."""
    return object_reader(swift_store, bucket)


def object_reader(store: RunningStore, bucket: str) -> Callable[[str], bytes]:
    """A function that reads the bytes of an object with boto3."""
    import boto3
    from botocore.config import Config

    s3 = boto3.client(
        "s3",
        endpoint_url=store.endpoint_url,
        region_name=store.region,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    return lambda key: s3.get_object(Bucket=bucket, Key=key)["Body"].read()
