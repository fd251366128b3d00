"""Files of edge-case sizes are sent from the browser and compared with the object in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.files import write_file
from tests.browser.site import Site
from tests.system.stack import MIB, Stack

PART = 5 * MIB


@pytest.mark.parametrize(
    ("size", "part_size", "parts"),
    [
        pytest.param(0, "", 1, id="empty"),
        pytest.param(1, "", 1, id="one byte"),
        pytest.param(PART, str(PART), 1, id="exactly one part"),
        pytest.param(PART + 1, str(PART), 2, id="one part and a byte"),
        pytest.param(4 * PART, str(PART), 4, id="a multiple of the part size"),
        pytest.param(4 * PART + 1, str(PART), 5, id="a multiple and a byte"),
        pytest.param(300 * MIB, "", None, id="300 MB"),
    ],
)
def test_object_is_the_file(
    site: Site, stack: Stack, tmp_path: Path, size: int, part_size: str, parts: int | None
) -> None:
    bucket = stack.new_bucket()
    path = tmp_path / "file"
    expected = write_file(path, size)
    site.select_file(bucket, path, part_size=part_size)
    site.send()
    transfer_id = site.wait_for_transfer("done")
    path.unlink()
    assert stack.object_digest(bucket, "file") == (size, expected)
    [(planned,)] = stack.query("SELECT part_count FROM uploads_transfer WHERE id = ?", transfer_id.replace("-", ""))
    assert planned > 1 if parts is None else planned == parts
    assert not (stack.staging / transfer_id).exists()
    assert stack.uploads_in(bucket) == []
