"""What the overview shows of transfers is found without reading those that have ended."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.services.inventory.plans import plan_of
from uploads.domain.states import DesiredState, Phase, StoreUploadState
from uploads.models import Store, StoreUpload, Transfer
from uploads.selectors.transfers import possible_orphans, transfers_in_progress

pytestmark = pytest.mark.django_db

MANY = 3000


@pytest.fixture
def ada() -> User:
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def store(ada: User) -> Store:
    """A store with many transfers that have ended."""
    store = Store.objects.create(name="s", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    phases = [Phase.DONE, Phase.CANCELLED, Phase.FAILED]
    now = timezone.now()
    ended = [new(ada, store, number, phase=phases[number % 3], finished_at=now) for number in range(MANY)]
    Transfer.objects.bulk_create(ended)
    StoreUpload.objects.bulk_create(
        StoreUpload(transfer=each, upload_id=each.key, state=StoreUploadState.COMPLETED) for each in ended
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return store


def new(owner: User, store: Store, number: int, **values: object) -> Transfer:
    facts = {"bucket": "photos", "key": f"k{number}", "size": 1, "part_size": 1, "part_count": 1, "node": "n"}
    return Transfer(owner=owner, store=store, all_received=True, **facts, **values)


def plans(captured: CaptureQueriesContext) -> str:
    return "\n".join(plan_of(query["sql"]) for query in captured.captured_queries)


def assert_reads_few(plan: str) -> None:
    """No plan reads a table as a whole, unless an index has only the rows that are shown."""
    for line in plan.splitlines():
        assert "Seq Scan on uploads_" not in line or "uploads_store " in line, plan
        is_whole = "SCAN uploads_transfer" in line or "SCAN uploads_storeupload" in line
        assert not is_whole or line.endswith("store_upload_suspect"), plan


def test_transfers_in_progress_are_found_by_an_index(ada: User, store: Store) -> None:
    live = [new(ada, store, number, phase=Phase.SENDING) for number in range(3)]
    cancelling = new(ada, store, 9, phase=Phase.FAILED, desired_state=DesiredState.CANCEL, finished_at=timezone.now())
    for each in (*live, cancelling):
        each.save()
    with CaptureQueriesContext(connection) as captured:
        found = transfers_in_progress(ada, 10)
    assert found == [cancelling, *reversed(live)]
    assert transfers_in_progress(ada, 2) == [cancelling, live[2]]
    assert len(captured) == 2
    assert_reads_few(plans(captured))


def test_possible_orphans_are_found_by_an_index(ada: User, store: Store) -> None:
    transfer = Transfer.objects.order_by("pk").first()
    assert transfer
    suspect = StoreUpload.objects.create(transfer=transfer, upload_id="lost", state=StoreUploadState.SUSPECT)
    with CaptureQueriesContext(connection) as captured:
        assert list(possible_orphans(ada)) == [suspect]
    assert_reads_few(plans(captured))
