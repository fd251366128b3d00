"""The upper bound of a node's reservations: it is never too low, and it never decides otherwise than their sum."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from uploads.domain.states import PartState
from uploads.models import Part, StagingNode, Store, Transfer
from uploads.services.staging import nodes, quota
from uploads.services.transfers.lost_bytes import stage_again

NODE = "test-node"
Make = Callable[..., Transfer]


@pytest.fixture
def make(user: User, transactional_db: None) -> Make:
    """A resumable transfer of one part, of 100 bytes."""
    store = Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    StagingNode.objects.create(name=NODE)

    def make_transfer(size: int = 100, **values: Any) -> Transfer:
        facts = {"size": size, "part_size": size, "part_count": 1, "bucket": "b", "key": "k"}
        known = {"node": NODE, "resumable": True, "received_at": timezone.now()}
        return Transfer.objects.create(owner=user, store=store, **facts | known | values)

    return make_transfer


def bound() -> int | None:
    return StagingNode.objects.values_list("reserved_at_most", flat=True).get(name=NODE)


def reserve(transfer: Transfer) -> bool:
    return bool(quota.reserve(transfer, transfer.plan.part(1)))


def release(transfer: Transfer) -> None:
    part = transfer.parts.get()
    Part.objects.filter(pk=part.pk).update(state=PartState.SENT)
    quota.release(part)


def sums_of(act: Callable[[], object]) -> int:
    """How often the reservations are added up."""
    with CaptureQueriesContext(connection) as captured:
        act()
    return sum("SUM(" in query["sql"] for query in captured.captured_queries)


def test_reservations_are_added_up_once_while_space_is_ample(make: Make) -> None:
    assert bound() is None
    assert [sums_of(lambda: reserve(make())) for _ in range(5)] == [1, 0, 0, 0, 0]
    assert bound() == quota.reserved_bytes(NODE) == 500


def test_released_bytes_can_be_reserved_again(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 1000, 1000
    transfers = [make() for _ in range(10)]
    assert all(reserve(each) for each in transfers)
    for each in transfers:
        release(each)
    assert bound() == 1000
    assert sums_of(lambda: reserve(make())) == 1
    assert bound() == 100


def test_bound_of_several_parts_counts_those_that_are_reserved_ahead(make: Make) -> None:
    reserve(make())
    large = make(size=400, part_size=100, part_count=4)
    assert sums_of(lambda: reserve(large)) == 0
    assert bound() == quota.reserved_bytes(NODE) == 500


def test_transfer_that_waits_has_a_claim_whatever_the_bound_is(make: Make) -> None:
    reserve(make())
    waits = make(size=1000, quota_refused_at=timezone.now())
    assert sums_of(lambda: reserve(make())) >= 1
    assert sums_of(lambda: reserve(waits)) == 0  # Its own claim is not in its way.
    assert sums_of(lambda: reserve(make())) == 0


def test_limit_of_a_user_holds(make: Make, settings: Settings) -> None:
    settings.USER_RESERVED_BYTES = 250
    assert reserve(make())
    assert reserve(make())
    with pytest.raises(quota.UserLimit):
        reserve(make())
    assert quota.reserved_bytes(NODE) == 200


def test_sender_has_the_reservations_added_up_again(make: Make) -> None:
    """What an earlier error may have left too high or too low does not stay."""
    assert nodes.beat(is_sender=True) is False
    reserve(make())
    nodes.beat(is_sender=False)
    assert bound() == 100
    nodes.beat(is_sender=True)
    assert bound() is None
    assert sums_of(lambda: reserve(make())) == 1
    assert bound() == 200


def test_node_without_a_row_has_its_reservations_added_up(make: Make, settings: Settings) -> None:
    StagingNode.objects.all().delete()
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 250, 250
    assert [reserve(make()) for _ in range(2)] == [True, True]
    assert quota.reserved_bytes(NODE) == 200


def test_bytes_that_are_staged_again_are_counted(make: Make) -> None:
    transfer = make()
    assert reserve(transfer)
    Part.objects.update(state=PartState.SENT, reserved_bytes=0)
    stage_again(transfer.parts.all())
    assert quota.reserved_bytes(NODE) == 100
    assert bound() == 200
    Part.objects.update(state=PartState.SENT)
    stage_again(transfer.parts.all())
    assert bound() == 200


@pytest.mark.parametrize("seed", range(5))
def test_bound_never_changes_what_is_decided(make: Make, settings: Settings, seed: int) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 2000, 2000
    chance, staged = random.Random(seed), list[Transfer]()
    for _ in range(60):
        if staged and chance.random() < 0.4:
            release(staged.pop(chance.randrange(len(staged))))
            continue
        if chance.random() < 0.1:
            StagingNode.objects.update(reserved_at_most=None)
        Transfer.objects.update(quota_refused_at=None)
        transfer, taken = make(chance.randint(1, 600)), quota.reserved_bytes(NODE)
        try:
            is_reserved = reserve(transfer)
        except quota.UserLimit:
            is_reserved = False
        assert is_reserved == (taken + transfer.size <= 2000)
        staged += [transfer] if is_reserved else []
        known = bound()
        assert known is None or known >= quota.reserved_bytes(NODE)
        assert quota.reserved_bytes(NODE) <= 2000


def test_reservations_at_once_never_exceed_the_quota(make: Make, settings: Settings) -> None:
    settings.STAGING_QUOTA, settings.USER_RESERVED_BYTES = 1000, 1000

    def reserve_alone(transfer: Transfer) -> bool:
        try:
            return reserve(transfer)
        except quota.UserLimit:
            return False
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        reserved = list(pool.map(reserve_alone, [make() for _ in range(24)]))
    assert reserved.count(True) == 10
    assert quota.reserved_bytes(NODE) == 1000
    known = bound()
    assert known is not None
    assert known >= 1000
