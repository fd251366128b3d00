"""Why bytes are not received. Each carries a Problem."""

from __future__ import annotations

from uploads.problems import Code, ProblemError


class ReceivingStopped(ProblemError):
    """The transfer accepts no more bytes: it was cancelled or paused, has failed, or is done."""

    @property
    def code(self) -> str:
        return self.problem.code


class QuotaExceeded(ProblemError):
    """Staging is full, or its user has taken as much of it as one user may. Bytes that have arrived are kept."""

    @property
    def of_user(self) -> bool:
        return self.problem.code == Code.USER_RESERVED


class GaveWay(QuotaExceeded):
    """The sender is slower than the minimum rate, and others wait for space: its incomplete part is removed."""


class WrongLength(ProblemError):
    """The body, or the file, is longer or shorter than announced."""
