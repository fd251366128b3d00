"""Probes, metrics of all processes, and logs of a running Partway; and its behaviour without Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.system import stack as stacks
from tests.system.direct_store import part_bytes
from tests.system.stack import MIB, PATIENCE, Operator, Stack, wait_for

PART = 5 * MIB
TOKEN = "the-metrics-token"
SESSION_TOKEN = "the-session-token-of-a-store"
WRONG_SECRET = "the-secret-key-of-a-store"

AT_ONCE = 8
"""A response within so many seconds did not wait for Redis, on a machine that is busy with other tests."""

BACK_SECONDS = 60
"""Within how many seconds the work resumes after Redis is back."""

NAMES = {"database", "migrations", "keys", "redis", "sender", "worker", "watcher", "scanner", "staging", "static"}
PYTHON_PROCESSES = ("web", "sender", "worker", "watcher", "scanner", "beat")
BANNER = "The task queue (Redis) is unavailable"

Values = dict[tuple[str, str], float]


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG", "METRICS_TOKEN": TOKEN}
    with stacks.running(tmp_path_factory.mktemp("observed"), env) as running:
        wait_for("readiness", lambda: ready(running)[0] == 200)
        yield running


@pytest.fixture(scope="module")
def operator(observed: Stack) -> Iterator[Operator]:
    with observed.signed_in() as operator:
        yield operator


@pytest.fixture
def redis_down(observed: Stack) -> Iterator[Callable[[], None]]:
    """Kills Redis until the returned function is called or the test ends."""

    def start_redis() -> None:
        if "redis" not in observed._processes:
            observed.start("redis")

    observed.kill("redis")
    yield start_redis
    start_redis()
    wait_for("readiness", lambda: ready(observed)[0] == 200)


def ready(stack: Stack) -> tuple[int, dict[str, str]]:
    response = requests.get(f"{stack.url}/healthz?ready", headers={"Accept": "application/json"}, timeout=PATIENCE)
    checks: dict[str, str] = response.json()["checks"]
    assert set(checks) == NAMES
    return response.status_code, checks


def failed(stack: Stack) -> set[str]:
    return {name for name, result in ready(stack)[1].items() if result == "failed"}


def scrape(stack: Stack) -> Values:
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "192.0.2.1"}
    response = requests.get(f"{stack.url}/metrics", headers=headers, timeout=PATIENCE)
    response.raise_for_status()
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def grown(before: Values, after: Values, name: str, labels: str = "") -> float:
    return after.get((name, labels), 0.0) - before.get((name, labels), 0.0)


def send(stack: Stack, operator: Operator, key: str, size: int, bucket: str) -> str:
    return operator.send_file(stack.store, bucket, key, part_bytes(1, size), **{"part-size": str(PART)})


# --- Probes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sender", "worker", "watcher", "scanner"])
def test_frozen_worker_fails_readiness(observed: Stack, name: str) -> None:
    observed.freeze(name)
    try:
        wait_for(f"{name} failed", lambda: failed(observed) == {name})
        assert ready(observed)[0] == 503
    finally:
        observed.thaw(name)
    wait_for("readiness", lambda: ready(observed)[0] == 200)


def test_dead_redis_fails_readiness_and_the_site_responds(observed: Stack, redis_down: Callable[[], None]) -> None:
    assert "redis" in failed(observed)
    assert not failed(observed) & {"database", "staging"}
    assert requests.get(f"{observed.url}/healthz", timeout=PATIENCE).text == "ok"
    values = scrape(observed)
    assert values["partway_up", "part=redis"] == 0
    assert values["partway_up", "part=database"] == 1


def test_hanging_redis_delays_no_request(observed: Stack, operator: Operator) -> None:
    observed.freeze("redis")
    try:
        started = time.monotonic()
        assert "redis" in failed(observed)
        assert time.monotonic() - started < AT_ONCE
        started = time.monotonic()
        assert operator.session.get(f"{observed.url}/stores/").ok
        assert time.monotonic() - started < AT_ONCE
    finally:
        observed.thaw("redis")
    wait_for("readiness", lambda: ready(observed)[0] == 200)


def test_full_disk_fails_readiness(observed: Stack) -> None:
    env = observed._plan.env
    observed.stop("web")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(env, "STAGING_FREE_FLOOR", str(2**60))
            observed.start("web")
            wait_for("staging failed", lambda: failed(observed) == {"staging"})
            observed.stop("web")
    finally:
        observed.start("web")
    wait_for("readiness", lambda: ready(observed)[0] == 200)


# --- Metrics ----------------------------------------------------------------------------------------------------------


def test_metrics_add_up_over_all_processes_and_restarts(observed: Stack, operator: Operator) -> None:
    before = scrape(observed)
    bucket = observed.new_bucket()
    sizes = [3 * PART, 2 * PART + 1, 4 * PART, 1000]
    transfers = [send(observed, operator, f"file-{number}", size, bucket) for number, size in enumerate(sizes)]
    for transfer in transfers:
        # A message that the tests before have cost is sent again after LOST_MESSAGE_SECONDS.
        operator.wait_for_state(transfer, "done", seconds=180)
    after = scrape(observed)
    assert grown(before, after, "partway_parts_sent_total") == 3 + 3 + 4 + 1
    assert grown(before, after, "partway_bytes_sent_total") == sum(sizes)
    requests_of = "partway_store_request_seconds_count"
    assert grown(before, after, requests_of, "operation=UploadPart,outcome=ok") == 10
    assert grown(before, after, requests_of, "operation=PutObject,outcome=ok") == 1
    assert grown(before, after, requests_of, "operation=CompleteMultipartUpload,outcome=ok") == 3
    assert grown(before, after, requests_of, "operation=CreateMultipartUpload,outcome=ok") == 3
    assert grown(before, after, "partway_transfers", "state=done") == len(sizes)
    assert after["partway_staging_bytes", f"node={observed._plan.env['NODE_NAME']}"] == 0
    children = {process.pid for process in observed.tree("sender")[1:]}
    counting = {int(path.stem.partition("_")[2]) for path in observed._plan.var.metrics.glob("counter_*.db")}
    assert len(children & counting) == 2, "both children of the sender have counters"

    observed.kill("sender")
    observed.start("sender")
    observed.stop("web")
    observed.start("web")
    restarted = scrape(observed)
    for name in ("partway_parts_sent_total", "partway_bytes_sent_total"):
        assert grown(after, restarted, name) == 0, "the counts of processes that have ended are kept"
    operator.wait_for_state(send(observed, operator, "afterwards", 2 * PART, bucket), "done")
    assert grown(restarted, scrape(observed), "partway_parts_sent_total") == 2


def test_expired_leases_and_queued_messages_are_counted(observed: Stack, operator: Operator) -> None:
    before = scrape(observed)
    observed.freeze("sender")
    observed.freeze("worker")
    bucket = observed.new_bucket()
    try:
        # Each frozen worker has already received one message.
        transfers = [send(observed, operator, f"waiting-{number}", 2 * PART, bucket) for number in range(3)]
        after = scrape(observed)
        node = observed._plan.env["NODE_NAME"]
        assert after["partway_queue_depth", "queue=partway"] >= 1
        assert after["partway_staging_bytes", f"node={node}"] == 6 * PART
        assert grown(before, after, "partway_transfers", "state=sending") == 3
        sql = "UPDATE uploads_part SET state = 'sending', lease_until = '2020-01-01', lease_token = '{}'"
        sql += " WHERE reserved_bytes > 0"
        observed.run_python(
            f"from django.db import connection\nconnection.cursor().execute({sql.format('0' * 32)!r})\n"
            "from tests.system.time_machine import run_round\nrun_round()"
        )
        assert grown(before, scrape(observed), "partway_lease_takeovers_total", "work=part") == 6
    finally:
        observed.thaw("sender")
        observed.thaw("worker")
    for transfer in transfers:
        operator.wait_for_state(transfer, "done")


def test_metrics_are_refused_without_the_token(observed: Stack) -> None:
    assert requests.get(f"{observed.url}/metrics", timeout=PATIENCE).status_code == 403, "this machine itself"


# --- Without Redis ----------------------------------------------------------------------------------------------------


def test_site_works_without_redis(observed: Stack, operator: Operator, redis_down: Callable[[], None]) -> None:
    """Pages respond and show a banner, POST requests respond at once, and the work resumes when Redis is back."""
    bucket = observed.new_bucket()
    time.sleep(6)
    assert BANNER in operator.session.get(f"{observed.url}/stores/").text
    transfers, slowest = [], 0.0
    for number in range(4):
        started = time.monotonic()
        transfers.append(send(observed, operator, f"file-{number}", 2 * PART + number, bucket))
        slowest = max(slowest, time.monotonic() - started)
    assert slowest < AT_ONCE, "each request sends 10 MiB and publishes several messages"
    upload_id = observed.create_upload(bucket, "abandoned", {1: 1000}, observed.staging.parent / "scratch")
    started = time.monotonic()
    cancelled = operator.post(f"/transfers/{transfers[0]}/cancel/")
    assert cancelled.ok
    aborted = request_abort(operator, observed.store, bucket, "abandoned", upload_id)
    assert time.monotonic() - started < AT_ONCE
    for path in ("/", "/stores/", "/transfers/", f"/transfers/{transfers[1]}/", aborted):
        started = time.monotonic()
        page = operator.session.get(observed.url + path)
        assert page.ok
        assert BANNER in page.text, path
        assert time.monotonic() - started < AT_ONCE, path
    time.sleep(10)
    assert operator.transfer(transfers[1])["state"] == "sending"

    redis_down()
    started_at = time.monotonic()
    assert operator.wait_for_state(transfers[0], "cancelled", seconds=BACK_SECONDS)
    for transfer in transfers[1:]:
        operator.wait_for_state(transfer, "done", seconds=BACK_SECONDS - (time.monotonic() - started_at))
    wait_for("the abort", lambda: not observed.uploads_in(bucket), BACK_SECONDS - (time.monotonic() - started_at))
    wait_for("no banner", lambda: BANNER not in operator.session.get(f"{observed.url}/stores/").text)


def test_emptied_redis_loses_nothing(observed: Stack, operator: Operator) -> None:
    bucket = observed.new_bucket()
    observed.freeze("sender")
    observed.freeze("worker")
    try:
        transfers = [send(observed, operator, f"file-{number}", 2 * PART, bucket) for number in range(3)]
        with redis.Redis.from_url(observed._plan.redis_url) as client:
            client.flushall()
    finally:
        observed.thaw("sender")
        observed.thaw("worker")
    for transfer in transfers:
        operator.wait_for_state(transfer, "done", seconds=BACK_SECONDS)
    wait_for("readiness", lambda: ready(observed)[0] == 200)


def test_redis_restarts_under_load(observed: Stack, operator: Operator) -> None:
    bucket = observed.new_bucket()
    transfers = []
    for number in range(4):
        transfers.append(send(observed, operator, f"file-{number}", 3 * PART, bucket))
        if number == 1:
            observed.kill("redis")
            observed.start("redis")
    for transfer in transfers:
        operator.wait_for_state(transfer, "done", seconds=2 * BACK_SECONDS)


def request_abort(operator: Operator, store: str, bucket: str, key: str, upload_id: str) -> str:
    """Request an abort. Returns the path of the operation's page."""
    path = f"/stores/{store}/{bucket}/uploads/abort/"
    response = operator.post(path, {"key": key, "upload-id": upload_id})
    response.raise_for_status()
    return f"/operations/{response.json()['id']}/"


