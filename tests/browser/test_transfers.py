"""Transfers in Chromium: sent, followed, cancelled, failed and retried."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenSite
from tests.browser.line import Line
from tests.browser.site import Site
from tests.system.sending import SlowForm
from tests.system.stack import MIB, Stack, wait_for
from tests.system.tus import Tus

PART = 5 * MIB
TWELVE_MIB = 12 * MIB


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of three parts."""
    path = tmp_path / "a file.bin"
    path.write_bytes(hashlib.shake_128(b"twelve").digest(TWELVE_MIB))
    return path


def digest_of(path: Path) -> tuple[int, str]:
    return path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()


def test_file_of_several_parts_is_followed_until_it_is_done(
    open_site: OpenSite, bucket: str, stack: Stack, file: Path
) -> None:
    site = open_site()
    page = site.page
    site.select_file(bucket, file, prefix="inbox/", part_size="5 MiB", metadata="owner: ops")
    expect(page.locator("#plan")).to_contain_text("12.0 MiB in 3 parts of 5.00 MiB")
    expect(page.locator("#existing")).to_contain_text("No object has this key yet.")
    expect(page.locator("#key-preview")).to_have_text(f"{bucket} / inbox/a file.bin")
    Line(page).slow_down(4 * MIB)
    site.send()
    row = site.file("inbox/a file.bin")
    expect(row.locator("[data-part=received-percent]")).to_have_text(re.compile(r"^[1-9][0-9]?%$"))
    expect(row.locator("[data-part=detail]")).to_contain_text("/s")
    expect(page).to_have_title(re.compile(r"^\d+% · a file\.bin · Partway$"))
    site.wait_for_transfer("done")
    expect(page.locator("#transfer-state")).to_contain_text("verified by HEAD")
    expect(page.locator("#transfer-live")).to_contain_text("3 of 3 parts")
    assert stack.object_digest(bucket, "inbox/a file.bin") == digest_of(file)
    assert stack.s3.head_object(Bucket=bucket, Key="inbox/a file.bin")["Metadata"]["owner"] == "ops"
    assert stack.uploads_in(bucket) == []


def test_page_of_a_finished_transfer_stops_polling(site: Site, bucket: str, file: Path) -> None:
    site.select_file(bucket, file, part_size="5 MiB")
    site.send()
    site.wait_for_transfer("done")
    requests: list[str] = []
    site.page.on("request", lambda request: requests.append(request.url))
    site.page.wait_for_timeout(2500)  # Two and a half times the interval of polls.
    assert requests == []


def test_existing_object_must_be_confirmed(site: Site, bucket: str, stack: Stack, file: Path) -> None:
    stack.s3.put_object(Bucket=bucket, Key="taken", Body=b"before")
    site.watcher.expect("status of 4(00|09)")
    site.select_file(bucket, file, key="taken")
    expect(site.page.locator("#existing")).to_contain_text("Current object at this key: 6 bytes")
    site.send()
    site.wait_for_file("taken", "confirm")
    assert stack.object_digest(bucket, "taken")[0] == 6
    site.step("taken", "replace")
    site.wait_for_transfer("done")
    assert stack.object_digest(bucket, "taken") == digest_of(file)


def test_existing_object_is_replaced_if_the_form_allows_it(site: Site, bucket: str, stack: Stack, file: Path) -> None:
    stack.s3.put_object(Bucket=bucket, Key="taken", Body=b"before")
    site.select_file(bucket, file, key="taken")
    site.page.get_by_label("Replace it").check()
    site.send()
    site.wait_for_transfer("done")
    assert stack.object_digest(bucket, "taken") == digest_of(file)


def test_object_that_changed_since_it_was_shown_is_kept(site: Site, bucket: str, stack: Stack, file: Path) -> None:
    stack.s3.put_object(Bucket=bucket, Key="taken", Body=b"shown")
    site.watcher.expect("status of 409")
    site.select_file(bucket, file, key="taken")
    site.page.get_by_label("Replace it").check()
    stack.s3.put_object(Bucket=bucket, Key="taken", Body=b"written since")
    site.send()
    site.wait_for_file("taken", "confirm")
    assert stack.object_digest(bucket, "taken")[0] == len(b"written since")
    site.step("taken", "replace")
    site.wait_for_transfer("done")
    assert stack.object_digest(bucket, "taken") == digest_of(file)


