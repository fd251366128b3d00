"""Addresses of webhooks that were stored as plain text are encrypted, and can be decrypted again to go back."""

from __future__ import annotations

from django.db import connection

from tests.migrations.conftest import Migrate
from uploads.models.fields import opened

BEFORE = "0049_lifecycle_readings"
AFTER = "0050_encrypted_webhooks"
ADDRESS = "https://hooks.slack.com/services/T0/B0/a-secret"


def stored() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, webhook_url FROM uploads_alertrule")
        return dict(cursor.fetchall())


def test_addresses_are_encrypted_and_decrypted(migrate: Migrate) -> None:
    rules = migrate(BEFORE).get_model("uploads", "AlertRule").objects
    for name, address in (("one", ADDRESS), ("other", f"{ADDRESS}2"), ("by mail", "")):
        rules.create(name=name, what="bytes", threshold=1, webhook_url=address)
    plain = stored()
    rules = migrate(AFTER).get_model("uploads", "AlertRule").objects
    assert "slack" not in str(stored())
    found = {rule.name: opened(rule.webhook_url) for rule in rules.all()}
    assert found == plain == {"one": ADDRESS, "other": f"{ADDRESS}2", "by mail": ""}
    migrate(BEFORE)
    assert stored() == plain
