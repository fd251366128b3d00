"""Notes and sources of providers: complete, and only for what exists."""

from __future__ import annotations

from dataclasses import fields

import pytest

from dashboard.shared.messages.providers import NOTES, SOURCES, notes_on, sources_of
from uploads.objectstore.providers import PROVIDERS, Provider

WITHOUT_SOURCE = {"name", "label", "region_default", "endpoint_hint"}
PLAIN = Provider(name="plain", label="S3 without differences")


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda provider: provider.name)
def test_every_difference_from_s3_has_a_source(provider: Provider) -> None:
    names = {each.name for each in fields(Provider)} - WITHOUT_SOURCE
    differences = {name for name in names if getattr(provider, name) != getattr(PLAIN, name)}
    sources = sources_of(provider.name)
    assert differences == set(sources)
    assert all(sources.values())


def test_texts_belong_to_providers() -> None:
    assert set(NOTES) <= set(PROVIDERS)
    assert set(SOURCES) <= set(PROVIDERS)


def test_provider_without_notes_has_none() -> None:
    assert notes_on("garage") == []
    assert notes_on("unknown") == []
    assert sources_of("unknown") == {}
