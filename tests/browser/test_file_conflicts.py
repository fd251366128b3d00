"""Files that the page must not mix up: changed ones, equal names, keys that look the same, and what is left out."""

from __future__ import annotations

import hashlib
import os
import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.files import write_file
from tests.browser.line import Line
from tests.browser.site import Site
from tests.browser.test_uppy_resuming import KEY, RATE, SIZE, transfers
from tests.system.stack import MIB, Stack

CONFLICT = "status of 409"


def send_half(site: Site, bucket: str, path: Path) -> Line:
    """Send a part of the file to `in/<name>`, and reload the page."""
    site.fill_form(bucket, prefix="in/", part_size="5 MiB")
    line = Line(site.page)
    line.slow_down(RATE)
    site.select_files(path)
    site.send()
    site.wait_until_received(KEY, 15)
    site.page.reload()
    return line


def drop(site: Site, *paths: Path) -> None:
    """Drop files and folders of the disk onto the page, as the system does."""
    session = site.page.context.new_cdp_session(site.page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})


# --- A file that has changed ------------------------------------------------------------------------------------------


def test_touched_file_is_sent_after_one_step(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    site.watcher.expect(CONFLICT)
    file = tmp_path / "big.bin"
    digest = write_file(file, SIZE)
    line = send_half(site, bucket, file)
    os.utime(file, (1, 1))
    site.select_files(file)
    site.send()
    row = site.wait_for_file(KEY, "busy")
    expect(row.locator("[data-part=words]")).to_contain_text("of 48.0 MiB have been received")
    expect(row.get_by_role("link", name="Show that transfer")).to_have_attribute(
        "href", f"/transfers/{stack_id(stack, bucket)}/"
    )
    line.restore()
    site.step(KEY, "takeover")
    site.wait_for_file(KEY, "done")
    assert stack.object_digest(bucket, KEY) == (SIZE, digest)
    assert sorted(phase for _, phase in transfers(stack, bucket)) == ["cancelled", "done"]
    assert stack.uploads_in(bucket) == []


def stack_id(stack: Stack, bucket: str) -> str:
    [(transfer_id, _)] = transfers(stack, bucket)
    return str(uuid.UUID(str(transfer_id)))


def test_bytes_of_two_files_are_never_mixed(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    """The second file has the name, size, date and samples of the first. Only a byte between two samples differs."""
    site.watcher.expect(CONFLICT)
    file = tmp_path / "big.bin"
    write_file(file, SIZE)
    line = send_half(site, bucket, file)
    other = tmp_path / "other" / "big.bin"
    other.parent.mkdir()
    changed = bytearray(file.read_bytes())
    changed[200_000] ^= 1
    other.write_bytes(changed)
    status = file.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    site.select_files(other)
    site.send()
    row = site.wait_for_file(KEY, "busy")
    expect(row.locator("[data-part=words]")).to_contain_text("other bytes than this file")
    assert [phase for _, phase in transfers(stack, bucket)] != ["done"]
    line.restore()
    site.step(KEY, "takeover")
    site.wait_for_file(KEY, "done")
    assert stack.object_digest(bucket, KEY) == (SIZE, hashlib.sha256(changed).hexdigest())


# --- Files with the same name -----------------------------------------------------------------------------------------


def test_file_with_the_same_name_size_and_date_is_not_left_out(
    site: Site, stack: Stack, bucket: str, tmp_path: Path
) -> None:
    paths = [tmp_path / folder / "same.txt" for folder in ("a", "b", "c")]
    for path, text in zip(paths, ("one", "two", "one"), strict=True):
        path.parent.mkdir()
        path.write_text(text)
        os.utime(path, (1, 1))
    site.fill_form(bucket)
    site.select_files(*paths)
    expect(site.files).to_have_count(2)
    expect(site.page.locator("#files-notice")).to_have_text("1 file is already in the list.")
    expect(site.page.locator("#same-keys")).to_contain_text("1 file has the same key")
    expect(site.files.nth(1)).to_contain_text("Another file in this list has the same key: same.txt.")
    site.files.nth(1).locator("[data-step=edit]").click()
    site.page.keyboard.type("other.txt")
    site.page.keyboard.press("Enter")
    expect(site.page.locator("#same-keys")).to_be_hidden()
    site.send()
    site.wait_for_files("done", 2)
    digests = [stack.object_digest(bucket, key)[1] for key in ("same.txt", "other.txt")]
    assert digests == [hashlib.sha256(text).hexdigest() for text in (b"one", b"two")]


def test_composed_and_decomposed_names_look_different(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Müller.txt") for form in ("NFC", "NFD")] + ["Müller.txt ", "a\u200b.txt"]
    for number, name in enumerate(names):
        (tmp_path / name).write_text(f"file {number}")
    site.fill_form(bucket)
    site.select_files(*(tmp_path / name for name in names))
    shown = [unicodedata.normalize("NFC", key) for key in site.file_keys]
    assert sorted(shown) == sorted(["Müller.txt", "Müller.txtNFD", "Müller.txt␣", "aU+200B.txt"])
    expect(site.files.first).to_contain_text("text/plain")
    site.send()
    site.wait_for_files("done", 4)
    for number, name in enumerate(names):
        assert stack.object_digest(bucket, name)[1] == hashlib.sha256(f"file {number}".encode()).hexdigest()
    site.page.goto("/transfers/")
    listed = [unicodedata.normalize("NFC", each) for each in site.page.locator("th .key").all_inner_texts()]
    assert len(set(listed[:4])) == 4
    assert "Müller.txtNFD" in listed


def test_content_type_is_shown_and_can_be_changed(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    for name in ("a.CSV", "b.parquet", "c"):
        (tmp_path / name).write_text("content")
    site.fill_form(bucket)
    site.select_files(*(tmp_path / name for name in ("a.CSV", "b.parquet", "c")))
    types = site.page.locator(".file [data-part=type]")
    expected = ["text/csv", "application/vnd.apache.parquet", "application/octet-stream"]
    expect(types).to_have_text(expected)
    site.send()
    site.wait_for_files("done", 3)
    keys = ("a.CSV", "b.parquet", "c")
    assert [stack.s3.head_object(Bucket=bucket, Key=key)["ContentType"] for key in keys] == expected
    site.page.get_by_role("button", name="Clear finished").click()
    (tmp_path / "d.csv").write_text("content")
    site.select_files(tmp_path / "d.csv")
    site.page.get_by_label("Content type").fill("text/x-own")
    expect(types).to_have_text(["text/x-own"])
    site.send()
    site.wait_for_files("done", 1)
    assert stack.s3.head_object(Bucket=bucket, Key="d.csv")["ContentType"] == "text/x-own"


# --- What is not sent -------------------------------------------------------------------------------------------------


def test_what_is_left_out_of_a_dropped_folder_is_reported(site: Site, bucket: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for number in range(250):
        write_file(folder / "many" / f"file-{number}", 10)
    write_file(folder / ".DS_Store", 10)
    (folder / "empty").mkdir()
    (folder / "deep" / "empty too").mkdir(parents=True)
    site.fill_form(bucket)
    drop(site, folder)
    expect(site.page.locator("#files-count")).to_contain_text("251 files")
    assert site.file_keys[:2] == ["folder/.DS_Store", "folder/many/file-0"]
    left_out = site.page.locator("#left-out")
    expect(left_out).to_contain_text("2 items were left out")
    expect(left_out.get_by_role("listitem")).to_contain_text(["folder/deep/empty too/", "folder/empty/"])
    left_out.get_by_role("button", name="Close").click()
    expect(left_out).to_be_hidden()


def test_file_that_vanishes_is_reported_and_the_rest_is_sent(site: Site, bucket: str, tmp_path: Path) -> None:
    site.watcher.expect(Line.broken)
    names = ("a.bin", "b.bin", "c.bin")
    for name in names:
        write_file(tmp_path / name, MIB)
    site.fill_form(bucket)
    site.select_files(*(tmp_path / name for name in names))
    (tmp_path / "b.bin").unlink()
    site.send()
    row = site.wait_for_file("b.bin", "failed")
    expect(row.locator("[data-part=words]")).to_contain_text("can no longer be read")
    for name in ("a.bin", "c.bin"):
        site.wait_for_file(name, "done")


@pytest.fixture
def smaller_objects(stack: Stack) -> Iterator[None]:
    """The store accepts objects of at most 5 TiB."""
    change = "from uploads.models import Store\nStore.objects.filter(name={!r}).update(provider={!r})"
    stack.run_python(change.format(stack.store, "wasabi"))
    yield
    stack.run_python(change.format(stack.store, stack.kind.provider))


@pytest.mark.usefixtures("smaller_objects")
def test_file_that_is_too_large_does_not_stop_the_others(site: Site, bucket: str, tmp_path: Path) -> None:
    site.watcher.expect("status of 4(00|13)")
    write_file(tmp_path / "small", 10)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(6 * 1024**4)
    site.fill_form(bucket)
    site.select_files(tmp_path / "huge", tmp_path / "small")
    site.send()
    site.wait_for_file("small", "done")
    row = site.wait_for_file("huge", "refused")
    expect(row.locator("[data-part=words]")).not_to_be_empty()