def test_without_javascript_a_file_is_sent(open_site: OpenSite, bucket: str, stack: Stack, file: Path) -> None:
    site = open_site(java_script_enabled=False)
    site.select_file(bucket, file, part_count="2")
    site.send()
    site.page.wait_for_url("**/transfers/*-*/")
    while site.page.locator("#transfer-state .state").inner_text() != "done":
        site.page.wait_for_timeout(200)
        site.page.reload()
    assert stack.object_digest(bucket, "a file.bin") == digest_of(file)


def test_without_javascript_a_refused_form_keeps_its_values(open_site: OpenSite, bucket: str, file: Path) -> None:
    site = open_site(java_script_enabled=False)
    site.watcher.expect("status of 400")
    site.select_file(bucket, file, key="kept", part_size="1 byte")
    site.send()
    expect(site.page.get_by_role("alert").first).to_contain_text("Nothing was sent")
    expect(site.page.locator("[name=key]")).to_have_value("kept")
    expect(site.page.locator("#id_part_size_error, .field-error").first).to_be_visible()


@pytest.fixture
def begun(stack: Stack, bucket: str, file: Path) -> str:
    """The id of a transfer of `file` whose first part is in the store, and whose second part has arrived partly."""
    with stack.signed_in() as operator:
        metadata = {"key": "kept", "filename": file.name, "part_size": PART, "fingerprint": f"kept in {bucket}"}
        started = Tus(stack, operator, bucket).create(TWELVE_MIB, file.read_bytes()[: PART + MIB], **metadata)
        transfer_id = started.headers["location"].rsplit("/", 1)[-1]
        wait_for("the first part in the store", lambda: operator.transfer(transfer_id)["parts"]["sent"] == 1)
    return transfer_id


def sent_parts(stack: Stack, transfer_id: str) -> list[tuple[object, ...]]:
    """The numbers of the parts that are in the store, and when each was sent."""
    rows = "SELECT number, sent_at FROM uploads_part WHERE transfer_id = ? AND state = 'sent' ORDER BY number"
    return stack.query(rows, transfer_id.replace("-", ""))


def test_without_javascript_a_transfer_resumes_with_the_parts_that_are_there(
    open_site: OpenSite, bucket: str, stack: Stack, file: Path, begun: str
) -> None:
    stack.let_time_pass(120)  # Its browser counts as gone.
    before = sent_parts(stack, begun)
    site = open_site(java_script_enabled=False)
    site.goto("/transfers/new/")
    unfinished = site.page.locator(".unfinished li").filter(has_text=bucket)
    site.follow(unfinished.locator("noscript a"))  # Nothing in <noscript> has a role for Playwright.
    expect(site.page.locator("#transfer-form > noscript > *")).to_contain_text("Select the file of kept again.")
    site.select_files(file)
    site.submit("Send")
    assert site.page.url.endswith(f"/transfers/{begun}/")
    with stack.signed_in() as operator:
        operator.wait_for_state(begun, "done")
    after = sent_parts(stack, begun)
    assert (len(before), len(after)) == (1, 3)
    assert after[0] == before[0]
    assert stack.object_digest(bucket, "kept") == digest_of(file)


def test_without_javascript_another_file_does_not_resume(
    open_site: OpenSite, bucket: str, stack: Stack, file: Path, begun: str
) -> None:
    site = open_site(java_script_enabled=False)
    site.watcher.expect("status of 409")
    site.goto(f"/transfers/new/?resume={begun}")
    file.write_bytes(bytes(TWELVE_MIB))
    site.select_files(file)
    site.submit("Send")
    expect(site.page.locator("#id_file_error")).to_be_visible()
    expect(site.page.locator("[name=resume]")).to_have_value(begun)
    with stack.signed_in() as operator:
        assert operator.transfer(begun)["bytes_received"] == PART + MIB
        operator.post(f"/transfers/{begun}/cancel/")
    assert len(sent_parts(stack, begun)) <= 1


def test_upload_is_cancelled_in_the_form(site: Site, bucket: str, stack: Stack, file: Path) -> None:
    page = site.page
    site.select_file(bucket, file, key="stopped", part_size="5 MiB")
    Line(page).slow_down(MIB)
    site.send()
    site.wait_until_received("stopped", 1)
    site.step("stopped", "cancel")
    site.confirm_cancel()
    site.wait_for_file("stopped", "cancelled")
    with stack.signed_in() as operator:
        transfer_id = _id_of(stack, "stopped")
        operator.wait_for_state(transfer_id, "cancelled")
    assert not (stack.staging / transfer_id).exists()
    assert stack.uploads_in(bucket) == []


