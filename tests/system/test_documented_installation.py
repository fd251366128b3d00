"""docs/deployment.md, followed literally: from an empty folder to an object in a store, with Debian's programs."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urljoin

import pytest
import requests

from local import supervision
from tests.stores.postgresql import Cluster
from tests.stores.swift import SwiftStore
from tests.system import documented, tus
from tests.system.documented import ADMIN, Documented
from tests.system.stack import Operator, wait_for

# It installs everything, which takes minutes on a busy machine.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def place(postgresql_cluster: Cluster) -> Iterator[Documented]:
    """An installation that has followed the steps of the document up to the start of the processes."""
    with documented.documented(postgresql_cluster) as place:
        folders, database, installation, _ready = documented.shell_blocks("Installation")
        place.run(folders)
        place.run(database)
        place.run(installation)
        place.protect(writable=False)
        yield place


@pytest.fixture(scope="module")
def code_before(place: Documented) -> dict[str, int]:
    """The files of the code before any process has started."""
    return place.files()


@pytest.fixture(scope="module")
def operator(place: Documented, code_before: dict[str, int]) -> Iterator[Operator]:
    """An administrator of the running installation."""
    place.start_all()
    wait_for("a response", lambda: is_ready(place))
    with requests.Session() as session:
        session.trust_env = False
        operator = Operator(place.url, session)
        operator.sign_in(ADMIN)
        yield operator


def is_ready(place: Documented) -> bool:
    with suppress(requests.ConnectionError), requests.Session() as session:
        session.trust_env = False
        return session.get(f"{place.url}/healthz?ready", timeout=30).ok
    return False


def test_named_packages_are_installed_and_no_others_are_used() -> None:
    programs = documented.installed_programs()
    assert documented.packages() == set(programs)
    assert all(programs.values()), programs


def test_documented_processes_are_those_of_make_run() -> None:
    ours = [supervision.web("127.0.0.1", 8000), supervision.sender("n"), supervision.worker("n")]
    ours += [supervision.watcher(), supervision.scanner(), supervision.beat()]
    commands = [
        shlex.split(command.replace(".venv/bin/python", sys.executable).replace("$NODE_NAME", "n"))
        for command in documented.process_commands()
    ]
    assert commands == [list(process.argv) for process in ours]


def test_settings_with_secrets_are_private(place: Documented) -> None:
    assert (place.base / "etc" / "env").stat().st_mode & 0o777 == 0o640
    assert (place.base / "etc").stat().st_mode & 0o777 == 0o750
    assert (place.base / "data").stat().st_mode & 0o777 == 0o700


def test_pages_have_their_static_files(place: Documented, operator: Operator) -> None:
    place.run(documented.shell_blocks("Installation")[-1])
    addresses = set()
    for path in ("/login/", "/", "/stores/", "/stores/new/", "/transfers/", "/transfers/new/", "/audit/", "/staging/"):
        page = operator.session.get(place.url + path)
        assert page.status_code == 200, path
        addresses |= set(re.findall(r'(?:src|href|data-[a-z0-9-]+)="(/(?:static|catalog)/[^"]+)"', page.text))
    assert len(addresses) > 10
    statuses = {address: operator.session.get(place.url + address).status_code for address in addresses}
    assert set(statuses.values()) == {200}, statuses


def test_file_arrives_in_a_store(place: Documented, operator: Operator, swift_store: SwiftStore) -> None:
    options = f"--endpoint-url {swift_store.endpoint_url} --region {swift_store.region} --provider swift"
    place.manage(
        f"add_store main {options} --access-key {swift_store.access_key}", STORE_SECRET_KEY=swift_store.secret_key
    )
    bucket = swift_store.new_bucket()
    size = tus.PART + 1000
    values = {"store": "main", "bucket": bucket, "key": "a/file.bin", "part-size": tus.PART}
    headers = {"Tus-Resumable": "1.0.0", "X-CSRFToken": operator.csrf_token, "Referer": place.url}
    created = operator.session.post(
        f"{place.url}/files/",
        headers={**headers, "Upload-Length": str(size), "Upload-Metadata": tus.metadata_header(values)},
    )
    assert created.status_code == 201, created.text
    sent = operator.session.patch(
        urljoin(place.url, created.headers["Location"]),
        data=tus.content(0, size),
        headers={**headers, "Upload-Offset": "0", "Content-Type": tus.OFFSET_STREAM},
    )
    assert sent.status_code == 204, sent.text
    transfer_id = created.headers["Location"].rsplit("/", maxsplit=1)[-1]
    operator.wait_for_state(transfer_id, "done")
    page = operator.session.get(f"{place.url}/transfers/{transfer_id}/")
    assert page.status_code == 200
    assert "a/file.bin" in page.text


def test_running_writes_nothing_into_the_code(
    place: Documented, code_before: dict[str, int], operator: Operator
) -> None:
    assert operator.session.get(f"{place.url}/").ok
    place.stop_all()
    assert place.files() == code_before
    log = place.log.read_text()
    assert "Traceback" not in log
    assert "Permission denied" not in log


def test_upgrade_and_backup_follow_the_document(place: Documented) -> None:
    place.protect(writable=True)
    output = place.run(documented.shell_blocks("Upgrading")[0])
    assert "installing" not in output, "nothing has changed, so nothing is downloaded"
    assert "partway: installed in" in output
    place.run(documented.shell_blocks("Backup")[0])
    assert (place.base / "data" / "backup.dump").stat().st_size > 10_000
