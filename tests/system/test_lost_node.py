"""Two nodes on PostgreSQL, one Redis and one store: one is lost with staged bytes, and comes back with them or without.

Partway runs on the node `one`, whose pages the tests look at. Browsers send to the node `two`, which is killed.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tests.stores.postgresql import Cluster
from tests.system import stack as stacks
from tests.system.second_node import SecondNode
from tests.system.stack import Operator, Stack, wait_for
from tests.system.tus import PART, Tus, content, transfer_id

SETTINGS = {
    "NODE_NAME": "one",
    "NODE_SILENT_SECONDS": "4",
    "STORE_STALL_SECONDS": "3",
    "LEASE_SECONDS": "4",
    "LOST_MESSAGE_SECONDS": "2",
    "WATCH_SECONDS": "1",
}
"""Short times, so that a lost node is noticed after seconds."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, postgresql_cluster: Cluster) -> Iterator[Stack]:
    env = {**SETTINGS, "DATABASE_URL": postgresql_cluster.migrated_database()}
    with stacks.running(tmp_path_factory.mktemp("one"), env) as running:
        yield running


@pytest.fixture(scope="module")
def two(installation: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondNode]:
    """The second node. A test that kills processes of it leaves them dead."""
    node = SecondNode(installation, tmp_path_factory.mktemp("two"))
    yield node
    node.stop()


@pytest.fixture
def one(installation: Stack) -> Iterator[Operator]:
    with installation.signed_in() as operator:
        yield operator


@pytest.fixture
def sender(installation: Stack, two: SecondNode) -> Iterator[Tus]:
    """A tus client of the second node."""
    two.start()
    wait_for("its sender", lambda: installation.query(SENDER_HEARD, "two"))
    wait_for("an empty disk", lambda: not two.staged_files())
    with two.signed_in(installation) as operator:
        yield Tus(installation, operator, installation.new_bucket())


SENDER_HEARD = "SELECT 1 FROM uploads_stagingnode WHERE name = ? AND sender_heard_at > now() - interval '3 seconds'"
NODE_SILENT = "SELECT 1 FROM uploads_stagingnode WHERE name = ? AND heard_at < now() - interval '4 seconds'"


def stage(sender: Tus, two: SecondNode, parts: int = 3, **more: object) -> str:
    """Have all parts of a file staged on the second node, whose sender is dead. Returns the id of the transfer."""
    two.lose("sender")
    path = sender.start(parts * PART, fingerprint="f", **more)
    assert sender.patch(path, 0, content(0, parts * PART)).status == 204
    assert len(two.staged_files()) == parts
    return transfer_id(path)


def waiting(one: Operator, transfer: str) -> dict[str, Any]:
    return one.wait_for_state(transfer, "waiting-for-node")


def messages(installation: Stack, queue: str) -> int:
    return int(redis.Redis.from_url(installation._plan.redis_url).llen(queue))


def test_pages_say_that_a_node_is_silent_and_it_gets_no_messages(
    installation: Stack, two: SecondNode, sender: Tus, one: Operator
) -> None:
    transfer = stage(sender, two)
    two.lose()
    found = waiting(one, transfer)
    assert (found["node"]["name"], found["steps"]) == ("two", ["cancel", "pause"])
    assert found["node"]["silent_since"] is not None
    assert "node two, which has been silent since" in found["waiting"]
    for path in (f"/transfers/{transfer}/", "/transfers/", "/transfers/?state=waiting-for-node"):
        page = one.session.get(installation.url + path).text
        assert "node two, which has been silent since" in page
        assert "waiting for the node" in page
    overview = one.session.get(installation.url + "/").text
    assert re.search(r"node two, last heard .*1 transfer has bytes on this node", overview, re.DOTALL)
    # A round of the watchdog that takes every message for lost.
    installation.let_time_pass(60)
    before = messages(installation, "node.two")
    installation.let_time_pass(60)
    assert messages(installation, "node.two") == before
    two.start()
    one.wait_for_state(transfer, "done")


def test_transfer_of_a_lost_node_is_cancelled_on_another_one(
    installation: Stack, two: SecondNode, sender: Tus, one: Operator
) -> None:
    transfer = stage(sender, two)
    wait_for("the upload in the store", lambda: installation.uploads_in(sender.bucket))
    two.lose()
    waiting(one, transfer)
    assert one.post(f"/transfers/{transfer}/cancel/").status_code == 200
    one.wait_for_state(transfer, "cancelled")
    assert installation.uploads_in(sender.bucket) == []
    assert len(two.staged_files()) == 3
    two.start("web")
    assert two.staged_files() == []
    reserved = (
        "SELECT sum(reserved_bytes) FROM uploads_part JOIN uploads_transfer t ON t.id = transfer_id WHERE node = ?"
    )
    assert installation.query(reserved, "two") == [(0,)]


