"""Addresses of webhooks that were stored as plain text are encrypted, and can be decrypted again to go back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from uploads.models import AlertRule
from uploads.models.fields import opened

OLD = [("uploads", "0049_lifecycle_readings")]
ADDRESS = "https://hooks.slack.com/services/T0/B0/a-secret"


@pytest.fixture
def before(transactional_db: None) -> Iterator[None]:
    """The database as it was when addresses were plain text."""
    MigrationExecutor(connection).migrate(OLD)
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def stored() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, webhook_url FROM uploads_alertrule")
        return dict(cursor.fetchall())


@pytest.mark.usefixtures("before")
def test_addresses_are_encrypted_and_decrypted() -> None:
    rules = MigrationExecutor(connection).loader.project_state(OLD).apps.get_model("uploads", "AlertRule").objects
    for name, address in (("one", ADDRESS), ("other", f"{ADDRESS}2"), ("by mail", "")):
        rules.create(name=name, what="bytes", threshold=1, webhook_url=address)
    plain = stored()
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    assert "slack" not in str(stored())
    found = {rule.name: opened(rule.webhook_url) for rule in AlertRule.objects.all()}
    assert found == plain == {"one": ADDRESS, "other": f"{ADDRESS}2", "by mail": ""}
    MigrationExecutor(connection).migrate(OLD)
    assert stored() == plain
