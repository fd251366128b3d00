"""The profiles: complete, possible, each deviation with its source, and what a store check overrules."""

from __future__ import annotations

from dataclasses import fields
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

WITHOUT_SOURCE = {"name", "label", "region_default", "endpoint_hint", "notes", "sources"}
"""What names a provider, and what is said in words."""

PLAIN = Provider(name="plain", label="As S3 has it")


def test_every_provider_is_there_under_its_name() -> None:
    names = "aws b2 ceph garage gcs generic minio oss oss-s3 r2 scaleway seaweedfs swift wasabi"
    assert " ".join(sorted(PROVIDERS)) == names
    assert all(name == provider.name and provider.label for name, provider in PROVIDERS.items())
    assert all(provider.endpoint_hint.startswith("http") for provider in PROVIDERS.values())


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_limits_fit_together(provider: Provider) -> None:
    assert 0 < provider.min_part_size < provider.max_part_size <= provider.max_object_size
    assert 1 <= provider.max_parts <= 10_000
    assert provider.max_object_size <= provider.max_parts * provider.max_part_size


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_what_is_not_as_s3_has_it_names_its_source(provider: Provider) -> None:
    names = {each.name for each in fields(Provider)} - WITHOUT_SOURCE
    others = {name for name in names if getattr(provider, name) != getattr(PLAIN, name)}
    assert others == set(provider.sources)
    assert all(provider.sources.values())


def test_what_the_notes_of_the_field_fix() -> None:
    assert PROVIDERS["scaleway"].max_parts == 1000
    assert PROVIDERS["r2"].equal_parts
    assert PROVIDERS["swift"].min_part_size == 5 * MIB
    assert not PROVIDERS["b2"].checksum_headers
    assert not PROVIDERS["generic"].etag_is_md5
    assert {name for name, each in PROVIDERS.items() if each.signature == "oss4"} == {"oss"}
    assert {name for name, each in PROVIDERS.items() if not each.lists_uploads} == {"oss-s3"}
    for name in ("oss", "oss-s3"):
        oss = PROVIDERS[name]
        assert (oss.addressing, oss.min_part_size, oss.crc64) == ("virtual", 100 * 1024, "ecma")


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(NotSent, match=r"UnknownProvider provider=nonesuch .*generic") as caught:
        get_provider("nonesuch")
    assert caught.value.reason is Reason.BAD_ARGUMENT


def test_what_a_check_found_overrules_the_profile() -> None:
    config = StoreConfig(
        "http://store.test", "r", Credentials("a", "s"), provider="generic", overrides=(("delimiter", "broken"),)
    )
    assert profile_of(config).delimiter == "broken"
    assert profile_of(config).key_marker_inclusive is PROVIDERS["generic"].key_marker_inclusive


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_parts", 5), ("nothing", True), ("delimiter", "sometimes"), ("etag_is_md5", 1), ("etag_is_md5", "True")],
)
def test_what_no_check_can_find_is_left_out(name: str, value: Any) -> None:
    assert with_overrides(PROVIDERS["aws"], [(name, value)]) == PROVIDERS["aws"]


def test_what_can_be_found_is_a_field_with_its_values() -> None:
    for name, values in OVERRIDABLE.items():
        assert all(getattr(with_overrides(PLAIN, [(name, value)]), name) == value for value in values)
        assert all(getattr(provider, name) in values for provider in PROVIDERS.values())
