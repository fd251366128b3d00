"""What `make run` writes to the database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from local import site
from local.installation import Folder, Kept
from uploads.models import AuditEntry, Store

URL = "http://127.0.0.1:20001"
MOVED_URL = "http://127.0.0.1:20002"

pytestmark = pytest.mark.django_db


@pytest.fixture
def var(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "var")
    folder.make()
    return folder


def test_admin_is_created_once_and_its_password_is_kept_to_be_shown(var: Folder) -> None:
    assert site.create_admin(var, "")
    assert not site.create_admin(var, "")
    note = json.loads(var.first_login.read_text())
    admin = User.objects.get()
    assert admin.is_superuser
    assert admin.check_password(note["password"])
    assert var.first_login.stat().st_mode & 0o777 == 0o600


def test_given_password_is_used_and_not_kept(var: Folder) -> None:
    site.create_admin(var, "given by hand")
    assert User.objects.get().check_password("given by hand")
    assert "given by hand" not in var.first_login.read_text()


def test_store_is_added_with_an_audit_entry() -> None:
    site.add_store(URL, Kept(store_secret_key="secret"), first=True)
    store = Store.objects.get()
    assert (store.name, store.endpoint_url, store.secret_key) == ("demo", URL, "secret")
    assert AuditEntry.objects.get().action == "store.added"


def test_store_changes_only_with_its_port() -> None:
    kept = Kept(store_secret_key="secret")
    site.add_store(URL, kept, first=True)
    site.add_store(URL, kept, first=False)
    assert AuditEntry.objects.count() == 1
    site.add_store(MOVED_URL, kept, first=False)
    assert Store.objects.get().endpoint_url == MOVED_URL
    assert AuditEntry.objects.count() == 2


def test_deleted_store_is_not_added_again() -> None:
    site.add_store(URL, Kept(), first=False)
    assert not Store.objects.exists()
