"""Stored secrets: decrypted when they are used, encrypted with another key while other processes run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from uploads.domain.store_health import StoreHealth
from uploads.models import AlertRule, AuditEntry, Store, Transfer
from uploads.models.fields import Sealed, SecretUnreadable, opened
from uploads.objectstore.errors import NotSent, Reason
from uploads.services.stores import keys
from uploads.services.stores.settings import StoreValues, change_store
from uploads.services.work.attempts import next_attempt

pytestmark = pytest.mark.django_db

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()

Add = Callable[..., Store]


@pytest.fixture
def add(settings: Settings) -> Add:
    """Add a store whose secrets are encrypted with a key. CREDENTIALS_KEYS stay as they are."""

    def add(name: str, key: str, session_token: str = "") -> Store:
        before, settings.CREDENTIALS_KEYS = settings.CREDENTIALS_KEYS, [key]
        Store.objects.create(
            name=name,
            endpoint_url="http://192.0.2.1",
            access_key="a",
            secret_key=f"the secret of {name}",
            session_token=session_token,
        )
        settings.CREDENTIALS_KEYS = before
        return Store.objects.get(name=name)

    return add


def stored() -> dict[str, tuple[str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, secret_key, session_token FROM uploads_store")
        return {name: (secret, token) for name, secret, token in cursor.fetchall()}


def rotate() -> tuple[str, str]:
    """The output and the error of the command."""
    output = StringIO()
    try:
        call_command("rotate_credentials", stdout=output)
    except CommandError as error:
        return output.getvalue(), str(error)
    return output.getvalue(), ""


def test_secret_is_decrypted_when_it_is_used_and_not_before(settings: Settings, add: Add) -> None:
    store = add("s", OLD)
    assert isinstance(store.secret_key, Sealed)
    assert "the secret" not in repr(store.secret_key)
    store.refresh_from_db()
    store.region = "elsewhere"
    before = stored()
    store.save()
    assert stored() == before, "a row can be loaded and saved without its key"
    with pytest.raises(NotSent) as caught:
        store.config()
    assert caught.value.reason is Reason.SECRET_UNREADABLE
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    assert store.config().credentials.secret_key == "the secret of s"
    assert Store.objects.get().secret_key == store.secret_key


def test_empty_value_is_not_encrypted_and_an_export_contains_no_secret(settings: Settings, add: Add) -> None:
    settings.CREDENTIALS_KEYS = [OLD]
    store = add("s", OLD)
    assert stored()["s"][1] == ""
    assert store.secret_key != ""
    exported = serializers.serialize("json", [store])
    assert "the secret" not in exported
    assert stored()["s"][0] not in exported


def test_work_waits_for_the_secret_and_fails_after_a_day(add: Add) -> None:
    error = NotSent("", reason=Reason.SECRET_UNREADABLE)
    assert next_attempt(Transfer(), error) is not None
    assert next_attempt(Transfer(failing_since=timezone.now() - timedelta(hours=25)), error) is None


def test_store_is_shown_as_such_and_gets_a_new_secret(settings: Settings, add: Add) -> None:
    settings.CREDENTIALS_KEYS = [NEW]
    store = add("s", OLD, session_token="a token")
    assert store.shown_health is StoreHealth.SECRET_UNREADABLE
    values = StoreValues(name="s", endpoint_url=store.endpoint_url, access_key="a")
    with pytest.raises(ValidationError) as caught:
        change_store(None, store, values)
    assert set(caught.value.message_dict) == {"secret_key", "session_token"}
    changed = change_store(None, store, replace(values, secret_key="another", clear_session_token=True))
    assert {"secret_key", "session_token"} <= set(changed.fields)
    assert changed.store.shown_health is StoreHealth.NEVER_TRIED
    assert changed.store.config().credentials.secret_key == "another"


def test_rotation_encrypts_everything_with_the_first_key_and_can_be_repeated(
    settings: Settings, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "BATCH", 2)
    for number in range(5):
        add(f"s{number}", OLD, session_token="a token" if number else "")
    updated = dict(Store.objects.values_list("name", "updated_at"))
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    output, error = rotate()
    assert "uploads.Store: 9 rotated, 0 had the first key already" in output
    assert AuditEntry.objects.get(action="secrets.rotated").detail == {"rotated": 9, "failed": 0}
    assert "Key 2 of CREDENTIALS_KEYS decrypts no stored secret" in output
    assert not error
    assert dict(Store.objects.values_list("name", "updated_at")) == updated, "open forms stay valid"
    settings.CREDENTIALS_KEYS = [NEW]
    assert {opened(store.secret_key) for store in Store.objects.all()} == {f"the secret of s{n}" for n in range(5)}
    assert "0 rotated, 9 had the first key already" in rotate()[0]


def test_webhooks_of_alerts_are_rotated(settings: Settings) -> None:
    settings.CREDENTIALS_KEYS = [OLD]
    AlertRule.objects.create(
        name="r", what="bytes", threshold=1, webhook_url="https://example.org/x", webhook_secret="s"
    )
    AlertRule.objects.create(name="by mail", what="bytes", threshold=1)
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    assert "uploads.AlertRule: 2 rotated, 0 had the first key already" in rotate()[0]
    settings.CREDENTIALS_KEYS = [NEW]
    rule = AlertRule.objects.get(name="r")
    assert (opened(rule.webhook_url), opened(rule.webhook_secret)) == ("https://example.org/x", "s")


def test_rotation_names_what_no_key_decrypts_and_rotates_the_rest(settings: Settings, add: Add) -> None:
    add("lost", Fernet.generate_key().decode())
    add("known", OLD)
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    before = stored()["lost"]
    output, error = rotate()
    assert "1 rotated" in output
    assert "1 cannot be decrypted" in output
    assert "No key decrypts the secrets of: lost." in error
    assert stored()["lost"] == before
    with pytest.raises(SecretUnreadable):
        opened(Store.objects.get(name="lost").secret_key)


def test_secret_that_is_changed_during_the_rotation_stays(
    settings: Settings, add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    store = add("s", OLD)
    decrypts = keys._decrypts

    def change_meanwhile(key: Fernet, token: str) -> bool:
        Store.objects.filter(pk=store.pk).update(secret_key="entered now")
        return decrypts(key, token)

    with monkeypatch.context() as patch:
        patch.setattr(keys, "_decrypts", change_meanwhile)
        done = keys.rotate()
    assert [(each.rotated, each.changed) for each in done if each.model == "uploads.Store"] == [(0, 1)]
    assert Store.objects.get().secret_key == "entered now"


def test_keys_that_decrypt_nothing_are_named(settings: Settings, add: Add) -> None:
    settings.CREDENTIALS_KEYS = [NEW, OLD]
    assert keys.unused_keys() == []
    add("s", OLD)
    assert keys.unused_keys() == [1]
    add("t", NEW)
    assert keys.unused_keys() == []
