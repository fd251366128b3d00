"""Users of existing installations keep what they could do when roles become grants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from uploads.domain.roles import Role
from uploads.models import Grant


@pytest.fixture
def before(transactional_db: None) -> Iterator[None]:
    """The database as it was before there were grants."""
    MigrationExecutor(connection).migrate([("uploads", "0029_append_only_audit")])
    yield
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


@pytest.mark.usefixtures("before")
def test_users_become_operators_of_all_stores() -> None:
    old = MigrationExecutor(connection).loader.project_state([("uploads", "0029_append_only_audit")]).apps
    users = old.get_model("auth", "User").objects
    for name, is_staff in (("olga", False), ("oskar", False), ("ada", True)):
        users.create(username=name, is_staff=is_staff)
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())
    grants = Grant.objects.select_related("user")
    assert {each.user.username for each in grants if each.user} == {"olga", "oskar"}
    assert {(each.role, each.scope.is_everywhere, each.all_transfers) for each in grants} == {
        (Role.OPERATOR, True, False)
    }
