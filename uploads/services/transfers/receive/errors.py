"""Why bytes are not received. Each carries a Problem."""

from __future__ import annotations

from uploads.problems import ProblemError


class ReceivingStopped(ProblemError):
    """The transfer accepts no more bytes: it was cancelled or paused, has failed, or is done."""

    @property
    def code(self) -> str:
        return self.problem.code


class QuotaExceeded(ProblemError):
    """Staging is full. Bytes that have arrived are kept."""


class WrongLength(ProblemError):
    """The body, or the file, is longer or shorter than announced."""
