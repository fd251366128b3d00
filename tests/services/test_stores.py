"""Adding stores by command: secrets only by environment, encrypted at rest, out of every log."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from uploads.models import AuditEntry, Store

pytestmark = pytest.mark.django_db(transaction=True)
GIVEN = ["--endpoint-url", "http://store:9000", "--access-key", "AK", "--provider", "minio"]


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STORE_SECRET_KEY", "a-very-secret-key")
    return "a-very-secret-key"


def add(*arguments: str) -> str:
    out = StringIO()
    call_command("add_store", "mine", *arguments, stdout=out)
    return out.getvalue()


def test_add_and_update(secret: str) -> None:
    assert "Added store mine" in add(*GIVEN, "--bucket", "one", "--bucket", "two")
    store = Store.objects.get(name="mine")
    assert (store.secret_key, store.provider, store.addressing) == (secret, "minio", "path")
    assert [bucket.name for bucket in store.named_buckets.all()] == ["one", "two"]
    assert "Changed store mine" in add("--update", "--region", "eu-1")
    store.refresh_from_db()
    assert (store.region, store.secret_key, store.endpoint_url) == ("eu-1", secret, "http://store:9000")
    assert store.named_buckets.count() == 2


def test_the_secret_is_encrypted_and_never_shown(secret: str) -> None:
    shown = add(*GIVEN)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret_key FROM uploads_store")
        (stored,) = cursor.fetchone()
    assert secret not in stored + shown
    assert secret not in repr(Store.objects.get().config())
    assert secret not in str(list(AuditEntry.objects.values()))
    assert AuditEntry.objects.get().action == "store.added"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--access-key", "AK"], "--endpoint-url is needed"),
        (["--endpoint-url", "ftp://x", "--access-key", "AK"], "http or https URL"),
        (["--endpoint-url", "http://u:p@x", "--access-key", "AK"], "do not belong"),
        ([*GIVEN, "--update"], "no store 'mine' to change"),
        ([*GIVEN, "--signature", "sigv2"], "invalid choice"),
    ],
)
def test_bad_values_change_nothing(arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        add(*arguments)
    assert not Store.objects.exists()


def test_a_secret_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORE_SECRET_KEY")
    with pytest.raises(CommandError, match="STORE_SECRET_KEY"):
        add(*GIVEN)


def test_the_same_name_twice_is_refused() -> None:
    add(*GIVEN)
    with pytest.raises(CommandError, match="--update"):
        add(*GIVEN)
