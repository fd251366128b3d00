"""Users of existing installations keep what they could do when roles become grants."""

from __future__ import annotations

from tests.migrations.conftest import Migrate
from uploads.domain.roles import Role

BEFORE = "0029_append_only_audit"
AFTER = "0030_grants"


def test_users_become_operators_of_all_stores(migrate: Migrate) -> None:
    users = migrate(BEFORE).get_model("auth", "User").objects
    for name, is_staff in (("olga", False), ("oskar", False), ("ada", True)):
        users.create(username=name, is_staff=is_staff)
    grants = migrate(AFTER).get_model("uploads", "Grant").objects
    values = grants.values_list("user__username", "group", "role", "store", "bucket", "prefix", "all_transfers")
    everywhere = (None, Role.OPERATOR, None, "", "", False)
    assert set(values) == {("olga", *everywhere), ("oskar", *everywhere)}
