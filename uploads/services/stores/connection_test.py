"""Testing the settings of a store before they are saved: how the store responds to exactly these values.

Nothing is stored but an entry of the audit log. The client exists only for the test, so that unsaved secrets are kept
nowhere. The requests go to the entered endpoint URL: the caller can make this machine connect to any address that the
settings allow, so only administrators may run a test.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from django.contrib.auth.models import User

from uploads import audit
from uploads.models import Store
from uploads.objectstore.client import ObjectStoreClient
from uploads.objectstore.errors import NotSent, ObjectStoreError, Reason, Refused
from uploads.objectstore.types import Addressing, Bucket, StoreConfig
from uploads.problems import Code, Problem
from uploads.services.stores.clients import ONCE
from uploads.services.stores.settings import StoreValues, draft
from uploads.services.stores.web_threads import threads_of

log = logging.getLogger(__name__)

MAX_BUCKETS = 5
CONNECT_SECONDS = 5.0
STALL_SECONDS = 10.0

OF_ONE_REQUEST = frozenset(
    {
        Reason.PERMISSION,
        Reason.FORBIDDEN,
        Reason.STORE_FULL,
        Reason.REFUSED,
        Reason.NO_SUCH_BUCKET,
        Reason.ADDRESSING,
        Reason.STORE_FAULT,
    }
)
"""A store can refuse one request for these reasons, and accept another."""

OF_ONE_BUCKET = OF_ONE_REQUEST | {Reason.WRONG_REGION, Reason.BAD_ARGUMENT, Reason.NO_SUCH_KEY}
"""A store can refuse requests about one bucket for these reasons, and accept them for another."""


_OF_NETWORK = frozenset({Reason.UNREACHABLE, Reason.TIMEOUT, Reason.TLS})


_SHOWN_CODES = frozenset({Code.CERTIFICATE_NOT_TRUSTED, Code.CA_BUNDLE_MISSING, Code.CA_BUNDLE_OUTSIDE})
"""What an administrator needs to set up a private certificate authority. The first shows that TLS is there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request of the test. `count` is the number of buckets, or 1 if there are uploads in progress."""

    operation: str
    bucket: str = ""
    count: int = 0
    error: ObjectStoreError | None = None


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """The result of a test. `not_tried` are the buckets that were skipped after a failure.

    `clock_offset` is how far the store's clock is ahead of ours, in whole seconds.
    """

    provider: str
    region: str
    endpoint_url: str
    addressing: Addressing
    steps: tuple[Step, ...]
    not_tried: tuple[str, ...]
    clock_offset: timedelta

    @property
    def failures(self) -> int:
        return sum(step.error is not None for step in self.steps)

    @property
    def lists_uploads(self) -> bool:
        """Whether the uploads of at least one bucket could be listed."""
        return any(step.bucket and step.error is None for step in self.steps)


def run_connection_test(
    values: StoreValues, store: Store | None = None, *, actor: User | None = None
) -> ConnectionTest:
    """List the buckets, then one upload in each named bucket, or in the first buckets of the list.

    `store` is the store that is being changed: its secrets are used where none were entered. Raises
    django.core.exceptions.ValidationError for values that could not be saved, and sends nothing then.
    """
    config = draft(store, values).config()
    if actor is not None:
        # Before the first request: who made this machine connect to which address.
        audit.record(actor, "store.tested", store=values.name, detail={"endpoint_url": config.endpoint_url})
    config = replace(config, connect_timeout=CONNECT_SECONDS, stall_timeout=STALL_SECONDS)
    try:
        client = ObjectStoreClient(config, retries=ONCE, threads=threads_of(config.endpoint_url))
    except ObjectStoreError as error:
        return _result(config, [Step("ListBuckets", error=error)], values.buckets[:MAX_BUCKETS], timedelta())
    with client:
        listed, steps = _list_buckets(client)
        if steps[0].error is not None and steps[0].error.reason is Reason.NOT_AN_ENDPOINT:
            # Nor the clock of what responds there.
            return _result(config, steps, values.buckets[:MAX_BUCKETS], timedelta())
        buckets = (values.buckets or tuple(bucket.name for bucket in listed))[:MAX_BUCKETS]
        first = steps[0].error
        if first is None or first.reason in OF_ONE_REQUEST:
            steps += _list_uploads(client, buckets)
        tried = {step.bucket for step in steps}
        return _result(config, steps, tuple(each for each in buckets if each not in tried), client.clock_offset)


def _result(
    config: StoreConfig, steps: list[Step], not_tried: tuple[str, ...], clock_offset: timedelta
) -> ConnectionTest:
    return ConnectionTest(
        provider=config.provider,
        region=config.region,
        endpoint_url=config.endpoint_url,
        addressing=config.addressing,
        steps=tuple(steps),
        not_tried=not_tried,
        clock_offset=clock_offset,
    )


def _list_buckets(client: ObjectStoreClient) -> tuple[tuple[Bucket, ...], list[Step]]:
    listed: list[Bucket] = []

    def request() -> int:
        listed.extend(client.list_buckets())
        return len(listed)

    step = _step("ListBuckets", "", request)
    return tuple(listed), [step]


def _list_uploads(client: ObjectStoreClient, buckets: tuple[str, ...]) -> Iterator[Step]:
    for bucket in buckets:

        def request(bucket: str = bucket) -> int:
            return len(client.list_multipart_uploads(bucket, max_uploads=1).uploads)

        step = _step("ListMultipartUploads", bucket, request)
        yield step
        if step.error is not None and step.error.reason not in OF_ONE_BUCKET:
            return


def _step(operation: str, bucket: str, request: Callable[[], int]) -> Step:
    try:
        return Step(operation, bucket, request())
    except ObjectStoreError as error:
        log.info("connection test: %s: %s", operation, error)
        return Step(operation, bucket, error=_shown(error))


def _shown(error: ObjectStoreError) -> ObjectStoreError:
    """The error, if a store responded with it or it is ours.

    Otherwise only that there is no endpoint: a closed port, another service and one that never responds look the same,
    so that nobody can use the test to examine the network. The log has the difference.
    """
    if isinstance(error, Refused) and error.has_code:
        return error
    if isinstance(error, NotSent) and error.reason not in _OF_NETWORK:
        return error
    if error.problem is not None and error.problem.code in _SHOWN_CODES:
        return error
    return NotSent(
        Problem(Code.NOT_AN_S3_ENDPOINT), reason=Reason.NOT_AN_ENDPOINT, operation=error.operation, retryable=True
    )
