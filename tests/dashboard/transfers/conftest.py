"""What tests of transfers in the dashboard share."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from uploads.services.transfers import whole_files
from uploads.services.work import queue


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages that were published and not received: task and id."""
    published: list[tuple[str, str]] = []

    def publish(task: str, ids: Sequence[str], _queue: str, _countdown: float) -> None:
        published.extend((task, each) for each in ids)

    monkeypatch.setattr(queue, "_publish", publish)
    return published


@pytest.fixture(autouse=True)
def ample_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """No earlier test has found little space, after which whole files take another way for some seconds."""
    monkeypatch.setattr(whole_files._Pause, "until", 0.0)
