"""A round of the watchdog with 10,000 live transfers: its CPU time, and how long an abort waits meanwhile."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import redis

from benchmarks.results import Figure, Results
from tests.system.stack import Operator, Stack, wait_for

TRANSFERS = 10_000
ROUND_CPU_SECONDS = 2.0
ABORT_SECONDS = 2.0
ENVIRONMENT = {"WATCH_SECONDS": "1"}

MAKE = """
from django.contrib.auth.models import User
from django.utils import timezone
from uploads.models import Part, Store, StoreUpload, Transfer
now, owner, store = timezone.now(), User.objects.get(), Store.objects.get()
facts = dict(owner=owner, store=store, bucket="demo", size=40 << 20, part_size=5 << 20, part_count=8)
facts |= dict(node={node!r}, phase="sending", received_at=now, sending_at=now, resumable=True, queued_at=None)
rows = Transfer.objects.bulk_create([Transfer(key=f"many/{{each}}", **facts) for each in range({count})], 500)
StoreUpload.objects.bulk_create([StoreUpload(transfer=each, upload_id=f"u-{{each.pk}}") for each in rows], 500)
parts = (dict(number=number, size=5 << 20, state="staged", received=5 << 20) for number in range(1, 5))
Part.objects.bulk_create(
    [Part(transfer=each, queued_at=now, **part) for part in list(parts) for each in rows], 500
)
"""

ROUND = """
import json, time
from django.conf import settings
from uploads import tasks
from uploads.models import Part, Round
from uploads.services.upkeep import watchdog
settings.LOST_MESSAGE_SECONDS = {lost}
Round.objects.all().delete()
watchdog.watch()
Round.objects.all().delete()
before, started = time.process_time(), time.monotonic()
more = watchdog.watch()
print(json.dumps([time.process_time() - before, time.monotonic() - started, more]))
"""


def run(stack: Stack, scratch: Path, results: Results) -> None:
    """The senders are frozen: the staged bytes of these transfers do not exist."""
    stack.freeze("sender")
    stack.stop("watcher")
    stack.run_python(ROUND.format(lost=3600))
    stack.run_python(MAKE.format(node=stack._plan.env["NODE_NAME"], count=TRANSFERS))
    print(f"{TRANSFERS:,} transfers with 4 enqueued parts each")
    idle = _round(stack, "nothing is due", lost=3600)
    busy = _round(stack, "every message is lost: a round has 500 of them sent again", lost=0)
    with stack.signed_in() as operator:
        waits = _waits(stack, operator, scratch)
    results.add(
        Figure(f"CPU of a round of the watchdog with {TRANSFERS:,} transfers", max(idle, busy), "s", ROUND_CPU_SECONDS),
        Figure("start of an abort during rounds", max(waits), "s", ABORT_SECONDS),
    )


def _round(stack: Stack, what: str, *, lost: float) -> float:
    cpu, wall, more = json.loads(stack.run_python(ROUND.format(lost=lost)).splitlines()[-1])
    print(f"{what}: {cpu:.2f} s of CPU time, {wall:.2f} s in all{', more is due' if more else ''}")
    return float(cpu)


def _waits(stack: Stack, operator: Operator, scratch: Path) -> list[float]:
    """Seconds from the request of an abort until a worker has it, after Redis has lost all messages."""
    bucket = stack.new_bucket()
    uploads = [stack.create_upload(bucket, f"file-{number}", {1: 1000}, scratch / "part") for number in range(5)]
    with redis.Redis.from_url(stack._plan.redis_url) as client:
        client.flushall()
    stack.start("watcher")
    watcher = psutil.Process(stack.tree("watcher")[0].pid)
    wait_for("a round", lambda: stack.query("SELECT 1 FROM uploads_round WHERE token IS NOT NULL"))
    before = watcher.cpu_times()
    waits = [_abort(stack, operator, bucket, f"file-{number}", each) for number, each in enumerate(uploads)]
    after = watcher.cpu_times()
    print(f"meanwhile, the watcher takes {after.user + after.system - before.user - before.system:.1f} s of CPU time")
    return waits


def _abort(stack: Stack, operator: Operator, bucket: str, key: str, upload_id: str) -> float:
    wait_for("a round", lambda: stack.query("SELECT 1 FROM uploads_round WHERE token IS NOT NULL"))
    started = time.monotonic()
    form = {"key": key, "upload-id": upload_id}
    response = operator.post(f"/stores/{stack.store}/{bucket}/uploads/abort/", form)
    assert response.ok, response.text
    sql = "SELECT 1 FROM uploads_operationitem WHERE upload_id = ? AND state != 'ordered'"
    wait_for("the start of the abort", lambda: stack.query(sql, upload_id))
    return time.monotonic() - started
