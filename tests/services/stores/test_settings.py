"""Adding and changing stores: defaults, invalid values, secrets and addresses, concurrent edits, the command."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from dashboard.shared.messages.validation import by_field
from tests.services.drive import Drive
from uploads.domain.states import Phase
from uploads.models import AuditEntry, Store
from uploads.objectstore.addresses import parse_allowed
from uploads.objectstore.errors import NotSent, Reason
from uploads.problems import Code, Problem
from uploads.services.stores.settings import (
    EditConflict,
    StoreValues,
    active_work,
    add_store,
    change_store,
    set_enabled,
    with_defaults,
)

pytestmark = pytest.mark.django_db(transaction=True)
GIVEN = ["--endpoint-url", "http://store:9000", "--access-key", "AK", "--provider", "minio"]


def values(**changes: Any) -> StoreValues:
    given = {"name": "mine", "access_key": "AK", "secret_key": "SK", "provider": "minio", "endpoint_url": "http://s:9"}
    return StoreValues(**{**given, **changes})


def problem_of(error: ValidationError, field: str) -> Problem:
    """The only problem with a field."""
    [only] = error.error_dict[field]
    assert only.code is not None
    return Problem(only.code, **only.params or {})


# --- Defaults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "region", "endpoint_url", "others"),
    [
        ("aws", "eu-west-1", "https://s3.eu-west-1.amazonaws.com", ("virtual", "sigv4")),
        ("oss", "", "https://oss-cn-hangzhou.aliyuncs.com", ("virtual", "oss4")),
        ("oss", "oss-cn-beijing", "https://oss-cn-beijing.aliyuncs.com", ("virtual", "oss4")),
        ("oss-s3", "eu-central-1", "https://s3.oss-eu-central-1.aliyuncs.com", ("virtual", "sigv4")),
        ("gcs", "", "https://storage.googleapis.com", ("path", "sigv4")),
        ("scaleway", "nl-ams", "https://s3.nl-ams.scw.cloud", ("path", "sigv4")),
    ],
)
def test_endpoint_follows_from_the_region(
    provider: str, region: str, endpoint_url: str, others: tuple[str, str]
) -> None:
    store = add_store(None, values(provider=provider, region=region, endpoint_url=""))
    assert store.endpoint_url == endpoint_url
    assert (store.addressing, store.signature) == others


@pytest.mark.parametrize("provider", ["r2", "minio", "ceph", "swift", "generic"])
def test_endpoint_that_does_not_follow_is_required_with_an_example(provider: str) -> None:
    with pytest.raises(ValidationError) as caught:
        with_defaults(values(provider=provider, endpoint_url=""))
    assert problem_of(caught.value, "endpoint_url").code == Code.ENDPOINT_NEEDED
    assert str(problem_of(caught.value, "endpoint_url").params["example"]).startswith("http")


def test_endpoint_of_a_special_region_is_not_guessed() -> None:
    with pytest.raises(ValidationError) as caught:
        with_defaults(values(provider="aws", region="cn-north-1", endpoint_url=""))
    assert problem_of(caught.value, "endpoint_url") == Problem(
        Code.ENDPOINT_NEEDED_FOR_REGION, region="cn-north-1", pattern="https://s3.REGION.amazonaws.com"
    )


@pytest.mark.parametrize("region", ["evil.example/", "a.b", "-a", "A", "x#", "x@y"])
def test_no_endpoint_follows_from_a_region_that_cannot_be_in_a_host_name(region: str) -> None:
    with pytest.raises(ValidationError) as caught:
        add_store(None, values(provider="aws", region=region, endpoint_url=""))
    assert problem_of(caught.value, "region") == Problem(Code.REGION_NOT_IN_HOST_NAMES, region=region)
    assert not Store.objects.exists()


# --- Invalid values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field", "problem", "text"),
    [
        (
            {"provider": "oss", "signature": "sigv4", "endpoint_url": ""},
            "signature",
            Problem(Code.SIGNATURE_NOT_SUPPORTED, provider="Aliyun OSS", signature="oss4"),
            "Aliyun OSS requires OSS V4",
        ),
        (
            {"provider": "oss-s3", "signature": "oss4", "endpoint_url": ""},
            "signature",
            Problem(
                Code.SIGNATURE_OF_OTHER_PROVIDER,
                provider="Aliyun OSS (S3-compatible endpoint)",
                signature="sigv4",
                others=["Aliyun OSS"],
            ),
            "select the provider Aliyun OSS.",
        ),
        (
            {"provider": "ceph", "signature": "oss4"},
            "signature",
            Problem(
                Code.SIGNATURE_OF_OTHER_PROVIDER,
                provider="Ceph RADOS Gateway",
                signature="sigv4",
                others=["Aliyun OSS"],
            ),
            "requires AWS Signature Version 4",
        ),
        (
            {"provider": "oss", "region": "cn-x", "endpoint_url": "https://s3.oss-cn-x.aliyuncs.com"},
            "endpoint_url",
            Problem(
                Code.ENDPOINT_OF_OTHER_PROVIDER,
                owner="Aliyun OSS (S3-compatible endpoint)",
                signature="oss4",
                provider="Aliyun OSS",
                endpoint_url="https://oss-cn-x.aliyuncs.com",
            ),
            "Aliyun OSS is at https://oss-cn-x.aliyuncs.com.",
        ),
        (
            {"provider": "generic", "signature": "oss4", "endpoint_url": "https://s3.eu-x.amazonaws.com"},
            "endpoint_url",
            Problem(Code.SIGNATURE_NOT_SUPPORTED_AT_ENDPOINT, owner="Amazon S3", signature="oss4"),
            "Amazon S3, which does not support OSS V4",
        ),
    ],
)
def test_unsupported_signature_is_refused(changes: dict[str, str], field: str, problem: Problem, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        add_store(None, values(**changes))
    assert problem_of(caught.value, field) == problem
    assert text in " ".join(by_field(caught.value)[field].messages)
    assert not Store.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "oss", "endpoint_url": "https://oss.example.org"},
        {"provider": "oss-s3", "endpoint_url": "https://oss-cn-x.aliyuncs.com"},
        {"provider": "generic", "signature": "oss4", "endpoint_url": "http://127.0.0.1:9"},
        {"provider": "generic", "endpoint_url": "https://s3.eu-x.amazonaws.com"},
    ],
)
def test_signature_that_may_be_supported_is_accepted(changes: dict[str, str]) -> None:
    assert add_store(None, values(**changes)).pk


# --- Secrets and addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", ["http://other:9", "http://s:10", "https://s:9", "http://s.other:9"])
def test_stored_secret_is_not_sent_to_another_address(elsewhere: str) -> None:
    store = add_store(None, values(session_token="TOKEN"))
    with pytest.raises(ValidationError) as caught:
        change_store(None, store, values(endpoint_url=elsewhere, secret_key=""))
    code = Code.SECRET_NEEDED_AT_NEW_ENDPOINT
    assert caught.value.message_dict == {"secret_key": [code], "session_token": [code]}
    store.refresh_from_db()
    assert store.endpoint_url == "http://s:9"

    change_store(None, store, values(endpoint_url=elsewhere, secret_key="NEW", clear_session_token=True))
    store.refresh_from_db()
    assert (store.endpoint_url, store.secret_key, store.session_token) == (elsewhere, "NEW", "")


def test_another_path_at_the_same_address_keeps_the_secret() -> None:
    store = add_store(None, values())
    change_store(None, store, values(endpoint_url="http://s:9/s3", secret_key=""))
    store.refresh_from_db()
    assert (store.endpoint_url, store.secret_key) == ("http://s:9/s3", "SK")


def test_secrets_are_in_no_repr() -> None:
    assert "SK" not in repr(values(session_token="TOKEN"))
    assert "TOKEN" not in repr(values(session_token="TOKEN"))


# --- Overrides, and concurrent edits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"region": "eu-x", "access_key": "other", "addressing": "virtual", "buckets": ("b",)}, True),
        ({"endpoint_url": "http://s:10"}, False),
        ({"provider": "ceph"}, False),
        ({"provider": "generic", "signature": "oss4"}, False),
    ],
)
def test_overrides_are_removed_when_they_may_no_longer_apply(changes: dict[str, Any], kept: bool) -> None:
    store = add_store(None, values())
    store.overrides = {"delimiter": "broken"}
    store.save()
    change = change_store(None, store, values(**changes))
    store.refresh_from_db()
    assert (store.overrides, change.removed_overrides) == (({"delimiter": "broken"}, False) if kept else ({}, True))
    forgot = AuditEntry.objects.get(action="store.changed").detail.get("forgot")
    assert forgot == (None if kept else ["delimiter"])


def test_change_reports_the_changed_fields() -> None:
    store = add_store(None, values(buckets=("one",)))
    change = change_store(None, store, values(region="eu-x", secret_key="NEW", buckets=("two",)))
    assert change.fields == ("buckets", "region", "secret_key")
    assert AuditEntry.objects.get(action="store.changed").detail == {"fields": list(change.fields)}


def test_second_of_two_edits_does_not_overwrite_the_first(user: User) -> None:
    store = add_store(None, values())
    seen = Store.objects.get().updated_at
    change_store(user, store, values(region="first"), seen=seen)
    with pytest.raises(EditConflict) as caught:
        change_store(None, store, values(region="second"), seen=seen)
    assert (caught.value.by, caught.value.fields) == ("olga", ("region",))
    store.refresh_from_db()
    assert (store.region, caught.value.at) == ("first", store.updated_at)
    change_store(None, store, values(region="second"), seen=caught.value.at)
    store.refresh_from_db()
    assert store.region == "second"


def test_unrecorded_change_is_attributed_to_nobody(user: User) -> None:
    store = add_store(user, values())
    seen = Store.objects.get().updated_at
    store.save()
    with pytest.raises(EditConflict) as caught:
        change_store(None, store, values(region="second"), seen=seen)
    assert caught.value.by == ""


# --- Disabled ---------------------------------------------------------------------------------------------------------


def test_disabling_is_recorded_once(user: User) -> None:
    store = add_store(None, values())
    seen = Store.objects.get().updated_at
    assert set_enabled(user, store, enabled=False)
    assert not set_enabled(user, store, enabled=False)
    assert not Store.objects.get().enabled
    assert AuditEntry.objects.get(action="store.disabled").actor_name == "olga"
    # A form that is open in the meantime neither changes this nor conflicts with it.
    change_store(user, store, values(region="eu-x"), seen=seen)
    assert not Store.objects.get().enabled
    assert set_enabled(user, store, enabled=True)
    assert Store.objects.get().enabled


def test_active_work_in_a_disabled_store_continues(drive: Drive, read_object: Callable[[str], bytes]) -> None:
    data = b"some bytes" * 1_000_000
    transfer = drive.start(len(data), part_size=5 * 1024**2)
    assert active_work(drive.store).transfers == 1
    set_enabled(None, drive.store, enabled=False)
    drive.receive(transfer, data)
    assert drive.finish(transfer).phase == Phase.DONE
    assert read_object("a/key") == data
    assert active_work(drive.store).transfers == 0


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STORE_SECRET_KEY", "a-very-secret-key")
    return "a-very-secret-key"


def add(*arguments: str) -> str:
    out = StringIO()
    call_command("add_store", "mine", *arguments, stdout=out)
    return out.getvalue()


def test_add_and_update(secret: str) -> None:
    assert "Added store mine" in add(*GIVEN, "--bucket", "one", "--bucket", "two")
    store = Store.objects.get(name="mine")
    assert (store.secret_key, store.provider, store.addressing) == (secret, "minio", "path")
    assert [bucket.name for bucket in store.named_buckets.all()] == ["one", "two"]
    assert "Changed store mine" in add("--update", "--region", "eu-1")
    store.refresh_from_db()
    assert (store.region, store.secret_key, store.endpoint_url) == ("eu-1", secret, "http://store:9000")
    assert store.named_buckets.count() == 2


def test_the_endpoint_may_be_left_out_where_it_can_be_created_things(secret: str) -> None:
    text = add("--provider", "oss", "--region", "cn-shanghai", "--access-key", "AK")
    assert text == "Added store mine at https://oss-cn-shanghai.aliyuncs.com.\n"
    store = Store.objects.get()
    assert (store.addressing, store.signature) == ("virtual", "oss4")


def test_command_requires_the_secret_again_for_another_address(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    add(*GIVEN)
    monkeypatch.delenv("STORE_SECRET_KEY")
    with pytest.raises(CommandError, match="STORE_SECRET_KEY"):
        add("--update", "--endpoint-url", "http://elsewhere:9000")
    assert Store.objects.get().endpoint_url == "http://store:9000"
    monkeypatch.setenv("STORE_SECRET_KEY", "typed again")
    add("--update", "--endpoint-url", "http://elsewhere:9000")
    assert Store.objects.get().secret_key == "typed again"


def test_command_reports_removed_overrides(secret: str) -> None:
    add(*GIVEN)
    Store.objects.update(overrides={"delimiter": "broken"})
    assert "overrides" not in add("--update", "--region", "eu-1")
    assert "overrides of its profile were removed" in add("--update", "--provider", "ceph")


def test_secret_is_encrypted_and_never_shown(secret: str) -> None:
    shown = add(*GIVEN)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret_key FROM uploads_store")
        (stored,) = cursor.fetchone()
    assert secret not in stored + shown
    assert secret not in repr(Store.objects.get().config())
    assert secret not in str(list(AuditEntry.objects.values()))
    assert AuditEntry.objects.get().action == "store.added"


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--access-key", "AK"], "--endpoint-url: Enter the endpoint URL"),
        (["--endpoint-url", "http://x"], "--access-key is required"),
        (["--endpoint-url", "ftp://x", "--access-key", "AK"], "http or https URL"),
        (["--endpoint-url", "http://u:p@x", "--access-key", "AK"], "without credentials"),
        ([*GIVEN, "--update"], "no store “mine” to change"),
        ([*GIVEN, "--signature", "sigv2"], "invalid choice"),
        ([*GIVEN, "--signature", "oss4"], "--signature: MinIO requires AWS"),
    ],
)
def test_invalid_values_change_nothing(arguments: list[str], text: str) -> None:
    with pytest.raises(CommandError, match=text):
        add(*arguments)
    assert not Store.objects.exists()


def test_secret_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STORE_SECRET_KEY", raising=False)
    with pytest.raises(CommandError, match="STORE_SECRET_KEY"):
        add(*GIVEN)


@pytest.mark.usefixtures("secret")
def test_existing_name_is_refused() -> None:
    add(*GIVEN)
    with pytest.raises(CommandError, match="--update"):
        add(*GIVEN)


# --- CA bundles and addresses -----------------------------------------------------------------------------------------


@pytest.fixture
def ca_folder(settings: Settings, tmp_path: Path) -> Path:
    """The folder of CA bundles, with one, beside a file that nobody may read, and links to it."""
    folder = tmp_path / "ca"
    folder.mkdir()
    (folder / "good.pem").write_text("a certificate")
    (tmp_path / "secret").write_text("a secret")
    (folder / "link.pem").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (tmp_path / "ca-other").mkdir()
    settings.STORE_CA_DIR = folder
    return folder


@pytest.mark.parametrize(
    "entered", ["/etc/passwd", "link.pem", "up/secret", "../secret", "../ca-other/x.pem", "../none"]
)
def test_ca_bundle_elsewhere_is_refused_whether_it_exists_or_not(
    ca_folder: Path, entered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_SECRET_KEY", "SK")
    for path in (entered, str(ca_folder / entered)):
        with pytest.raises(ValidationError) as caught:
            add_store(None, values(ca_bundle=path))
        assert problem_of(caught.value, "ca_bundle").code == Code.CA_BUNDLE_OUTSIDE
        with pytest.raises(CommandError, match="A CA bundle is a PEM file in"):
            call_command("add_store", "mine", *GIVEN, "--ca-bundle", path)
    assert not Store.objects.exists()


def test_ca_bundle_is_checked_again_when_it_is_used(ca_folder: Path) -> None:
    store = add_store(None, values(ca_bundle="good.pem"))
    assert store.config().ca_bundle == str(ca_folder / "good.pem")
    (ca_folder / "good.pem").unlink()
    (ca_folder / "good.pem").symlink_to("/etc/passwd")
    with pytest.raises(NotSent, match=Code.CA_BUNDLE_OUTSIDE) as caught:
        store.config()
    assert caught.value.reason is Reason.TLS


def test_addresses_of_stores_follow_the_settings(settings: Settings) -> None:
    settings.STORE_ALLOWED_ADDRESSES = [parse_allowed("127.0.0.1:9000")]
    settings.REDIS_URL = "redis://:password@192.0.2.8:6379/0"
    add_store(None, values(endpoint_url="http://127.0.0.1:9000"))
    refused = {
        "http://127.0.0.1:9001": Code.ADDRESS_OF_THIS_MACHINE,
        "http://169.254.169.254": Code.ADDRESS_REFUSED,
        "http://192.0.2.8:6379": Code.ADDRESS_OF_SERVICE,
    }
    for endpoint_url, code in refused.items():
        with pytest.raises(ValidationError) as caught:
            add_store(None, values(name="other", endpoint_url=endpoint_url))
        assert problem_of(caught.value, "endpoint_url").code == code
    settings.STORE_NETWORKS = [ip_network("10.0.0.0/8")]
    with pytest.raises(ValidationError):
        add_store(None, values(name="other", endpoint_url="http://192.0.2.9"))
