"""What comes in wrongly, and processes that die in the middle: nothing is staged, nothing is stuck, nothing is lost."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.system.sending import SlowForm, file_blocks
from tests.system.stack import MIB, Operator, Stack, wait_for

PART = 5 * MIB
HUGE = 1024 * MIB
"""Announced, and never sent: an answer that comes came before these bytes were read."""

A_QUARTER_OF_AN_HOUR = 16 * 60
A_LEASE = 150

Begin = Callable[..., SlowForm]


@pytest.fixture
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture
def bucket(stack: Stack) -> str:
    return stack.new_bucket()


@pytest.fixture
def begin(stack: Stack, operator: Operator, bucket: str) -> Iterator[Begin]:
    """Begin to send a file of `size` bytes in parts of 5 MiB to the key `file`."""
    begun: list[SlowForm] = []

    def begin(size: int, headers: dict[str, str] | None = None, **fields: object) -> SlowForm:
        form = {"store": stack.store, "bucket": bucket, "key": "file", "part-size": PART, **fields}
        begun.append(SlowForm(operator, form, size, headers))
        return begun[-1]

    yield begin
    for form in begun:
        form.close()


def transfers_to(stack: Stack, bucket: str) -> list[str]:
    """The ids of every transfer to a bucket, oldest first."""
    rows = stack.query("SELECT id FROM uploads_transfer WHERE bucket = ? ORDER BY created_at", bucket)
    return [str(uuid.UUID(identity)) for (identity,) in rows]


def only_transfer(stack: Stack, bucket: str) -> str:
    [found] = wait_for("the transfer", lambda: transfers_to(stack, bucket))
    return found


def assert_nothing_came(stack: Stack, bucket: str) -> None:
    assert transfers_to(stack, bucket) == []
    assert_nothing_left(stack, bucket)


def assert_nothing_left(stack: Stack, bucket: str) -> None:
    assert stack.uploads_in(bucket) == []
    for transfer_id in transfers_to(stack, bucket):
        assert not (stack.staging / transfer_id).exists()


def assert_arrived(stack: Stack, bucket: str, size: int) -> None:
    digest = hashlib.sha256()
    for block in file_blocks(0, size):
        digest.update(block)
    assert stack.object_digest(bucket, "file") == (size, digest.hexdigest())
    assert_nothing_left(stack, bucket)


# --- Who may not ------------------------------------------------------------------------------------------------------


def test_without_a_session_nothing_is_staged(stack: Stack, begin: Begin, bucket: str) -> None:
    answer = begin(HUGE, {"Cookie": "", "Accept": "text/html"}).answer()
    assert answer.status == 302
    assert (answer.getheader("Location") or "").startswith("/login/")
    assert_nothing_came(stack, bucket)


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null"])
def test_from_another_origin_nothing_is_staged(stack: Stack, begin: Begin, bucket: str, origin: str) -> None:
    assert begin(HUGE, {"Origin": origin}).response_status() == 403
    assert_nothing_came(stack, bucket)


def test_without_the_csrf_token_nothing_is_staged(stack: Stack, begin: Begin, bucket: str) -> None:
    assert begin(HUGE, csrfmiddlewaretoken="").response_status() == 403
    assert_nothing_came(stack, bucket)


def test_body_without_a_length_is_refused(stack: Stack, begin: Begin, bucket: str) -> None:
    assert begin(HUGE, {"Content-Length": "", "Transfer-Encoding": "chunked"}).response_status() == 411
    assert_nothing_came(stack, bucket)


# --- What comes wrongly -----------------------------------------------------------------------------------------------


def test_body_that_ends_early_leaves_nothing(stack: Stack, operator: Operator, begin: Begin, bucket: str) -> None:
    form = begin(6 * PART)
    form.send(3 * PART + MIB)
    transfer_id = only_transfer(stack, bucket)
    wait_for("a part in the store", lambda: operator.transfer(transfer_id)["parts"]["sent"])
    form.close()
    ended = operator.wait_for_state(transfer_id, "cancelled")
    assert ended["error"]["code"] == "IncompleteBody"
    assert_nothing_left(stack, bucket)


def test_form_sent_twice_one_after_the_other_is_done_once(
    stack: Stack, operator: Operator, begin: Begin, bucket: str
) -> None:
    assert begin(2 * PART).finish() == 201
    transfer_id = only_transfer(stack, bucket)
    operator.wait_for_state(transfer_id, "done")
    assert begin(2 * PART).finish() == 409
    assert transfers_to(stack, bucket) == [transfer_id]
    assert_arrived(stack, bucket, 2 * PART)


def test_form_sent_twice_at_once_is_done_once(stack: Stack, operator: Operator, begin: Begin, bucket: str) -> None:
    first = begin(2 * PART)
    first.send(PART)
    transfer_id = only_transfer(stack, bucket)
    assert begin(2 * PART).finish() == 409
    assert first.finish() == 201
    operator.wait_for_state(transfer_id, "done")
    assert transfers_to(stack, bucket) == [transfer_id]
    assert_arrived(stack, bucket, 2 * PART)


def test_abort_ordered_twice_is_one_operation(stack: Stack, operator: Operator, bucket: str) -> None:
    fields = {"key": "doomed", "upload-id": stack.client.create_multipart_upload(bucket, "doomed")}
    path = f"/stores/{stack.store}/{bucket}/uploads/abort/"
    stack.freeze("store-proxy")
    try:
        ordered = [operator.post(path, fields) for _ in range(2)]
    finally:
        stack.thaw("store-proxy")
    assert [answer.status_code for answer in ordered] == [202, 202]
    assert len({answer.json()["id"] for answer in ordered}) == 1
    url = ordered[0].json()["url"]
    wait_for("the end of the operation", lambda: operator.get_json(url)["state"] == "done")
    assert stack.uploads_in(bucket) == []


# --- Processes that die -----------------------------------------------------------------------------------------------


def test_web_server_killed_while_a_file_arrives_leaves_nothing_stuck(
    stack: Stack, operator: Operator, begin: Begin, bucket: str
) -> None:
    begin(6 * PART).send(3 * PART + MIB)
    transfer_id = only_transfer(stack, bucket)
    wait_for("a part in the store", lambda: operator.transfer(transfer_id)["parts"]["sent"])
    stack.kill("web")
    stack.start("web")
    assert operator.transfer(transfer_id)["state"] == "sending"
    stack.let_time_pass(A_QUARTER_OF_AN_HOUR)
    operator.wait_for_state(transfer_id, "cancelled")
    assert_nothing_left(stack, bucket)


@pytest.fixture
def half_sent(stack: Stack, operator: Operator, begin: Begin, bucket: str) -> Iterator[str]:
    """A transfer of six parts, all here; some are in the store, and the store keeps others waiting."""
    form = begin(6 * PART)
    form.send(3 * PART + MIB)
    transfer_id = only_transfer(stack, bucket)
    wait_for("a part in the store", lambda: operator.transfer(transfer_id)["parts"]["sent"])
    stack.freeze("store-proxy")
    try:
        assert form.finish() == 201
        wait_for("parts on their way", lambda: parts_on_their_way(stack, transfer_id))
        yield transfer_id
    finally:
        stack.thaw("store-proxy")


def parts_on_their_way(stack: Stack, transfer_id: str) -> int:
    [(count,)] = stack.query(
        "SELECT count(*) FROM uploads_part WHERE state = 'sending' AND transfer_id = ?", transfer_id.replace("-", "")
    )
    return int(count)


def test_sender_killed_while_it_sends_loses_nothing(
    stack: Stack, operator: Operator, bucket: str, half_sent: str
) -> None:
    stack.kill("sender")
    stack.thaw("store-proxy")
    stack.start("sender")
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_sender_told_to_stop_finishes_what_it_sends_and_loses_nothing(
    stack: Stack, operator: Operator, bucket: str, half_sent: str
) -> None:
    stack.terminate("sender")
    stack.thaw("store-proxy")
    stack.wait_for_end("sender")
    assert parts_on_their_way(stack, half_sent) == 0
    stack.start("sender")
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_sender_told_to_stop_hands_back_what_it_cannot_finish(
    stack: Stack, operator: Operator, bucket: str, half_sent: str
) -> None:
    """The store is frozen: a part on its way would not end. It waits again before its lease has run out."""
    stack.stop("sender")
    assert parts_on_their_way(stack, half_sent) == 0
    stack.thaw("store-proxy")
    stack.start("sender")
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_worker_killed_loses_nothing(stack: Stack, operator: Operator, bucket: str, half_sent: str) -> None:
    stack.kill("worker")
    stack.thaw("store-proxy")
    wait_for("all parts sent", lambda: operator.transfer(half_sent)["parts"]["sent"] == 6)
    stack.start("worker")
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_redis_restarted_meanwhile_loses_nothing(stack: Stack, operator: Operator, bucket: str, half_sent: str) -> None:
    stack.kill("redis")
    stack.thaw("store-proxy")
    stack.start("redis")
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_file_arrives_while_redis_is_away(stack: Stack, operator: Operator, begin: Begin, bucket: str) -> None:
    stack.stop("redis")
    try:
        assert begin(3 * PART).finish() == 201
    finally:
        stack.start("redis")
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(only_transfer(stack, bucket), "done")
    assert_arrived(stack, bucket, 3 * PART)


def test_store_restarted_meanwhile_loses_nothing(stack: Stack, operator: Operator, bucket: str, half_sent: str) -> None:
    stack.kill("store-proxy")
    stack.start("store-proxy")
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)
