"""Other clients work and resume unchanged: tuspy in Python, tus-js-client in Node, curl."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests.system.sending import file_blocks
from tests.system.stack import MIB, PATIENCE, Operator, Stack, wait_for
from tests.system.tus import OFFSET_STREAM, PART, Tus, metadata_header

SIZE = 3 * PART + 12_345
SCRIPT = Path(__file__).with_name("tus_js_client.mjs")


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Iterator[Operator]:
    with stack.signed_in() as operator:
        yield operator


@pytest.fixture
def tus(stack: Stack, operator: Operator) -> Tus:
    """Our own client, to check the results of the others."""
    return Tus(stack, operator, stack.new_bucket())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clients") / "file.bin"
    with path.open("wb") as written:
        written.writelines(file_blocks(0, SIZE))
    return path


def metadata(tus: Tus) -> dict[str, str]:
    return {"store": tus.stack.store, "bucket": tus.bucket, "key": "file", "part-size": str(PART)}


def credentials(tus: Tus) -> dict[str, str]:
    """The headers that an operator's script sends with each request."""
    return {"Cookie": tus.operator.cookies, "X-CSRFToken": tus.operator.csrf_token}


# --- A line that fails ------------------------------------------------------------------------------------------------


class Line:
    """A line to the web server that fails once, after some bytes. Both ends are closed when it is repaired."""

    def __init__(self, url: str, fails_after: int) -> None:
        self._target = urlsplit(url)
        self._left = fails_after
        self._failed, self._repaired = threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def repair_after_failure(self, meanwhile: Callable[[], None]) -> None:
        """Wait for the failure, call `meanwhile`, and repair the line."""
        assert self._failed.wait(PATIENCE), "the line did not fail"
        meanwhile()
        self._repaired.set()

    def close(self) -> None:
        self._repaired.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            server = socket.create_connection((str(self._target.hostname), int(self._target.port or 80)))
            with server:
                back = threading.Thread(target=forward, args=[server, client], daemon=True)
                back.start()
                self._send(client, server)
                back.join()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        while data := client.recv(64 * 1024):
            if not self._failed.is_set() and len(data) >= self._left:
                server.sendall(data[: self._left])
                self._failed.set()
                self._repaired.wait()
                for end in (client, server):
                    end.shutdown(socket.SHUT_RDWR)
                return
            self._left -= len(data)
            server.sendall(data)
        server.shutdown(socket.SHUT_WR)


def forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(64 * 1024):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def line(stack: Stack) -> Iterator[Line]:
    opened = Line(stack.url, PART + 2 * MIB)
    try:
        yield opened
    finally:
        opened.close()


def only_fail(_: Stack) -> None:
    """Nothing happens besides the failure of the line."""


def restart_web(stack: Stack) -> None:
    """Kill and restart the web server. Not in a thread: a process ends with the thread that started it."""
    stack.kill("web")
    stack.start("web")


EVENTS = pytest.mark.parametrize("event", [only_fail, restart_web])
Event = Callable[[Stack], None]


# --- tuspy ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tuspy(tus: Tus, file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Creates an uploader of the file, with options of the client."""
    monkeypatch.setenv("NO_PROXY", "*")
    with ExitStack() as opened:

        def uploader(base: str = tus.stack.url, **options: Any) -> Any:
            stream: IO[bytes] = opened.enter_context(file.open("rb"))
            client = TusClient(f"{base}/files/", headers=credentials(tus))
            return client.uploader(file_stream=stream, metadata=metadata(tus), **options)

        yield uploader


@pytest.mark.parametrize("options", [{}, {"chunk_size": 2 * MIB}, {"chunk_size": 4 * MIB, "upload_checksum": True}])
def test_tuspy_sends_a_file(tus: Tus, tuspy: Callable[..., Any], options: dict[str, Any]) -> None:
    uploader = tuspy(**options)
    uploader.upload()
    tus.assert_arrived(urlsplit(uploader.url).path, SIZE)


def test_tuspy_stops_and_resumes_by_url(tus: Tus, tuspy: Callable[..., Any]) -> None:
    first = tuspy(chunk_size=3 * MIB)
    first.upload(stop_at=PART + MIB)
    second = tuspy(url=first.url, chunk_size=3 * MIB)
    assert second.offset == PART + MIB
    second.upload()
    tus.assert_arrived(urlsplit(second.url).path, SIZE)


@EVENTS
def test_tuspy_is_interrupted_and_resumes_by_url(tus: Tus, tuspy: Callable[..., Any], event: Event) -> None:
    with line(tus.stack) as opened_line, ThreadPoolExecutor(1) as pool:
        uploader = tuspy(opened_line.url)
        sending = pool.submit(uploader.upload)
        opened_line.repair_after_failure(lambda: event(tus.stack))
        with pytest.raises((TusUploadFailed, TusCommunicationError)):
            sending.result()
        resumed = tuspy(opened_line.url, url=uploader.url)
        assert 0 < resumed.offset < SIZE
        resume(resumed)
    arrive_after_a_lost_message(tus, urlsplit(resumed.url).path)


