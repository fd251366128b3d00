"""Several files on the page of a new transfer: selecting, keys, errors, confirmation and verification."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, expect

from tests.browser.conftest import OpenSite
from tests.browser.files import write_file
from tests.browser.line import Line
from tests.browser.site import Site
from tests.browser.watching import overflow, widest
from tests.system.stack import MIB, Stack, wait_for

SIZES = {"empty": 0, "one byte": 1, "small.txt": 70_000, "photo.jpg": 3 * MIB, "several parts.bin": 12 * MIB}
TREE = ("folder/a.txt", "folder/sub/a.txt", "folder/sub/deeper/Ünï & +%#.txt", "folder/A.txt")
CONFLICT = "status of 409"


def digest_in(stack: Stack, bucket: str, key: str) -> str:
    return stack.object_digest(bucket, key)[1]


def transfers_to(stack: Stack, bucket: str) -> int:
    [(count,)] = stack.query("SELECT count(*) FROM uploads_transfer WHERE bucket = ?", bucket)
    return int(count)


# --- Selecting files --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_unfinished")
def test_five_files_are_sent_at_once(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    digests = {name: write_file(tmp_path / name, size) for name, size in SIZES.items()}
    site.fill_form(bucket, prefix="in/", part_size="5 MiB", metadata="owner: ops")
    site.select_files(*(tmp_path / name for name in SIZES))
    expect(site.page.locator("#files-count")).to_contain_text("5 files · 15.1 MiB")
    expect(site.page.locator("#plan")).to_contain_text("12.0 MiB in 3 parts")  # The largest.
    expect(site.page.get_by_label("Key", exact=True)).to_be_disabled()
    site.send()
    site.wait_for_files("done", 5)
    assert {name: digest_in(stack, bucket, f"in/{name}") for name in SIZES} == digests
    head = stack.s3.head_object(Bucket=bucket, Key="in/photo.jpg")
    assert (head["ContentType"], head["Metadata"]["owner"]) == ("image/jpeg", "ops")
    expect(site.page.locator("#announcement")).to_have_text("5 done.")
    wait_for("an empty staging", lambda: not stack.staged_files())


def test_folder_keeps_its_paths(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    digests = {path: write_file(tmp_path / path, 1000 + number) for number, path in enumerate(TREE)}
    site.fill_form(bucket, prefix="in/")
    site.select_folder(tmp_path / "folder")
    assert sorted(site.file_keys) == sorted(f"in/{path}" for path in TREE)
    site.send()
    site.wait_for_files("done", len(TREE))
    assert {path: digest_in(stack, bucket, f"in/{path}") for path in TREE} == digests


def test_files_are_dropped_anywhere(site: Site, stack: Stack, bucket: str) -> None:
    site.fill_form(bucket)
    dropped = """() => {
        const transfer = new DataTransfer();
        for (const name of ["one.txt", "two.txt"]) transfer.items.add(new File([name], name));
        return transfer;
    }"""
    data = site.page.evaluate_handle(dropped)
    site.page.dispatch_event(".page-title", "dragover", {"dataTransfer": data})
    expect(site.page.locator("#drop-overlay")).to_be_visible()
    site.page.dispatch_event(".page-title", "drop", {"dataTransfer": data})
    expect(site.page.locator("#drop-overlay")).to_be_hidden()
    expect(site.files).to_have_count(2)
    site.send()
    site.wait_for_files("done", 2)
    assert digest_in(stack, bucket, "two.txt") == hashlib.sha256(b"two.txt").hexdigest()


def test_file_in_the_list_is_not_added_again(site: Site, bucket: str, tmp_path: Path) -> None:
    write_file(tmp_path / "a.txt", 10)
    write_file(tmp_path / "b.txt", 10)
    site.fill_form(bucket)
    site.select_files(tmp_path / "a.txt")
    site.select_files(tmp_path / "a.txt", tmp_path / "b.txt")
    expect(site.files).to_have_count(2)
    expect(site.page.locator("#files-notice")).to_have_text("1 file is already in the list.")
    site.step("a.txt", "remove")
    assert site.file_keys == ["b.txt"]
    expect(site.file("b.txt").locator("[data-step=edit]")).to_be_focused()


def test_list_shows_and_counts_a_thousand_files(site: Site, bucket: str, tmp_path: Path) -> None:
    for number in range(1000):
        write_file(tmp_path / "many" / f"{number // 100}" / f"file-{number}", 10)
    site.fill_form(bucket, prefix="in/")
    site.select_folder(tmp_path / "many")
    expect(site.page.locator("#files-count")).to_contain_text("1,000 files")
    expect(site.files).to_have_count(100)
    expect(site.page.locator("#files-pager [data-part=range]")).to_have_text("1–100 of 1,000")
    assert site.file_keys[:2] == ["in/many/0/file-0", "in/many/0/file-1"]
    # Typing changes every key. Each key press is handled before the next.
    site.page.locator("[name=prefix]").press_sequentially("new/")
    expect(site.page.locator("[data-part=key]").nth(99)).to_have_text("in/new/many/0/file-99")
    for _ in range(9):
        site.page.get_by_role("button", name="Next").click()
    expect(site.page.locator("#files-pager [data-part=range]")).to_have_text("901–1,000 of 1,000")
    expect(site.page.locator("[data-part=key]").nth(99)).to_have_text("in/new/many/9/file-999")
    assert site.page.locator(".file *").count() < 4000


# --- Keys -------------------------------------------------------------------------------------------------------------


def test_key_of_one_file_is_edited(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    digests = [write_file(tmp_path / name, 1000) for name in ("a.txt", "b.txt")]
    site.fill_form(bucket, prefix="in/")
    site.select_files(tmp_path / "a.txt", tmp_path / "b.txt")
    site.step("in/a.txt", "edit")
    editor = site.page.get_by_label("New key of a.txt")
    expect(editor).to_be_focused()
    editor.fill("elsewhere/renamed.txt")
    editor.press("Enter")
    site.step("in/b.txt", "edit")
    site.page.get_by_label("New key of b.txt").press("Escape")
    assert site.file_keys == ["elsewhere/renamed.txt", "in/b.txt"]
    # The prefix applies to files whose key was not edited.
    site.page.locator("[name=prefix]").fill("out/")
    expect(site.file("out/b.txt")).to_be_visible()
    site.send()
    site.wait_for_files("done", 2)
    assert [digest_in(stack, bucket, key) for key in ("elsewhere/renamed.txt", "out/b.txt")] == digests


def test_two_files_cannot_have_the_same_key(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    digest = write_file(tmp_path / "a" / "same.txt", 1000)
    write_file(tmp_path / "b" / "same.txt", 2000)
    site.fill_form(bucket)
    site.select_files(tmp_path / "a" / "same.txt", tmp_path / "b" / "same.txt")
    expect(site.page.locator("#same-keys")).to_contain_text("1 file has the same key as another file")
    site.send()
    refused = site.page.locator(".file[data-state=refused]")
    expect(refused).to_contain_text("Another file in this list has the same key: same.txt.")
    expect(site.page.locator(".file[data-state=done]")).to_have_count(1)
    assert digest_in(stack, bucket, "same.txt") == digest
    refused.locator("[data-step=edit]").click()
    site.page.keyboard.type("other.txt")
    site.page.keyboard.press("Enter")
    site.send()
    site.wait_for_files("done", 2)
    assert stack.object_digest(bucket, "other.txt")[0] == 2000


def test_refused_key_is_reported_in_its_row(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    site.watcher.expect("status of 400")
    write_file(tmp_path / "a.txt", 10)
    write_file(tmp_path / "b.txt", 10)
    site.fill_form(bucket)
    site.select_files(tmp_path / "a.txt", tmp_path / "b.txt")
    site.step("a.txt", "edit")
    site.page.get_by_label("New key of a.txt").fill("k" * 1025)
    site.page.keyboard.press("Enter")
    site.send()
    site.wait_for_file("b.txt", "done")
    refused = site.wait_for_file("k" * 1025, "refused")
    expect(refused.locator("[data-part=words]")).to_contain_text("at most 1,024")
    assert transfers_to(stack, bucket) == 1


def test_shared_field_is_refused_before_anything_is_sent(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    site.watcher.expect("status of 400")
    for name in ("a.txt", "b.txt"):
        write_file(tmp_path / name, 10)
    site.fill_form(bucket, metadata="no colon")
    site.select_files(tmp_path / "a.txt", tmp_path / "b.txt")
    site.send()
    expect(site.page.locator("#id_metadata_error")).to_contain_text("Line 1")
    expect(site.page.locator("[name=metadata]")).to_be_focused()
    site.wait_for_files("waiting", 2)
    assert transfers_to(stack, bucket) == 0


def test_objects_are_replaced_only_after_confirmation(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    site.watcher.expect(CONFLICT)
    names = ("a.bin", "b.bin", "c.bin", "free.bin")
    digests = {name: write_file(tmp_path / name, 2 * MIB) for name in names}
    for name in names[:3]:
        stack.s3.put_object(Bucket=bucket, Key=name, Body=b"before")
    site.fill_form(bucket)
    site.select_files(*(tmp_path / name for name in names))
    site.send()
    site.wait_for_file("free.bin", "done")
    expect(site.page.locator(".file[data-state=confirm]")).to_have_count(3)
    site.step("a.bin", "replace")
    site.wait_for_file("a.bin", "done")
    site.step("b.bin", "edit")
    site.page.get_by_label("New key of b.bin").fill("b-2.bin")
    site.page.keyboard.press("Enter")
    site.send()
    site.wait_for_file("b-2.bin", "done")
    assert digest_in(stack, bucket, "a.bin") == digests["a.bin"]
    assert digest_in(stack, bucket, "b-2.bin") == digests["b.bin"]
    assert stack.object_digest(bucket, "b.bin")[0] == stack.object_digest(bucket, "c.bin")[0] == len(b"before")


# --- Verified with SHA-256 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [pytest.param(0, id="empty"), 100_000, 130 * MIB])
def test_digest_is_computed_in_the_browser(site: Site, stack: Stack, bucket: str, tmp_path: Path, size: int) -> None:
    digest = write_file(tmp_path / "file", size)
    site.select_file(bucket, tmp_path / "file")
    site.page.get_by_label("Compute it in the browser while sending").check()
    site.send()
    row = site.wait_for_file("file", "done")
    expect(row.locator("[data-part=digest]")).to_have_text(f"SHA-256 {digest}")
    assert digest_in(stack, bucket, "file") == digest
    assert stack.query("SELECT sha256, verify_sha256 FROM uploads_transfer WHERE bucket = ?", bucket) == [(digest, 1)]


def test_pasted_digest_is_compared(site: Site, stack: Stack, bucket: str, tmp_path: Path) -> None:
    digest = write_file(tmp_path / "right", 6 * MIB)
    write_file(tmp_path / "wrong", 6 * MIB)
    site.select_file(bucket, tmp_path / "right", part_size="5 MiB")
    site.page.get_by_label("Compare with a digest that I paste").check()
    site.page.get_by_label("SHA-256", exact=True).fill("not a digest")
    site.send()
    expect(site.page.locator("#id_sha256_error")).to_contain_text("64 hexadecimal digits")
    site.page.get_by_label("SHA-256", exact=True).fill(digest.upper())
    site.send()
    site.wait_for_file("right", "done")
    site.select_files(tmp_path / "wrong")
    site.send()
    row = site.wait_for_file("wrong", "failed")
    expect(row.locator("[data-part=words]")).to_contain_text(digest)
    site.step("wrong", "discard")
    site.confirm_cancel()
    site.wait_for_file("wrong", "cancelled")
    assert [each["Key"] for each in stack.s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["right"]


# --- Leaving the page, and phones -------------------------------------------------------------------------------------


def test_leaving_the_page_needs_confirmation_while_sending(site: Site, bucket: str, tmp_path: Path) -> None:
    write_file(tmp_path / "file", 8 * MIB)
    dialogs: list[str] = []

    def stay(dialog: Dialog) -> None:
        dialogs.append(dialog.type)
        dialog.dismiss()

    site.page.on("dialog", stay)
    site.select_file(bucket, tmp_path / "file")
    line = Line(site.page)
    line.slow_down(MIB)
    site.send()
    site.wait_until_received("file", 1)
    with site.page.expect_event("dialog"):
        site.page.get_by_role("link", name="Transfers", exact=True).first.click()
    assert dialogs == ["beforeunload"]
    assert "/transfers/new/" in site.page.url
    line.restore()
    site.wait_for_file("file", "done")
    site.follow(site.page.get_by_role("link", name="Transfers", exact=True).first)
    assert dialogs == ["beforeunload"]


def test_list_fits_a_phone(open_site: OpenSite, stack: Stack, bucket: str, tmp_path: Path) -> None:
    site = open_site(viewport={"width": 390, "height": 844}, color_scheme="dark")
    site.watcher.expect(CONFLICT)
    names = ("a-name-that-no-line-can-break-" * 5, "b" * 200, "taken")
    for name in names:
        write_file(tmp_path / name, 2 * MIB)
    stack.s3.put_object(Bucket=bucket, Key="in/taken", Body=b"before")
    site.fill_form(bucket, prefix="in/")
    site.select_files(*(tmp_path / name for name in names))
    assert overflow(site.page) == 0, widest(site.page)
    site.step("in/taken", "edit")
    assert overflow(site.page) == 0, widest(site.page)
    site.page.keyboard.press("Escape")
    site.page.get_by_label("Compute it in the browser while sending").check()
    site.send()
    site.wait_for_file("in/taken", "confirm")
    expect(site.page.locator(".file[data-state=done]")).to_have_count(2)
    assert overflow(site.page) == 0, widest(site.page)
