"""Trying a store's settings before they are saved: what the store says to exactly these values.

Nothing is stored, and the client is made for the trial alone, so that unsaved secrets are kept nowhere. The requests go
wherever the endpoint URL says: whoever may call this can have this machine connect to any address it reaches, which is
why only administrators may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import ObjectStoreError, Reason
from uploads.objectstore.types import Addressing, Bucket, StoreConfig
from uploads.services.stores.clients import ONCE
from uploads.services.stores.settings import StoreValues, drafted

MAX_BUCKETS = 5
CONNECT_SECONDS = 5.0
STALL_SECONDS = 10.0

OF_ONE_REQUEST = frozenset(
    {Reason.PERMISSION, Reason.REFUSED, Reason.NO_SUCH_BUCKET, Reason.ADDRESSING, Reason.STORE_FAULT}
)
"""What one request can be refused for and another one not."""

OF_ONE_BUCKET = OF_ONE_REQUEST | {Reason.WRONG_REGION, Reason.BAD_ARGUMENT, Reason.NO_SUCH_KEY}
"""What one bucket can be refused for and another one not."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the trial. `count` is what it found: buckets, or uploads in progress (one stands for some)."""

    operation: str
    bucket: str = ""
    count: int = 0
    error: ObjectStoreError | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What was asked and heard. `untried`: the buckets that were not asked about after a failure.

    `clock_offset`: how far the store's clock is ahead of ours, to the second.
    """

    provider: str
    region: str
    endpoint_url: str
    addressing: Addressing
    steps: tuple[Step, ...]
    untried: tuple[str, ...]
    clock_offset: timedelta

    @property
    def failures(self) -> int:
        return sum(step.error is not None for step in self.steps)

    @property
    def lists_uploads(self) -> bool:
        """Whether the uploads of at least one bucket could be listed."""
        return any(step.bucket and step.error is None for step in self.steps)


def try_store(values: StoreValues, store: Store | None = None) -> Trial:
    """Ask for the buckets, then for one upload in each named bucket, else in the first ones listed.

    `store` is the one that is being changed: its secrets are used where none were typed. Raises
    django.core.exceptions.ValidationError for values that could not be saved; nothing is asked then.
    """
    config = drafted(store, values).config()
    config = replace(config, connect_timeout=CONNECT_SECONDS, stall_timeout=STALL_SECONDS)
    try:
        client = ObjectStoreClient(config, retries=ONCE)
    except ObjectStoreError as error:
        return _trial(config, [Step("ListBuckets", error=error)], values.buckets[:MAX_BUCKETS], timedelta())
    with client:
        listed, steps = _list_buckets(client)
        buckets = (values.buckets or tuple(bucket.name for bucket in listed))[:MAX_BUCKETS]
        first = steps[0].error
        if first is None or first.reason in OF_ONE_REQUEST:
            steps += _list_uploads(client, buckets)
        asked = {step.bucket for step in steps}
        return _trial(config, steps, tuple(each for each in buckets if each not in asked), client.clock_offset)


def _trial(config: StoreConfig, steps: list[Step], untried: tuple[str, ...], clock_offset: timedelta) -> Trial:
    return Trial(
        provider=config.provider,
        region=config.region,
        endpoint_url=config.endpoint_url,
        addressing=config.addressing,
        steps=tuple(steps),
        untried=untried,
        clock_offset=clock_offset,
    )


def _list_buckets(client: ObjectStoreClient) -> tuple[tuple[Bucket, ...], list[Step]]:
    listed: list[Bucket] = []

    def ask() -> int:
        listed.extend(client.list_buckets())
        return len(listed)

    step = _step("ListBuckets", "", ask)
    return tuple(listed), [step]


def _list_uploads(client: ObjectStoreClient, buckets: tuple[str, ...]) -> Iterator[Step]:
    for bucket in buckets:

        def ask(bucket: str = bucket) -> int:
            return len(client.list_multipart_uploads(bucket, max_uploads=1).uploads)

        step = _step("ListMultipartUploads", bucket, ask)
        yield step
        if step.error is not None and step.error.reason not in OF_ONE_BUCKET:
            return


def _step(operation: str, bucket: str, ask: Callable[[], int]) -> Step:
    try:
        return Step(operation, bucket, ask())
    except ObjectStoreError as error:
        return Step(operation, bucket, error=error)