def test_tus_names_the_node_and_cancels_on_any_node(
    installation: Stack, two: SecondNode, sender: Tus, one: Operator
) -> None:
    size = 3 * PART
    path = sender.start(size, fingerprint="f")
    assert sender.patch(path, 0, content(0, PART + 9)).status == 204
    here = Tus(installation, one, sender.bucket)
    assert here.head(path).status == 503
    refused = here.patch(path, PART + 9, content(PART + 9, size))
    assert (refused.status, refused.code) == (503, "OtherNode")
    assert "two" in refused.json["error"]["message"]
    created = here.create(size, fingerprint="f")
    assert (created.status, created.code) == (503, "OtherNode")
    two.lose()
    waiting(one, transfer_id(path))
    busy = here.create(size, fingerprint="f")
    assert (busy.status, busy.code) == (409, "KeyBusy")
    assert "on the node two, which has been silent since" in busy.json["error"]["message"]
    assert here.request("DELETE", path).status == 204
    anew = here.start(size, fingerprint="f")
    assert anew != path
    here.send_rest(anew, size)
    one.wait_for_state(transfer_id(anew), "done")
    one.wait_for_state(transfer_id(path), "cancelled")


def test_transfer_with_every_part_in_the_store_is_completed_on_another_node(
    installation: Stack, two: SecondNode, sender: Tus, one: Operator
) -> None:
    size = 3 * PART
    path = sender.start(size)
    assert sender.patch(path, 0, content(0, 2 * PART)).status == 204
    two.lose("worker")
    transfer = transfer_id(path)
    wait_for("two parts in the store", lambda: one.transfer(transfer)["parts"]["sent"] == 2)
    installation.freeze("worker")
    try:
        assert sender.patch(path, 2 * PART, content(2 * PART, size)).status == 204
        wait_for("all parts in the store", lambda: one.transfer(transfer)["parts"]["sent"] == 3)
        two.lose()
    finally:
        installation.thaw("worker")
    one.wait_for_state(transfer, "done")
    assert installation.object_digest(sender.bucket, "file")[0] == size


def test_node_that_comes_back_with_an_empty_disk_waits_for_the_bytes_again(
    installation: Stack, two: SecondNode, sender: Tus, one: Operator
) -> None:
    transfer = stage(sender, two)
    form = sender.operator.send_file(installation.store, sender.bucket, "form", content(0, PART))
    two.lose()
    waiting(one, transfer)
    waiting(one, form)
    # Its web server reported later than its sender, and a name that is in use gets no other disk.
    wait_for("silence of the whole node", lambda: installation.query(NODE_SILENT, "two"))
    shutil.rmtree(two.staging)
    two.start()
    found = wait_for("the report", lambda: one.transfer(transfer)["error"])
    assert found["code"] == "BytesGone"
    assert "3 parts (1-3) are lost: the disk of the node two" in found["message"]
    # The form cannot be sent again.
    failed = one.wait_for_state(form, "failed")
    assert (failed["error"]["code"], failed["steps"]) == ("BytesGone", ["cancel"])
    path = f"/files/{transfer}"
    with two.signed_in(installation) as operator:
        again = Tus(installation, operator, sender.bucket)
        assert again.offset(path) == 0
        again.send_rest(path, 3 * PART)
    one.wait_for_state(transfer, "done")


def test_two_nodes_with_one_name_and_a_renamed_node_do_not_start(
    installation: Stack, two: SecondNode, sender: Tus, one: Operator, tmp_path: Path
) -> None:
    transfer = stage(sender, two)
    status, output = two.refused_start(STAGING_DIR=str(tmp_path / "another-disk"))
    assert status == 1
    assert "A node with the name “two” and another staging disk reported" in output
    two.lose()
    status, output = two.refused_start(NODE_NAME="three")
    assert status == 1
    assert "belongs to the node “two”, and NODE_NAME is “three”. Set NODE_NAME=two" in output
    assert len(two.staged_files()) == 3
    two.start()
    one.wait_for_state(transfer, "done")


# --- A round of the watchdog that takes long --------------------------------------------------------------------------


WAITING_FOR_LOCK = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
    "AND query LIKE '%uploads_storecheck%'"
)
HELD_ROUND = "SELECT token FROM uploads_round WHERE name = 'watchdog' AND token IS NOT NULL"


def test_abort_starts_and_ends_while_a_round_of_the_watchdog_is_held(installation: Stack, one: Operator) -> None:
    bucket = installation.new_bucket()
    fields = {"key": "doomed", "upload-id": installation.client.create_multipart_upload(bucket, "doomed")}
    with psycopg.connect(installation.environment["DATABASE_URL"]) as connection:
        # Each round reads this table, and an abort does not.
        connection.execute("LOCK TABLE uploads_storecheck IN ACCESS EXCLUSIVE MODE")
        wait_for("a round that waits", lambda: installation.query(WAITING_FOR_LOCK))
        held = installation.query(HELD_ROUND)
        response = one.post(f"/stores/{installation.store}/{bucket}/uploads/abort/", fields)
        assert response.ok
        url = response.json()["url"]
        wait_for("the end of the abort", lambda: one.get_json(url)["state"] == "done")
        assert installation.uploads_in(bucket) == []
        assert len(held) == 1
        assert installation.query(HELD_ROUND) == held
    wait_for("the next round", lambda: installation.query(HELD_ROUND) != held)
