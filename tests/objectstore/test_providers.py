"""Profiles of providers: complete and consistent, and the overrides of a store check."""

from __future__ import annotations

from typing import Any

import pytest

from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.providers import (
    MIB,
    OVERRIDABLE,
    PROVIDERS,
    Provider,
    get_provider,
    profile_of,
    with_overrides,
)
from uploads.objectstore.types import Credentials, StoreConfig

PLAIN = Provider(name="plain", label="S3 without differences")


def test_providers_are_registered_by_name() -> None:
    names = "aws b2 ceph garage gcs generic minio oss oss-s3 r2 scaleway seaweedfs swift wasabi"
    assert " ".join(sorted(PROVIDERS)) == names
    assert all(name == provider.name and provider.label for name, provider in PROVIDERS.items())
    assert all(provider.endpoint_hint.startswith("http") for provider in PROVIDERS.values())


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_limits_are_consistent(provider: Provider) -> None:
    assert 0 < provider.min_part_size < provider.max_part_size <= provider.max_object_size
    assert 1 <= provider.max_parts <= 10_000
    assert provider.max_object_size <= provider.max_parts * provider.max_part_size


def test_documented_differences() -> None:
    assert PROVIDERS["scaleway"].max_parts == 1000
    assert PROVIDERS["r2"].equal_parts
    assert PROVIDERS["swift"].min_part_size == 5 * MIB
    assert all(each.etag_is_md5 for each in PROVIDERS.values())
    assert {name for name, each in PROVIDERS.items() if each.signature == "oss4"} == {"oss"}
    assert {name for name, each in PROVIDERS.items() if not each.lists_uploads} == {"oss-s3"}
    for name in ("oss", "oss-s3"):
        oss = PROVIDERS[name]
        assert (oss.addressing, oss.min_part_size, oss.crc64) == ("virtual", 100 * 1024, "ecma")


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(NotSent, match=r"UnknownProvider provider=nonesuch .*generic") as caught:
        get_provider("nonesuch")
    assert caught.value.reason is Reason.BAD_ARGUMENT


def test_overrides_replace_fields_of_the_profile() -> None:
    config = StoreConfig(
        "http://store.test", "r", Credentials("a", "s"), provider="generic", overrides=(("delimiter", "broken"),)
    )
    assert profile_of(config).delimiter == "broken"
    assert profile_of(config).exact_prefix is PROVIDERS["generic"].exact_prefix


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_parts", 5),
        ("nothing", True),
        ("key_marker_inclusive", True),
        ("delimiter", "sometimes"),
        ("etag_is_md5", 1),
        ("etag_is_md5", "True"),
    ],
)
def test_unknown_overrides_are_ignored(name: str, value: Any) -> None:
    assert with_overrides(PROVIDERS["aws"], [(name, value)]) == PROVIDERS["aws"]


def test_overridable_fields_accept_their_values() -> None:
    for name, values in OVERRIDABLE.items():
        assert all(getattr(with_overrides(PLAIN, [(name, value)]), name) == value for value in values)
        assert all(getattr(provider, name) in values for provider in PROVIDERS.values())
