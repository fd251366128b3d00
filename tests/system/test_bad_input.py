"""Incorrect requests, and processes that die during a transfer: nothing is staged, stuck or lost."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.system.sending import SlowForm, file_blocks
from tests.system.stack import MIB, Operator, Stack, wait_for

PART = 5 * MIB
HUGE = 1024 * MIB
"""A size that is announced and never sent: a response must come before these bytes are read."""

A_QUARTER_OF_AN_HOUR = 16 * 60
A_LEASE = 150

Start = Callable[..., SlowForm]


@pytest.fixture
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture
def bucket(stack: Stack) -> str:
    return stack.new_bucket()


@pytest.fixture
def start(stack: Stack, operator: Operator, bucket: str) -> Iterator[Start]:
    """Starts to send a file of `size` bytes in parts of 5 MiB to the key `file`."""
    forms: list[SlowForm] = []

    def start(size: int, headers: dict[str, str] | None = None, **fields: object) -> SlowForm:
        form = {"store": stack.store, "bucket": bucket, "key": "file", "part-size": PART, **fields}
        forms.append(SlowForm(operator, form, size, headers))
        return forms[-1]

    yield start
    for form in forms:
        form.close()


def transfers_to(stack: Stack, bucket: str) -> list[str]:
    """The ids of all transfers to a bucket, oldest first."""
    rows = stack.query("SELECT id FROM uploads_transfer WHERE bucket = ? ORDER BY created_at", bucket)
    return [str(uuid.UUID(identity)) for (identity,) in rows]


def only_transfer(stack: Stack, bucket: str) -> str:
    [transfer_id] = wait_for("the transfer", lambda: transfers_to(stack, bucket))
    return transfer_id


def assert_nothing_received(stack: Stack, bucket: str) -> None:
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


# --- Requests without permission --------------------------------------------------------------------------------------


def test_request_without_a_session_stages_nothing(stack: Stack, start: Start, bucket: str) -> None:
    response = start(HUGE, {"Cookie": "", "Accept": "text/html"}).response()
    assert response.status == 302
    assert (response.getheader("Location") or "").startswith("/login/")
    assert_nothing_received(stack, bucket)


@pytest.mark.parametrize("origin", ["http://elsewhere.example", "null"])
def test_request_from_another_origin_stages_nothing(stack: Stack, start: Start, bucket: str, origin: str) -> None:
    assert start(HUGE, {"Origin": origin}).response_status() == 403
    assert_nothing_received(stack, bucket)


def test_request_without_the_csrf_token_stages_nothing(stack: Stack, start: Start, bucket: str) -> None:
    assert start(HUGE, csrfmiddlewaretoken="").response_status() == 403
    assert_nothing_received(stack, bucket)


def test_body_without_a_length_is_refused(stack: Stack, start: Start, bucket: str) -> None:
    assert start(HUGE, {"Content-Length": ""}).response_status() == 411
    # Announced in chunks, and sent without.
    assert start(HUGE, {"Content-Length": "", "Transfer-Encoding": "chunked"}).response_status() == 400
    assert_nothing_received(stack, bucket)


# --- Incomplete and repeated requests ---------------------------------------------------------------------------------


def test_body_that_ends_early_leaves_nothing(stack: Stack, operator: Operator, start: Start, bucket: str) -> None:
    form = start(6 * PART)
    form.send(3 * PART + MIB)
    transfer_id = only_transfer(stack, bucket)
    wait_for("a part in the store", lambda: operator.transfer(transfer_id)["parts"]["sent"])
    form.close()
    ended = operator.wait_for_state(transfer_id, "cancelled")
    assert ended["error"]["code"] == "IncompleteBody"
    assert_nothing_left(stack, bucket)


def test_form_that_is_sent_again_creates_one_transfer(
    stack: Stack, operator: Operator, start: Start, bucket: str
) -> None:
    assert start(2 * PART).finish() == 201
    transfer_id = only_transfer(stack, bucket)
    operator.wait_for_state(transfer_id, "done")
    assert start(2 * PART).finish() == 409
    assert transfers_to(stack, bucket) == [transfer_id]
    assert_arrived(stack, bucket, 2 * PART)


def test_form_that_is_sent_twice_at_once_creates_one_transfer(
    stack: Stack, operator: Operator, start: Start, bucket: str
) -> None:
    first = start(2 * PART)
    first.send(PART)
    transfer_id = only_transfer(stack, bucket)
    assert start(2 * PART).finish() == 409
    assert first.finish() == 201
    operator.wait_for_state(transfer_id, "done")
    assert transfers_to(stack, bucket) == [transfer_id]
    assert_arrived(stack, bucket, 2 * PART)


def test_abort_that_is_requested_twice_is_one_operation(stack: Stack, operator: Operator, bucket: str) -> None:
    fields = {"key": "doomed", "upload-id": stack.client.create_multipart_upload(bucket, "doomed")}
    path = f"/stores/{stack.store}/{bucket}/uploads/abort/"
    stack.freeze("store")
    try:
        responses = [operator.post(path, fields) for _ in range(2)]
    finally:
        stack.thaw("store")
    assert [response.status_code for response in responses] == [202, 202]
    assert len({response.json()["id"] for response in responses}) == 1
    url = responses[0].json()["url"]
    wait_for("the end of the operation", lambda: operator.get_json(url)["state"] == "done")
    assert stack.uploads_in(bucket) == []


# --- Processes that die -----------------------------------------------------------------------------------------------


def test_killed_web_server_leaves_no_transfer_stuck(
    stack: Stack, operator: Operator, start: Start, bucket: str
) -> None:
    start(6 * PART).send(3 * PART + MIB)
    transfer_id = only_transfer(stack, bucket)
    wait_for("a part in the store", lambda: operator.transfer(transfer_id)["parts"]["sent"])
    stack.kill("web")
    stack.start("web")
    assert operator.transfer(transfer_id)["state"] == "sending"
    stack.let_time_pass(A_QUARTER_OF_AN_HOUR)
    operator.wait_for_state(transfer_id, "cancelled")
    assert_nothing_left(stack, bucket)


@pytest.fixture
def half_sent(stack: Stack, operator: Operator, start: Start, bucket: str) -> Iterator[str]:
    """A transfer of six received parts. Some have been sent, and others wait for the frozen store."""
    form = start(6 * PART)
    form.send(3 * PART + MIB)
    transfer_id = only_transfer(stack, bucket)
    wait_for("a part in the store", lambda: operator.transfer(transfer_id)["parts"]["sent"])
    stack.freeze("store")
    try:
        assert form.finish() == 201
        wait_for("parts being sent", lambda: sending_parts(stack, transfer_id))
        yield transfer_id
    finally:
        stack.thaw("store")


def sending_parts(stack: Stack, transfer_id: str) -> int:
    [(count,)] = stack.query(
        "SELECT count(*) FROM uploads_part WHERE state = 'sending' AND transfer_id = ?", transfer_id.replace("-", "")
    )
    return int(count)


def test_killed_sender_loses_nothing(stack: Stack, operator: Operator, bucket: str, half_sent: str) -> None:
    stack.kill("sender")
    stack.thaw("store")
    stack.start("sender")
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_stopped_sender_finishes_its_parts(stack: Stack, operator: Operator, bucket: str, half_sent: str) -> None:
    stack.terminate("sender")
    stack.thaw("store")
    stack.wait_for_end("sender")
    assert sending_parts(stack, half_sent) == 0
    stack.start("sender")
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_stopped_sender_returns_parts_that_it_cannot_finish(
    stack: Stack, operator: Operator, bucket: str, half_sent: str
) -> None:
    """The store is frozen, so the parts cannot be sent. They are staged again before their leases expire."""
    stack.stop("sender")
    assert sending_parts(stack, half_sent) == 0
    stack.thaw("store")
    stack.start("sender")
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_killed_worker_loses_nothing(stack: Stack, operator: Operator, bucket: str, half_sent: str) -> None:
    stack.kill("worker")
    stack.thaw("store")
    wait_for("all parts sent", lambda: operator.transfer(half_sent)["parts"]["sent"] == 6)
    stack.start("worker")
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_restarted_redis_loses_nothing(stack: Stack, operator: Operator, bucket: str, half_sent: str) -> None:
    stack.kill("redis")
    stack.thaw("store")
    stack.start("redis")
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)


def test_file_is_received_while_redis_is_unavailable(
    stack: Stack, operator: Operator, start: Start, bucket: str
) -> None:
    stack.stop("redis")
    try:
        assert start(3 * PART).finish() == 201
    finally:
        stack.start("redis")
    stack.let_time_pass(A_LEASE)
    operator.wait_for_state(only_transfer(stack, bucket), "done")
    assert_arrived(stack, bucket, 3 * PART)


def test_restarted_store_loses_nothing(stack: Stack, operator: Operator, bucket: str, half_sent: str) -> None:
    stack.kill("store")
    stack.start("store")
    operator.wait_for_state(half_sent, "done")
    assert_arrived(stack, bucket, 6 * PART)
