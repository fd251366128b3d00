"""Migrations that change the stored values of stores."""

from __future__ import annotations

from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection

from uploads.models import Store, StoreCheck

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("before", "after"), [("auto", "unsigned"), ("unsigned", "unsigned"), ("signed", "signed")])
def test_payload_signing_auto_becomes_unsigned(before: str, after: str) -> None:
    store = Store.objects.create(
        name="migrated", endpoint_url="https://s3.example.org", access_key="a", secret_key="s", payload_signing=before
    )
    import_module("uploads.migrations.0009_payload_signing").replace_auto(apps, None)
    store.refresh_from_db()
    assert store.payload_signing == after


@pytest.mark.parametrize("is_md5", [True, False])
def test_check_that_found_no_md5s_overrides_the_generic_profile(is_md5: bool) -> None:
    """The profile said so until then, so that the check did not have to override it."""
    store = Store.objects.create(
        name="migrated", endpoint_url="https://s3.example.org", access_key="a", secret_key="s", provider="generic"
    )
    results = [{"name": "part-etag", "flag": ["etag_is_md5", is_md5]}, {"name": "order"}]
    StoreCheck.objects.create(store=store, bucket="b", state="done", provider="generic", results=results)
    import_module("uploads.migrations.0013_etags").keep_findings(apps, SimpleNamespace(connection=connection))
    store.refresh_from_db()
    assert store.overrides == ({} if is_md5 else {"etag_is_md5": False})