def resume(uploader: Any) -> None:
    """The server may still be waiting for the interrupted connection."""

    def is_uploaded() -> bool:
        with suppress(TusUploadFailed):
            uploader.offset = uploader.get_offset()
            uploader.upload()
            return True
        return False

    wait_for("the rest to be sent", is_uploaded)


@EVENTS
def test_tuspy_resumes_automatically(tus: Tus, tuspy: Callable[..., Any], event: Event) -> None:
    with line(tus.stack) as opened_line, ThreadPoolExecutor(1) as pool:
        uploader = tuspy(opened_line.url, chunk_size=4 * MIB, retries=30, retry_delay=1)
        sending = pool.submit(uploader.upload)
        opened_line.repair_after_failure(lambda: event(tus.stack))
        sending.result()
    arrive_after_a_lost_message(tus, urlsplit(uploader.url).path)


def arrive_after_a_lost_message(tus: Tus, path: str) -> None:
    """A killed web server may lose a message to the workers. The watchdog sends it again."""
    tus.stack.let_time_pass(90)
    tus.assert_arrived(path, SIZE)


# --- tus-js-client ----------------------------------------------------------------------------------------------------


class JsClient:
    """One run of tus-js-client in a separate process."""

    def __init__(self, tus: Tus, file: Path, base: str, **task: object) -> None:
        node = shutil.which("node") or str(Path(sys.executable).with_name("node"))
        self._process = subprocess.Popen([node, str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        with self._process.stdin as stdin:
            known = {"endpoint": f"{base}/files/", "file": str(file), "size": SIZE}
            json.dump({**known, "headers": credentials(tus), "metadata": metadata(tus), **task}, stdin)

    def facts(self) -> Iterator[dict[str, Any]]:
        assert self._process.stdout is not None
        for line_of_json in self._process.stdout:
            yield json.loads(line_of_json)

    def kill(self) -> None:
        self._process.kill()
        self.wait()

    def wait(self) -> dict[str, Any]:
        """The latest fact of each kind."""
        reported: dict[str, Any] = {}
        for fact in self.facts():
            reported |= fact
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return reported


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"chunkSize": 2 * MIB},
        {"whole": True},
        {"whole": True, "chunkSize": 4 * MIB},
        {"duringCreation": True, "chunkSize": 3 * MIB},
    ],
)
def test_tus_js_client_sends_a_file(tus: Tus, file: Path, task: dict[str, object]) -> None:
    reported = JsClient(tus, file, tus.stack.url, **task).wait()
    assert reported.get("done"), reported
    tus.assert_arrived(urlsplit(reported["url"]).path, SIZE)


def test_tus_js_client_is_killed_and_resumes_by_url(tus: Tus, file: Path) -> None:
    first = JsClient(tus, file, tus.stack.url, chunkSize=MIB)
    reported: dict[str, Any] = {}
    for fact in first.facts():
        reported |= fact
        if reported.get("sent", 0) > PART:
            break
    first.kill()
    assert 0 < tus.offset(urlsplit(reported["url"]).path) < SIZE
    again = JsClient(tus, file, tus.stack.url, uploadUrl=reported["url"], retryDelays=[100] * 100).wait()
    assert again.get("done"), again
    tus.assert_arrived(urlsplit(reported["url"]).path, SIZE)


@EVENTS
def test_tus_js_client_is_interrupted_and_resumes_by_url(tus: Tus, file: Path, event: Event) -> None:
    with line(tus.stack) as opened_line:
        client = JsClient(tus, file, opened_line.url)
        opened_line.repair_after_failure(lambda: event(tus.stack))
        reported = client.wait()
        assert reported.get("error"), reported
        path = urlsplit(reported["url"]).path
        assert 0 < tus.offset(path) < SIZE
        again = JsClient(tus, file, opened_line.url, uploadUrl=reported["url"], retryDelays=[100] * 100).wait()
        assert again.get("done"), again
    arrive_after_a_lost_message(tus, path)


@EVENTS
@pytest.mark.parametrize("whole", [False, True])
def test_tus_js_client_resumes_automatically(tus: Tus, file: Path, event: Event, whole: bool) -> None:
    with line(tus.stack) as opened_line:
        client = JsClient(tus, file, opened_line.url, whole=whole, retryDelays=[500] * 100)
        opened_line.repair_after_failure(lambda: event(tus.stack))
        reported = client.wait()
        assert reported.get("done"), reported
    arrive_after_a_lost_message(tus, urlsplit(reported["url"]).path)


