"""Tests whose result depends on the database run on PostgreSQL too: conditional updates, locks, plans, migrations."""

from __future__ import annotations

import pytest

from tests.on_postgresql import run_again
from tests.stores.postgresql import Cluster

FILES = (
    "tests/dashboard/test_full_database.py",
    "tests/dashboard/transfers/test_statements_of_polls.py",
    "tests/dashboard/transfers/test_together.py",
    "tests/dashboard/transfers/test_work_per_file.py",
    "tests/database/test_prepared.py",
    "tests/migrations/test_audit_columns.py",
    "tests/migrations/test_encrypted_webhooks.py",
    "tests/services/ended/test_ends_at_once.py",
    "tests/services/inventory/test_inventory_pages.py",
    "tests/services/inventory/test_judging.py",
    "tests/services/inventory/test_objects.py",
    "tests/services/inventory/test_scan_order.py",
    "tests/services/lists/test_list_plans.py",
    "tests/services/lists/test_overview_plans.py",
    "tests/services/operations/test_together.py",
    "tests/services/operations/test_unknown_outcomes.py",
    "tests/services/people/test_at_once.py",
    "tests/services/sso/test_identities.py",
    "tests/services/staging/test_upper_bound.py",
    "tests/services/stores/test_health.py",
    "tests/services/stores/test_silence.py",
    "tests/services/test_audit_pages.py",
    "tests/services/test_search_box.py",
    "tests/services/test_strange_values.py",
    "tests/services/transfers/test_first_bytes.py",
    "tests/services/transfers/test_open_limit.py",
    "tests/services/transfers/unknown_outcomes/test_create.py",
    "tests/services/transfers/unknown_outcomes/test_etags.py",
    "tests/services/transfers/unknown_outcomes/test_replaced_parts.py",
    "tests/services/transfers/unknown_outcomes/test_small_files.py",
    "tests/services/transfers/unknown_outcomes/test_verification.py",
    "tests/services/upkeep/test_audit_retention.py",
    "tests/services/upkeep/test_retention.py",
    "tests/services/upkeep/test_rounds.py",
    "tests/services/work/test_internal_errors.py",
    "tests/services/work/test_lost_workers.py",
    "tests/test_access.py",
)


@pytest.mark.timeout(1800)
def test_on_postgresql(postgresql_cluster: Cluster) -> None:
    run_again(FILES[0], postgresql_cluster, *FILES[1:])
