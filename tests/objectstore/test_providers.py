"""The profiles: complete, and within what their stores allow."""

from __future__ import annotations

import pytest

from uploads.objectstore.errors import NotSent, Reason
from uploads.objectstore.providers import MIB, PROVIDERS, Provider, get_provider


def test_every_provider_is_there_under_its_name() -> None:
    names = "aws b2 ceph garage gcs generic minio oss-s3 r2 scaleway seaweedfs swift wasabi"
    assert " ".join(sorted(PROVIDERS)) == names
    assert all(name == provider.name and provider.label for name, provider in PROVIDERS.items())


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_limits_fit_together(provider: Provider) -> None:
    assert 0 < provider.min_part_size < provider.max_part_size <= provider.max_object_size
    assert 1 <= provider.max_parts <= 10_000
    assert provider.max_object_size <= provider.max_parts * provider.max_part_size


def test_what_field_notes_fix() -> None:
    assert PROVIDERS["scaleway"].max_parts == 1000
    assert PROVIDERS["r2"].equal_parts
    assert PROVIDERS["swift"].min_part_size == 5 * MIB
    assert PROVIDERS["oss-s3"].addressing == "virtual"
    assert not PROVIDERS["generic"].etag_is_md5


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(NotSent, match="generic") as caught:
        get_provider("nobody")
    assert caught.value.reason is Reason.BAD_ARGUMENT