# --- Logs -------------------------------------------------------------------------------------------------------------


def records(stack: Stack, process: str) -> list[dict[str, Any]]:
    lines = stack.log(process).splitlines()
    assert lines, process
    return [json.loads(line) for line in lines if line.strip()]


def test_every_log_line_is_json_with_ids_and_without_secrets(observed: Stack, operator: Operator) -> None:
    bucket = observed.new_bucket()
    transfer = send(observed, operator, "logged", 2 * PART, bucket)
    operator.wait_for_state(transfer, "done", seconds=3 * BACK_SECONDS)
    [(upload_id,)] = observed.query(
        "SELECT upload_id FROM uploads_storeupload WHERE transfer_id = ?", transfer.replace("-", "")
    )
    observed.run_python(
        "from uploads.models import Store\n"
        f"demo = Store.objects.get(name={observed.store!r})\n"
        "Store.objects.create(name='refusing', endpoint_url=demo.endpoint_url, region=demo.region, provider='swift', "
        f"access_key=demo.access_key, secret_key={WRONG_SECRET!r}, session_token={SESSION_TOKEN!r})"
    )
    assert operator.session.get(f"{observed.url}/stores/refusing/").status_code != 200

    everything = {process: records(observed, process) for process in PYTHON_PROCESSES}
    for process, lines in everything.items():
        for line in lines:
            assert {"time", "level", "logger", "message"} <= set(line), (process, line)
    sent = [line for line in everything["sender"] if line.get("transfer") == transfer]
    assert {line["part"] for line in sent} == {1, 2}
    requests_sent = [line for line in sent if line.get("operation") == "UploadPart"]
    assert len(requests_sent) == 2
    for line in requests_sent:
        assert (line["upload_id"], line["status"]) == (upload_id, 200)
        assert line["request_id"]
        assert line["seconds"] > 0
    ends = [line for line in sent if line["message"].endswith(": sent")]
    assert {line["request_id"] for line in ends} == {line["request_id"] for line in requests_sent}
    steps = {line.get("operation") for line in everything["worker"] if line.get("transfer") == transfer}
    assert {"CreateMultipartUpload", "CompleteMultipartUpload", "HeadObject"} <= steps
    [refused] = [line for line in everything["web"] if line.get("code") == "InvalidToken"][:1]
    assert (refused["level"], refused["operation"], refused["status"]) == ("WARNING", "ListBuckets", 400)
    assert refused["request_id"]

    env = observed._plan.env
    secrets = [WRONG_SECRET, SESSION_TOKEN, TOKEN, observed.server.secret_key, observed._plan.kept.redis_password]
    secrets += [env["SECRET_KEY"], env["CREDENTIALS_KEYS"], observed.admin.password, *operator.session.cookies.values()]
    for process in PYTHON_PROCESSES:
        text = observed.log(process)
        for secret in secrets:
            assert secret not in text, process
