"""Uppy as other pages use it: its defaults, the credentials of an operator, and nothing of our own page."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import OpenSite
from tests.browser.files import write_file
from tests.browser.site import Site
from tests.system.stack import MIB, Stack

SIZE = 12 * MIB + 77
KEY = "from-uppy.bin"

UPPY = """async ({ metadata, options, stopAfter }) => {
  const { Uppy, Tus } = globalThis.Uppy;
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const file = document.querySelector("#client-file").files[0];
  const uppy = new Uppy({ id: "client" }).use(Tus, {
    endpoint: "/files/", headers: { "X-CSRFToken": token }, retryDelays: [], ...options,
  });
  uppy.addFile({ name: file.name, type: file.type, data: file, meta: metadata });
  if (stopAfter) {
    return new Promise((resolve) => {
      uppy.on("upload-progress", (sent, { bytesUploaded }) => {
        if (bytesUploaded < stopAfter) return;
        uppy.pauseAll();
        resolve({ stopped: bytesUploaded });
      });
      uppy.upload();
    });
  }
  const { successful, failed } = await uppy.upload();
  return { urls: successful.map(({ uploadURL }) => uploadURL), errors: failed.map(({ error }) => error) };
}"""


@pytest.fixture
def site(open_site: OpenSite, tmp_path: Path) -> Site:
    """A page that has Uppy, with a file that was selected in a field of the test."""
    site: Site = open_site()
    write_file(tmp_path / KEY, SIZE)
    prepare(site, tmp_path / KEY)
    return site


def prepare(site: Site, path: Path) -> None:
    site.page.goto("/transfers/new/")
    site.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<input type=file id=client-file>')")
    site.page.locator("#client-file").set_input_files(path)


def run(site: Site, bucket: str, options: dict[str, object], stop_after: int = 0) -> Any:
    metadata = {"store": site.store, "bucket": bucket, "key": KEY, "part-size": str(5 * MIB)}
    return site.page.evaluate(UPPY, {"metadata": metadata, "options": options, "stopAfter": stop_after})


def check(site: Site, stack: Stack, bucket: str, url: str, path: Path) -> None:
    site.page.goto(f"/transfers/{url.rpartition('/')[2]}/")
    site.wait_for_transfer("done")
    assert stack.object_digest(bucket, KEY) == (SIZE, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize("options", [{}, {"chunkSize": 4 * MIB}, {"uploadDataDuringCreation": True}])
def test_uppy_sends_a_file(site: Site, stack: Stack, bucket: str, tmp_path: Path, options: dict[str, object]) -> None:
    result = run(site, bucket, options)
    assert result["errors"] == []
    check(site, stack, bucket, result["urls"][0], tmp_path / KEY)


def test_uppy_resumes_after_a_reload(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    """It keeps the address of the upload in the browser and asks for its offset."""
    assert run(site, bucket, {"chunkSize": MIB}, stop_after=MIB)["stopped"] >= MIB
    prepare(site, tmp_path / KEY)
    result = run(site, bucket, {"chunkSize": MIB})
    assert result["errors"] == []
    check(site, stack, bucket, result["urls"][0], tmp_path / KEY)
    assert len(stack.query("SELECT id FROM uploads_transfer WHERE bucket = ?", bucket)) == 1


def test_uppy_is_told_that_parallel_uploads_are_not_supported(site: Site, stack: Stack, bucket: str) -> None:
    site.watcher.expect("400|Upload-Concat")
    [error] = run(site, bucket, {"parallelUploads": 2})["errors"]
    assert "Upload-Concat is not supported" in error
    assert stack.query("SELECT id FROM uploads_transfer WHERE bucket = ?", bucket) == []