@pytest.fixture
def arriving(stack: Stack, bucket: str) -> Iterator[SlowForm]:
    """A file of four parts, of which three have arrived."""
    with stack.signed_in() as operator:
        form = SlowForm(operator, {"store": stack.store, "bucket": bucket, "key": "slow", "part-size": PART}, 4 * PART)
        with form:
            form.send(3 * PART + MIB)
            yield form


def test_transfer_is_cancelled_while_it_arrives(site: Site, bucket: str, stack: Stack, arriving: SlowForm) -> None:
    page = site.page
    transfer_id = wait_for("the transfer", lambda: _id_of(stack, "slow"))
    page.goto("/transfers/")
    expect(page.locator("#transfer-list")).to_contain_text("slow")
    page.locator(f"#to-{transfer_id}").click()
    expect(page.locator("#transfer-live")).to_contain_text("3 of 4 parts")
    assert [key for key, _ in stack.uploads_in(bucket)] == ["slow"]
    page.locator("summary", has_text="Cancel").click()
    page.get_by_role("button", name="Cancel the transfer").click()
    assert arriving.finish() == 409
    site.wait_for_transfer("cancelled")
    assert stack.uploads_in(bucket) == []
    assert not (stack.staging / transfer_id).exists()


def test_transfer_is_paused_and_resumed(site: Site, bucket: str, stack: Stack, file: Path) -> None:
    stack.freeze("sender")
    try:
        site.select_file(bucket, file, key="paused", part_size="5 MiB")
        site.send()
        site.wait_for_transfer("sending")
        site.page.get_by_role("button", name="Pause").click()
        site.wait_for_transfer("paused")
    finally:
        stack.thaw("sender")
    site.page.get_by_role("button", name="Resume").click()
    site.wait_for_transfer("done")
    assert stack.object_digest(bucket, "paused") == digest_of(file)


def test_failed_transfer_shows_why_and_is_retried(site: Site, stack: Stack, bucket: str, file: Path) -> None:
    page, line = site.page, Line(site.page)
    _add_store(page, stack, "moody", secret=stack.server.secret_key)
    site.select_file(bucket, file, key="retried", part_size="5 MiB")
    page.locator("[name=store]").select_option("moody")
    line.slow_down(MIB // 4)
    site.send()
    # Credentials that are wrong from the start stop the transfer before its first byte.
    site.wait_until_received("retried", 5)
    # If the transfer failed before all bytes have arrived, a retry would have to wait for the rest of them.
    stack.freeze("sender")
    try:
        _change_secret(stack, "moody", "not the secret")
        line.restore()
        site.wait_until_received("retried", 100)
    finally:
        stack.thaw("sender")
    site.wait_for_transfer("failed")
    expect(page.get_by_role("alert")).to_contain_text("The store does not accept the credentials.")
    expect(page.get_by_role("alert")).to_contain_text("SignatureDoesNotMatch")
    failed = page.url
    page.goto("/")
    expect(page.locator(".attention")).to_contain_text("retried")
    page.goto("/stores/moody/edit/")
    page.get_by_label("Secret key").fill(stack.server.secret_key)
    page.get_by_role("button", name="Save").click()
    page.wait_for_url("**/stores/moody/")
    page.goto(failed)
    page.get_by_role("button", name="Retry").click()
    site.wait_for_transfer("done")
    assert stack.object_digest(bucket, "retried") == digest_of(file)


def _change_secret(stack: Stack, store: str, secret: str) -> None:
    change = f"store = Store.objects.get(name={store!r})\nstore.secret_key = {secret!r}\nstore.save()"
    stack.run_python(f"from uploads.models import Store\n{change}")


def _id_of(stack: Stack, key: str) -> str:
    import uuid

    rows = stack.query("SELECT id FROM uploads_transfer WHERE key = ?", key)
    return str(uuid.UUID(rows[0][0])) if rows else ""


def _add_store(page: Page, stack: Stack, name: str, secret: str) -> None:
    page.goto("/stores/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Endpoint").fill(stack.server.endpoint_url)
    page.get_by_label("Region").fill(stack.server.region)
    page.get_by_label("Provider").select_option("swift")
    page.get_by_label("Access key").fill(stack.server.access_key)
    page.get_by_label("Secret key").fill(secret)
    page.get_by_role("button", name="Add").click()
    page.wait_for_url(f"**/stores/{name}/")