def test_tus_js_client_is_interrupted_during_creation(tus: Tus, file: Path) -> None:
    """It does not know the address of the upload and starts another one."""
    with line(tus.stack) as opened_line:
        client = JsClient(tus, file, opened_line.url, duringCreation=True, retryDelays=[500] * 100)
        opened_line.repair_after_failure(lambda: only_fail(tus.stack))
        reported = client.wait()
        assert reported.get("done"), reported
    tus.assert_arrived(urlsplit(reported["url"]).path, SIZE)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ({"parallelUploads": 2}, "Upload-Concat is not supported"),
        ({"deferred": True, "chunkSize": MIB}, "Upload-Defer-Length is not supported"),
        ({"protocol": "ietf-draft-05"}, "This server uses tus 1.0.0"),
    ],
)
def test_tus_js_client_is_told_what_is_not_supported(
    tus: Tus, file: Path, task: dict[str, object], reason: str
) -> None:
    """Otherwise each of the parallel uploads would be reported as a file of its own, and be done."""
    reported = JsClient(tus, file, tus.stack.url, whole=not task.get("deferred"), **task).wait()
    assert reason in reported["error"]
    assert tus.stack.query("SELECT id FROM uploads_transfer WHERE bucket = ?", tus.bucket) == []


# --- curl -------------------------------------------------------------------------------------------------------------

PATCHING = {"Content-Type": OFFSET_STREAM, "Upload-Offset": "0"}
CREATING = {"Content-Type": OFFSET_STREAM, "Upload-Length": str(SIZE)}
CHUNKED = {"Transfer-Encoding": "chunked"}


def curl(
    tus: Tus, path: str, *options: str, headers: Mapping[str, str] | None = None, stdin: Path | None = None
) -> tuple[int, str]:
    """Run curl with the credentials of an operator. Returns the status and the heads and body of the response."""
    sent = {"Tus-Resumable": "1.0.0", **credentials(tus), **(headers or {})}
    arguments = [argument for name, value in sent.items() for argument in ("-H", f"{name}: {value}")]
    command = ["curl", "-sS", "-i", "--noproxy", "*", "-w", "\n%{http_code}", *arguments, *options]
    with ExitStack() as opened:
        source = opened.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
        done = subprocess.run(
            [*command, tus.stack.url + path], stdin=source, stdout=subprocess.PIPE, text=True, check=True
        )
    output, _, status = done.stdout.rpartition("\n")
    return int(status), output


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        (["-X", "PATCH", "-T", "-"], CHUNKED),
        (["-X", "PATCH", "--data-binary", "@-"], CHUNKED),
        (["-X", "PATCH", "-T", "."], CHUNKED),
        (["-X", "PATCH", "--data-binary", "@-"], {}),
        (["-T", "-"], {"X-HTTP-Method-Override": "PATCH"}),
        (["-X", "PATCH", "--http1.0", "--data-binary", "@-"], {}),
    ],
)
def test_curl_sends_a_file(tus: Tus, file: Path, options: list[str], headers: dict[str, str]) -> None:
    """In chunks, with Expect: 100-continue, and with an override."""
    path = tus.start(SIZE)
    status, output = curl(tus, path, *options, stdin=file, headers={**PATCHING, **headers})
    assert status == 204, output
    tus.assert_arrived(path, SIZE)


def test_curl_creates_an_upload_with_a_body_in_chunks(tus: Tus, file: Path) -> None:
    given = metadata_header(metadata(tus))
    headers = {**CREATING, **CHUNKED, "Upload-Metadata": given}
    status, output = curl(tus, "/files/", "-X", "POST", "-T", "-", stdin=file, headers=headers)
    assert status == 201, output
    [path] = [each.split()[1] for each in output.splitlines() if each.lower().startswith("location:")]
    status, output = curl(tus, path, "--head")
    assert status == 200
    assert f"upload-metadata: {given}" in output.lower().replace(given.lower(), given)
    tus.assert_arrived(path, SIZE)


def test_curl_is_refused_before_it_sends_the_body(tus: Tus, file: Path) -> None:
    path = tus.start(SIZE)
    status, output = curl(tus, path, "-X", "PATCH", "-T", str(file), headers={**PATCHING, "Upload-Offset": "7"})
    assert status == 413
    assert "100 Continue" not in output


def test_curl_sends_the_form_in_chunks(tus: Tus, file: Path) -> None:
    fields = {"csrfmiddlewaretoken": tus.operator.csrf_token, **metadata(tus)}
    form = [option for name, value in fields.items() for option in ("-F", f"{name}={value}")]
    headers = {**CHUNKED, "Accept": "application/json"}
    status, output = curl(tus, "/transfers/new/", *form, "-F", f"file=@{file}", headers=headers)
    assert status == 400
    assert "“size”" in json.loads(output.rpartition("\n")[2])["error"]["message"]
    status, output = curl(tus, "/transfers/new/", *form, "-F", f"size={SIZE}", "-F", f"file=@{file}", headers=headers)
    assert status == 201, output
    tus.assert_arrived(f"/{json.loads(output.rpartition(chr(10))[2])['id']}", SIZE)
