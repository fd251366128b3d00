"""Memory use of sending. It does not depend on the store, so the embedded one is enough."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.stores.swift import SwiftStore

MIB = 1024 * 1024


def test_memory_does_not_grow_with_part_size(swift_store: SwiftStore, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(512 * MIB)
    where = (swift_store.endpoint_url, swift_store.region, swift_store.access_key, swift_store.secret_key)
    done = subprocess.run(
        [sys.executable, "-m", "tests.objectstore.sending", *where, swift_store.new_bucket(), str(path)],
        check=True,
        capture_output=True,
        timeout=200,
    )
    report = json.loads(done.stdout)
    assert report["sizes"] == [17 * MIB, 512 * MIB]
    small, large = report["memory"]
    assert large - small < 4 * 1024, report
