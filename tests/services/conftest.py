"""Tests of the services use a real store and do the work of the workers themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from tests.grants import make_operator
from tests.services.drive import Drive
from tests.stores.any_store import add
from tests.stores.running import RunningStore
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.services.stores.clients import client_for


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


@pytest.fixture
def user(transactional_db: None) -> User:
    return make_operator("olga")


@pytest.fixture
def store(transactional_db: None, any_store: RunningStore) -> Store:
    return add(any_store)


@pytest.fixture
def bucket(any_store: RunningStore) -> str:
    return any_store.new_bucket()


@pytest.fixture
def client(store: Store) -> ObjectStoreClient:
    return client_for(store)


@pytest.fixture
def drive(user: User, store: Store, bucket: str) -> Drive:
    return Drive(user, store, bucket)


@pytest.fixture
def read_object(any_store: RunningStore, bucket: str) -> Callable[[str], bytes]:
    """Returns the bytes of an object, read with boto3."""
    return object_reader(any_store, bucket)


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
