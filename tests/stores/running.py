"""The interface of all test servers."""

from __future__ import annotations

from typing import Protocol


class RunningStore(Protocol):
    """An endpoint, credentials, and empty buckets on request."""

    @property
    def endpoint_url(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    def new_bucket(self) -> str: ...
