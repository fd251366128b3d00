"""The words of alerts: the dashboard has them, and hands its function to this module when a process starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from uploads.models import AlertDelivery


@dataclass(frozen=True, slots=True)
class Words:
    """A line that says all, and a longer text for a mail."""

    subject: str
    text: str


def _without_words(delivery: AlertDelivery) -> Words:
    """Names and numbers, for a process without the dashboard."""
    line = f"{delivery.rule.name}: {delivery.event}"
    return Words(line, line)


class _Source:
    write: Callable[[AlertDelivery], Words] = staticmethod(_without_words)


def use(write: Callable[[AlertDelivery], Words]) -> None:
    _Source.write = staticmethod(write)


def words_of(delivery: AlertDelivery) -> Words:
    return _Source.write(delivery)
