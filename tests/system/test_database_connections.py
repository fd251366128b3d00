"""The connections to PostgreSQL of a whole site: few of them are enough, and nothing stops when there are none.

CONNECTION_FILES is the number of files that are sent at a time.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest
import requests

from local import ports
from tests.stores import processes
from tests.stores.postgresql import Cluster
from tests.system import stack as stacks
from tests.system.stack import Operator, Stack, wait_for
from tests.system.tus import Tus, content

FILES = int(os.environ.get("CONNECTION_FILES", "80"))
POLLERS = 50
SENDERS = 12
RESTART_FILES = 24
CRASHES = 3
FILE_BYTES = 512

ONE = "one-connection"
"""The name that PostgreSQL knows the web server with one connection by."""

WEB, WORKER, WATCHER, SENDER = 16, 8, 2, 3
"""The connections that docs/deployment.md states for the processes of a node."""

PAGE = {"Accept": "text/html"}
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def database(postgresql_cluster: Cluster) -> str:
    """A database without rows, of a server with its default settings."""
    return postgresql_cluster.migrated_database()


@pytest.fixture(scope="module")
def stack(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # A connection that breaks during a commit may lose the messages of that transaction.
    settings = {"DATABASE_URL": database, "LOST_MESSAGE_SECONDS": "10"}
    with stacks.running(tmp_path_factory.mktemp("connections"), settings) as running:
        yield running


@pytest.fixture
def tus(stack: Stack) -> Iterator[Tus]:
    with stack.signed_in() as operator:
        yield Tus(stack, operator, stack.new_bucket())


class Watch:
    """The largest number of connections of the site at a time, until the block is left."""

    def __init__(self, database: str) -> None:
        self.most = 0
        self._database = database
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        with psycopg.connect(self._database, autocommit=True) as connection:
            while not self._stopped.wait(0.1):
                self.most = max(self.most, connections_of_the_site(connection))


def connections_of_the_site(connection: psycopg.Connection[tuple[int]]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchone()
    assert row is not None
    return row[0]


def wait_for_all_done(stack: Stack, bucket: str) -> None:
    """Every file of the bucket of which a byte has arrived is in the store."""
    columns = "id, phase, all_received, desired_state, error_code"
    left = f"SELECT {columns} FROM uploads_transfer WHERE bucket = ? AND phase NOT IN ('done', 'receiving')"
    with suppress(AssertionError):
        wait_for("all files done", lambda: stack.query(left, bucket) == [] or None)
    assert stack.query(left, bucket) == []


@pytest.mark.timeout(400)
def test_many_files_and_50_pollers_need_few_connections_and_all_arrive(stack: Stack, tus: Tus, database: str) -> None:
    """64 threads would each keep a connection for ten minutes."""
    statuses: Counter[int] = Counter()
    received = threading.Event()

    def poll(number: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers.update({"Cookie": tus.operator.cookies, **(JSON if number % 2 else PAGE)})
            while not received.wait(0.5):
                url = ("/", "/transfers/", "/queue/")[number % 3]
                statuses[session.get(tus.operator.url + url, allow_redirects=False).status_code] += 1

    def send(number: int) -> None:
        created = tus.create(FILE_BYTES, content(0, FILE_BYTES), key=f"many/{number}")
        statuses[created.status] += 1

    with Watch(database) as watch, ThreadPoolExecutor(POLLERS + SENDERS) as pool:
        polling = [pool.submit(poll, number) for number in range(POLLERS)]
        try:
            for sent in [pool.submit(send, number) for number in range(FILES)]:
                sent.result()
        finally:
            received.set()
        for each in polling:
            each.result()
        wait_for_all_done(stack, tus.bucket)
    assert set(statuses) == {200, 201}
    assert statuses[201] == FILES
    assert watch.most <= WEB + WORKER + WATCHER + SENDER


def has_received(tus: Tus, path: str) -> bool:
    return tus.offset(path) == FILE_BYTES


def test_body_that_arrives_holds_no_connection(stack: Stack, tus: Tus, database: str) -> None:
    """More of them than there are connections: each has received a part of its body and waits for the rest."""
    with ExitStack() as exits:
        arriving = []
        for number in range(WEB + 4):
            path = tus.start(2 * FILE_BYTES, key=f"slow/{number}")
            body = exits.enter_context(tus.open_patch(path, 0, 2 * FILE_BYTES))
            body.send(content(0, FILE_BYTES))
            arriving.append((path, body))
        for path, _ in arriving:
            wait_for("the first bytes", partial(has_received, tus, path))
        assert tus.operator.session.get(tus.operator.url + "/").status_code == 200
        with psycopg.connect(database, autocommit=True) as connection:
            opened = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in %'"
            )
            wait_for("no open transaction", lambda: connection.execute(opened).fetchone() == (0,) or None)
        for _, body in arriving:
            body.send(content(FILE_BYTES, 2 * FILE_BYTES))
        assert {body.response().status for _, body in arriving} == {204}
    for path, _ in arriving:
        tus.wait_for_state(path, "done")


@contextmanager
def all_connections_taken(database: str) -> Iterator[None]:
    """Other programs hold every connection that the server accepts, and those of the site are ended."""
    ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
    with ExitStack() as exits:
        admin = exits.enter_context(psycopg.connect(database, autocommit=True))
        held: list[psycopg.Connection[tuple[int]]] = []

        def take() -> bool:
            with suppress(psycopg.OperationalError):
                while True:
                    held.append(exits.enter_context(psycopg.connect(database, autocommit=True)))
            if connections_of_the_site(admin) == len(held):
                return True
            ours = [admin.info.backend_pid, *(each.info.backend_pid for each in held)]
            admin.execute(f"{ends} ALL (%s)", [ours])
            return False

        wait_for("all connections taken", lambda: take() or None)
        yield


def test_site_without_a_connection_responds_503_and_goes_on_afterwards(stack: Stack, tus: Tus, database: str) -> None:
    path = tus.start(2 * FILE_BYTES)
    session, url = tus.operator.session, tus.operator.url
    with all_connections_taken(database):
        page = session.get(f"{url}/", headers=PAGE, allow_redirects=False)
        assert (page.status_code, page.headers["Retry-After"]) == (503, "3")
        assert "<h1" in page.text
        assert "database of Partway" in page.text
        values = session.get(f"{url}/transfers/", headers=JSON)
        assert (values.status_code, values.json()["error"]["code"]) == (503, "DatabaseBusy")
        fragment = session.get(f"{url}/", headers={"HX-Request": "true"})
        assert fragment.status_code == 503
        assert "alert" in fragment.text
        assert "<html" not in fragment.text
        login = {"username": "x", "password": "y", "csrfmiddlewaretoken": tus.operator.csrf_token}
        form = session.post(f"{url}/login/", data=login, headers={"Origin": url, **PAGE})
        assert form.status_code == 503
        assert "look first whether your last change was made" in form.text
        patch = tus.patch(path, 0, content(0, FILE_BYTES))
        assert (patch.status, patch.code, patch.headers["retry-after"]) == (503, "DatabaseBusy", "3")
        assert patch.headers["tus-resumable"] == "1.0.0"
        assert session.get(f"{url}/healthz").text == "ok"
        assert session.get(f"{url}/healthz?ready", headers=JSON).json()["checks"]["database"] == "failed"
    tus.send_rest(path, 2 * FILE_BYTES)
    tus.assert_arrived(path, 2 * FILE_BYTES)
    assert "no connection to the database" in stack.log("web")
    assert "connected to the database again" in stack.log("web")


@pytest.fixture
def site_with_one_connection(stack: Stack, tmp_path: Path) -> Iterator[str]:
    """The address of another web server of the site."""
    (port,) = ports.choose(1)
    argv = [sys.executable, "-m", "dashboard.server", "--port", str(port)]
    address = f"{stack.environment['DATABASE_URL']}?application_name={ONE}"
    settings = {"DATABASE_POOL_SIZE": "1", "DATABASE_URL": address}
    process = processes.start(argv, tmp_path / "web.log", {**stack.environment, **settings})
    wait_for("the web server", lambda: ports.is_listening(port))
    yield f"http://{ports.LOOPBACK}:{port}"
    processes.stop([process])


def test_request_without_a_free_connection_gets_503(tus: Tus, site_with_one_connection: str, database: str) -> None:
    """Another request has the only connection, and waits for a row that another program has locked."""
    transfer_id = tus.start(FILE_BYTES).rpartition("/")[2]
    url, operator = site_with_one_connection, Operator(site_with_one_connection, tus.operator.session)
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"

    def get(headers: dict[str, str]) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"{url}/transfers/", headers={"Cookie": operator.cookies, **headers})

    with (
        ThreadPoolExecutor(3) as pool,
        psycopg.connect(database, autocommit=True) as admin,
        psycopg.connect(database) as other,
    ):
        other.execute("SELECT 1 FROM uploads_transfer WHERE id = %s FOR UPDATE", [transfer_id])
        pausing = pool.submit(operator.post, f"/transfers/{transfer_id}/pause/")
        wait_for("the statement that waits", lambda: admin.execute(waiting, [ONE]).fetchone() == (1,))
        values, page = pool.map(get, (JSON, PAGE))
        assert not pausing.done()
        other.rollback()
        assert pausing.result().status_code == 200
    assert (values.status_code, values.json()["error"]["code"]) == (503, "DatabaseBusy")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "3")
    assert "The database of Partway is busy: all connections are in use" in page.text
    assert operator.transfer(transfer_id)["state"] == "paused"


def test_files_arrive_while_the_database_restarts(stack: Stack, tus: Tus) -> None:
    """The server ends all connections, in the middle of statements too, and accepts none for a while."""
    received: list[int] = []

    def send(number: int) -> None:
        # A response that is lost leaves its transfer, which keeps its key.
        created = wait_for("the creation", partial(create, number, iter(range(1000))))
        wait_for("the bytes", partial(receive, created))
        received.append(number)

    def create(number: int, attempts: Iterator[int]) -> str:
        response = tus.create(FILE_BYTES, key=f"restart/{number}/{next(attempts)}")
        assert response.status in (201, 503), response
        return response.headers.get("location", "")

    def receive(path: str) -> bool:
        head = tus.head(path)
        assert head.status in (200, 503), head
        if head.status == 503 or head.offset == FILE_BYTES:
            return head.status == 200
        response = tus.patch(path, 0, content(0, FILE_BYTES))
        assert response.status in (204, 423, 503), response
        return response.status == 204

    def have_arrived(least: int) -> bool:
        return len(received) >= least

    def crash() -> None:
        for number in range(CRASHES):
            wait_for("files between two crashes", partial(have_arrived, number * RESTART_FILES // CRASHES))
            stack.crash_database()

    with ThreadPoolExecutor(SENDERS + 1) as pool:
        crashing = pool.submit(crash)
        for sent in [pool.submit(send, number) for number in range(RESTART_FILES)]:
            sent.result()
        crashing.result()
    wait_for_all_done(stack, tus.bucket)
    arrived = "SELECT count(*) FROM uploads_transfer WHERE bucket = ? AND phase = 'done'"
    assert stack.query(arrived, tus.bucket) == [(RESTART_FILES,)]
    causes = "SELECT DISTINCT error_reason FROM uploads_part WHERE tries > 0"
    assert {reason for (reason,) in stack.query(causes)} <= {"DatabaseUnavailable"}
