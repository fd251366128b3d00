"""Migrations that change the stored values of stores."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps

from uploads.models import Store

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("before", "after"), [("auto", "unsigned"), ("unsigned", "unsigned"), ("signed", "signed")])
def test_payload_signing_auto_becomes_unsigned(before: str, after: str) -> None:
    store = Store.objects.create(
        name="migrated", endpoint_url="https://s3.example.org", access_key="a", secret_key="s", payload_signing=before
    )
    import_module("uploads.migrations.0009_payload_signing").replace_auto(apps, None)
    store.refresh_from_db()
    assert store.payload_signing == after
