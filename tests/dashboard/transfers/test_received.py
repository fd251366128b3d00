"""The digests of what a transfer has received, with which a browser compares its file before it resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page
from uploads.domain.states import PartState
from uploads.models import Store, Transfer
from uploads.objectstore.checksums import Crc64, as_hex
from uploads.services.transfers.receive.digests import received_ranges

DATA = b"0123456789abcdefghijABCDEFGHIJ"


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


@pytest.fixture
def transfer(operator: User) -> Transfer:
    """Three parts of 10 bytes: one is in the store, one is staged, and three bytes of the last one have arrived."""
    store = Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")
    facts: dict[str, Any] = {"size": 30, "part_size": 10, "part_count": 3, "node": "test-node", "resumable": True}
    transfer = make_transfer(operator, store, sent=1, staged=1, **facts)
    transfer.parts.filter(state=PartState.SENT).update(crc64=crc64(DATA[:10]))
    transfer.folder.make()
    transfer.folder.whole(2).write_bytes(DATA[10:20])
    transfer.folder.partial(3).write_bytes(DATA[20:23])
    return transfer


def crc64(data: bytes) -> str:
    digest = Crc64("nvme")
    digest.update(data)
    return as_hex(digest.value)


def request(client: Client, transfer: Transfer, start: object = 0) -> Page:
    return Page(client.get(f"/transfers/{transfer.pk}/received/", {"from": str(start)}))


def test_every_received_byte_has_a_digest(operator_client: Client, transfer: Transfer) -> None:
    assert request(operator_client, transfer).json == {
        "algorithm": "nvme",
        "ranges": [
            {"start": 0, "size": 10, "crc64": crc64(DATA[:10])},
            {"start": 10, "size": 10, "crc64": crc64(DATA[10:20])},
            {"start": 20, "size": 3, "crc64": crc64(DATA[20:23])},
        ],
        "next": None,
    }
    assert [each["start"] for each in request(operator_client, transfer, 15).json["ranges"]] == [10, 20]
    assert request(operator_client, transfer, 30).json["ranges"] == []


def test_bytes_that_wait_for_their_checksum_do_not_count(operator_client: Client, transfer: Transfer) -> None:
    transfer.folder.mark_unverified(21)
    assert request(operator_client, transfer).json["ranges"][-1] == {
        "start": 20,
        "size": 1,
        "crc64": crc64(DATA[20:21]),
    }


def test_a_part_that_leaves_staging_meanwhile_has_the_digest_of_its_row(
    operator_client: Client, transfer: Transfer
) -> None:
    transfer.folder.whole(2).unlink()
    transfer.parts.filter(number=2).update(state=PartState.SENT, crc64=crc64(DATA[10:20]))
    assert [each["crc64"] for each in request(operator_client, transfer).json["ranges"]][1] == crc64(DATA[10:20])


def test_one_response_reads_a_bounded_number_of_bytes_and_parts(transfer: Transfer) -> None:
    first = received_ranges(transfer, 0, budget=5, limit=1000)
    assert ([each.start for each in first.ranges], first.next_start) == ([0, 10], 20)
    assert [each.start for each in received_ranges(transfer, 20, budget=5, limit=1000).ranges] == [20]
    by_parts = received_ranges(transfer, 0, budget=1000, limit=1)
    assert ([each.start for each in by_parts.ranges], by_parts.next_start) == ([0], 10)


def test_statements_do_not_grow_with_the_parts(
    transfer: Transfer, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        received_ranges(transfer, 0, budget=1000, limit=1000)


@pytest.mark.parametrize("start", ["-1", "x", "", "9" * 30, "١"])
def test_invalid_offset_is_refused(operator_client: Client, transfer: Transfer, start: str) -> None:
    page = request(operator_client, transfer, start)
    assert (page.status, page.json["error"]["code"]) == (400, "InvalidArgument")


def test_only_the_owner_compares(administrator_client: Client, transfer: Transfer) -> None:
    assert request(administrator_client, transfer).status == 404


def test_another_node_has_the_staged_bytes(operator_client: Client, transfer: Transfer) -> None:
    Transfer.objects.update(node="elsewhere")
    assert request(operator_client, transfer).status == 503
