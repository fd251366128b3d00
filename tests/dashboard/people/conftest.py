"""People and stores for the pages of people. No page here asks a store."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.grants import grant
from uploads.domain.roles import Role
from uploads.models import Store


@pytest.fixture
def store(db: None) -> Store:
    return Store.objects.create(name="swift", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def other_store(db: None) -> Store:
    return Store.objects.create(name="ceph", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


@pytest.fixture
def ada(db: None) -> User:
    """An administrator, who can sign in."""
    user = User.objects.create(username="ada", is_staff=True, email="ada@example.com")
    user.set_password("ada's own password")
    user.save()
    return user


@pytest.fixture
def olga(db: None) -> User:
    """A user without a role."""
    return User.objects.create(username="olga", password="x", email="olga@example.com")


@pytest.fixture
def stella(db: None, store: Store) -> User:
    """The administrator of the store `swift`."""
    user = User.objects.create(username="stella", password="x")
    grant(user, Role.STORE_ADMINISTRATOR, store=store)
    return user


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def as_ada(ada: User) -> Client:
    return signed_in(ada)


@pytest.fixture
def as_stella(stella: User) -> Client:
    return signed_in(stella)
