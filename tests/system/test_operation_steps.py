"""An operation of many uploads is paused, resumed and stopped while its worker is killed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.system.stack import Operator, Stack, wait_for

UPLOADS = 150
FINAL = {"done", "failed", "partly-failed", "unknown", "halted"}


@pytest.mark.timeout(900)
def test_operation_is_paused_resumed_and_stopped(stack: Stack) -> None:
    bucket = stack.new_bucket()
    with ThreadPoolExecutor(4) as pool:
        keys = [f"key {number:03}" for number in range(UPLOADS)]
        ids = list(pool.map(lambda key: stack.client.create_multipart_upload(bucket, key), keys))
    names = [f"{key.replace(' ', '%20')}/{upload_id}" for key, upload_id in zip(keys, ids, strict=True)]
    with stack.signed_in() as operator:
        path = f"/stores/{stack.store}/{bucket}/uploads/abort/"
        # The first uploads are in the queue of a worker that takes them only after the pause.
        stack.freeze("worker")
        operation = operator.post(path, [("upload", name) for name in names]).json()
        assert step(operator, operation, "pause")["desired_state"] == "pause"
        stack.thaw("worker")
        paused = wait_for("a pause", lambda: in_state(operator, operation, "paused"), 300)
        assert paused["items"]["active"] > 0
        stack.kill("worker")
        stack.start("worker")
        stack.let_time_pass(120)
        later = operator.get_json(operation["url"])
        assert (later["state"], later["items"]) == ("paused", paused["items"])
        assert len(stack.uploads_in(bucket)) == paused["items"]["active"]
        step(operator, operation, "resume")
        begun = paused["items"]["done"] + 1
        wait_for("more", lambda: operator.get_json(operation["url"])["items"]["done"] >= begun, 300)
        stack.kill("worker")
        step(operator, operation, "stop")
        stack.start("worker")
        stack.let_time_pass(300)
        ended = wait_for("the end", lambda: in_state(operator, operation, *FINAL), 600)
    counts = ended["items"]
    assert (counts["active"], counts["failed"]) == (0, 0)
    assert counts["done"] + counts["left"] + counts["unknown"] == UPLOADS
    assert ended["state"] == ("halted" if counts["left"] else "done")
    left = {each["UploadId"] for each in ended["Uploads"] if each["state"] == "left"}
    assert {upload_id for _, upload_id in stack.uploads_in(bucket)} == left


def step(operator: Operator, operation: Any, name: str) -> Any:
    response = operator.post(f"{operation['url']}{name}/")
    assert response.status_code == 200, response.text
    return response.json()


def in_state(operator: Operator, operation: Any, *states: str) -> Any:
    found = operator.get_json(operation["url"])
    return found if found["state"] in states else None
