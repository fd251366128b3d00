"""A store that accepts connections and never responds, and the rest of the dashboard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import requests

from tests.objectstore.fault_server import Exchange, FaultServer, Received, freeze, respond
from tests.objectstore.responses import EMPTY_LISTING
from tests.system import stack as stacks
from tests.system.stack import Operator, Stack, wait_for

PAGES = 64
"""As many as the web server has threads."""

THREADS = 8
FROZEN = "/stores/frozen/photos/uploads/"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {"STORE_PAGE_SECONDS": "20", "STORE_WEB_THREADS": str(THREADS), "WATCH_SECONDS": "2"}
    with stacks.running(tmp_path_factory.mktemp("frozen"), env) as running:
        yield running


@pytest.fixture
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture
def server(stack: Stack) -> Iterator[FaultServer]:
    with FaultServer() as running:
        running.otherwise = freeze
        options = f"name='frozen', endpoint_url='{running.url}', access_key='a', secret_key='s'"
        stack.run_python(f"from uploads.models import Store\nStore.objects.create({options})")
        yield running


def get(operator: Operator, path: str, accept: str = "application/json") -> requests.Response:
    headers = {"Accept": accept, "Cookie": operator.cookies}
    return requests.get(operator.url + path, headers=headers, timeout=120)


def check_other_pages(stack: Stack, operator: Operator, bucket: str) -> None:
    """What must not wait: the health check, the login, transfers, and another store."""
    for path in (
        "/healthz",
        "/healthz?ready",
        "/login/",
        "/transfers/",
        "/",
        f"/stores/{stack.store}/{bucket}/uploads/",
    ):
        assert get(operator, path, "text/html").status_code == 200, path
    transfer = operator.send_file(stack.store, bucket, "sent meanwhile", b"content")
    operator.wait_for_state(transfer, "done")


def test_frozen_store_does_not_hold_the_rest(stack: Stack, operator: Operator, server: FaultServer) -> None:
    """As many pages of a frozen store as there are threads: a few wait for it, and everything else is served.

    Then the store is known not to answer: pages respond at once, and the background finds out when it answers again.
    """
    bucket = stack.new_bucket()
    with ThreadPoolExecutor(PAGES) as pool:
        pages = [pool.submit(get, operator, FROZEN) for _ in range(PAGES)]
        wait_for("pages that are refused", lambda: sum(each.done() for each in pages) == PAGES - THREADS)
        check_other_pages(stack, operator, bucket)
        waiting = [each for each in pages if not each.done()]
        of_pages = [each for each in server.received if each.target.startswith("/photos")]
        assert len(waiting) == len(of_pages) == THREADS, "those pages were served while these waited"
        check_refusals([each for each in pages if each.done()])
        assert {each.result().status_code for each in waiting} == {504}
    refused = get(operator, FROZEN)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "StoreNotAnswering")
    assert refused.json()["error"]["last_error"]["code"] == "Timeout"
    server.otherwise = respond(200, EMPTY_LISTING)
    wait_for("a try in the background", lambda: get(operator, FROZEN).status_code == 200)


NO_BUCKETS = b"<ListAllMyBucketsResult/>"

SCAN = """
from uploads.models import InventoryBucket, Store
from uploads.services.inventory.scans.request import request_scan
store = Store.objects.get(name={store!r})
request_scan(None, store, "command", [(bucket, "") for bucket in {buckets!r}])
"""


def freeze_listings(exchange: Exchange) -> None:
    """The background asks for the buckets too: after a timeout of that, the scan would have one thread only."""
    (freeze if _is_listing(exchange.received) else respond(200, NO_BUCKETS))(exchange)


def test_frozen_store_does_not_hold_all_threads_of_the_scanner(stack: Stack) -> None:
    """Each request of its scan waits for a minute. The scan of another store goes on, and so does an abort in it."""
    bucket = stack.new_bucket()
    ids = {key: stack.client.create_multipart_upload(bucket, key) for key in map(str, range(30))}
    with FaultServer() as server:
        server.otherwise = freeze_listings
        options = f"name='stuck', endpoint_url='{server.url}', access_key='a', secret_key='s'"
        stack.run_python(f"from uploads.models import Store\nStore.objects.create({options})")
        stack.run_python(SCAN.format(store="stuck", buckets=[f"bucket-{n}" for n in range(20)]))
        wait_for("requests that wait", lambda: len(_listings(server)) >= MOST_THREADS)
        stack.run_python(SCAN.format(store=stack.store, buckets=[bucket]))
        wait_for("the end of the other scan", lambda: stack.query(ENDED, stack.store)[0][0])
        assert len(_listings(server)) == MOST_THREADS, "the requests of the frozen store have ended meanwhile"
        assert not stack.query(ENDED, "stuck")[0][0]
    assert {key for (key,) in stack.query(KEYS, stack.store)} == set(ids)


MOST_THREADS = 6
"""Of the 8 of the scanner, for one store."""

ENDED = """
SELECT count(*) FROM uploads_scan s JOIN uploads_store t ON t.id = s.store_id
WHERE t.name = ? AND s.finished_at IS NOT NULL
"""
KEYS = """
SELECT u.key FROM uploads_inventoryupload u JOIN uploads_store t ON t.id = u.store_id
WHERE t.name = ? AND u.parts = 0
"""


def _is_listing(received: Received) -> bool:
    return "?uploads" in received.target or "&uploads" in received.target


def _listings(server: FaultServer) -> list[str]:
    return [each.target for each in server.received if _is_listing(each)]


def check_refusals(pages: list[Future[requests.Response]]) -> None:
    responses = [each.result() for each in pages]
    codes = Counter((each.status_code, each.json()["error"]["code"]) for each in responses)
    assert codes == {(503, "StoreBusy"): PAGES - THREADS}
    assert all(int(each.headers["Retry-After"]) > 0 for each in responses)
