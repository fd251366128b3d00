"""What every S3 server of the tests offers, whatever it is."""

from __future__ import annotations

from typing import Protocol


class RunningStore(Protocol):
    """Where it is, who may ask, and empty buckets that no other test has."""

    @property
    def endpoint_url(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def access_key(self) -> str: ...

    @property
    def secret_key(self) -> str: ...

    def new_bucket(self) -> str: ...
