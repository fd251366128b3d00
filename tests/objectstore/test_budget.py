"""The time that a page waits for stores: one budget for all of its requests, whatever a store does with the time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.objectstore.conftest import MakeClient
from tests.objectstore.fault_server import (
    FaultServer,
    Step,
    error,
    freeze,
    freeze_after_head,
    full_backlog,
    respond,
    stall,
    trickle,
)
from uploads.objectstore.budget import Budget, limited_to
from uploads.objectstore.errors import NotSent, OutcomeUnknown, Reason, Refused
from uploads.problems import Code

SECONDS = 0.3
"""The budget of a page. A store that trickles would need longer for its response, and would then succeed."""

BUCKETS = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"

PART = b"<Part><PartNumber>%d</PartNumber><ETag>e</ETag><Size>1</Size></Part>"


def page_of_parts(number: int) -> Step:
    marker = b"<NextPartNumberMarker>%d</NextPartNumberMarker>" % number
    content = b"<IsTruncated>true</IsTruncated>" + marker + PART % number
    return respond(200, b"<ListPartsResult>" + content + b"</ListPartsResult>")


@pytest.fixture
def page() -> Budget:
    return Budget(SECONDS)


@pytest.mark.parametrize(
    "fault",
    [stall, freeze, freeze_after_head, trickle(BUCKETS), trickle(BUCKETS, {"X-Padding": "x" * 100})],
    ids=["no response", "request read", "no body", "slow body", "slow head"],
)
def test_page_waits_for_no_longer_than_its_budget(
    server: FaultServer, make_client: MakeClient, page: Budget, fault: Step
) -> None:
    """Whatever takes time after the request was sent: no response, no body, a byte at a time in the head or body."""
    server.otherwise = fault
    with limited_to(page), pytest.raises(OutcomeUnknown, match=Code.PAGE_TIME_USED_UP) as caught:
        make_client(server.url).list_buckets()
    assert (caught.value.reason, caught.value.timed_out, page.left) == (Reason.TIMEOUT, True, 0)
    assert len(server.received) == 1


def frozen_handshake() -> AbstractContextManager[str]:
    class Frozen(FaultServer):
        def __enter__(self) -> str:  # type: ignore[override]
            return super().__enter__().url

    return Frozen(freezes_in_handshake=True)


@pytest.mark.parametrize("store", [full_backlog, frozen_handshake], ids=["connecting", "TLS handshake"])
def test_page_waits_for_a_connection_within_its_budget(
    make_client: MakeClient, page: Budget, store: Callable[[], AbstractContextManager[str]]
) -> None:
    """Whatever takes time before the request can be sent: connecting and TLS."""
    with store() as url, limited_to(page), pytest.raises(NotSent, match=Code.PAGE_TIME_USED_UP) as caught:
        make_client(url).list_buckets()
    assert (caught.value.reason, caught.value.timed_out, page.left) == (Reason.TIMEOUT, True, 0)


def test_page_waits_for_the_resolver_within_its_budget(
    make_client: MakeClient, page: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that hangs, which has no timeout that a caller sets. Another page joins the same lookup."""
    ended, lookups = threading.Event(), []

    def hang(*name: object, **_: object) -> list[object]:
        lookups.append(name)
        ended.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    client = make_client("http://slow.test")
    for budget in (page, Budget(SECONDS)):
        with limited_to(budget), pytest.raises(NotSent, match=Code.PAGE_TIME_USED_UP):
            client.list_buckets()
    ended.set()
    assert len(lookups) == 1


def test_requests_of_a_page_share_its_budget(server: FaultServer, make_client: MakeClient, page: Budget) -> None:
    """A page of many requests, each of which is fast enough alone, and a store that freezes after some responses."""
    server.script(*(page_of_parts(number) for number in range(1, 4)))
    server.otherwise = freeze
    client = make_client(server.url)
    with limited_to(page):
        with pytest.raises(OutcomeUnknown, match=Code.PAGE_TIME_USED_UP):
            list(client.iter_parts("bucket", "k", "u"))
        assert len(server.received) == 4
        with pytest.raises(NotSent, match=Code.PAGE_TIME_USED_UP) as caught:
            client.head_object("bucket", "k")
    assert not caught.value.timed_out, "a store that was not asked has not failed to answer"
    assert len(server.received) == 4


def test_time_between_requests_is_not_counted(server: FaultServer, make_client: MakeClient) -> None:
    """A page that receives a file for an hour can still ask the store whether an object exists."""
    server.otherwise = respond(200, BUCKETS)
    budget = Budget(SECONDS)
    with limited_to(budget):
        make_client(server.url).list_buckets()
        left = budget.left
        threading.Event().wait(0.05)
        assert budget.left == left > 0


def test_page_repeats_a_request_once(server: FaultServer, make_client: MakeClient, slept: list[float]) -> None:
    """Errors that come back fast do not use up the budget, so attempts are limited as well."""
    server.otherwise = error(503, "SlowDown")
    with limited_to(Budget(30)), pytest.raises(Refused):
        make_client(server.url).list_buckets()
    assert (len(server.received), len(slept)) == (2, 1)


@pytest.mark.parametrize(("retry_after", "requests"), [("1", 2), ("20", 1)])
def test_page_waits_for_retry_after_only_within_its_budget(
    server: FaultServer, make_client: MakeClient, slept: list[float], retry_after: str, requests: int
) -> None:
    """A store that asks for a longer wait than the page has gets no second request, and the page shows its error."""
    server.otherwise = error(503, "SlowDown", {"Retry-After": retry_after})
    with limited_to(Budget(10)), pytest.raises(Refused) as caught:
        make_client(server.url).list_buckets()
    assert caught.value.code == "SlowDown"
    assert len(server.received) == requests
    assert slept == [1.0][: requests - 1]


def test_worker_waits_as_the_store_is_configured(server: FaultServer, make_client: MakeClient) -> None:
    """Without a budget, the timeouts and the number of attempts are those of the client."""
    server.otherwise = freeze
    with pytest.raises(OutcomeUnknown, match=Code.CONNECTION_STALLED) as caught:
        make_client(server.url, stall_timeout=0.5).list_buckets()
    assert caught.value.timed_out
    assert len(server.received) == 3


def test_worker_that_cannot_connect_has_timed_out(make_client: MakeClient) -> None:
    """A port that takes no connections is as silent as one that does not respond; a closed port is not."""
    with full_backlog() as url, pytest.raises(NotSent, match=Code.CONNECTION_FAILED) as caught:
        make_client(url, connect_timeout=0.1).list_buckets()
    assert (caught.value.reason, caught.value.timed_out) == (Reason.UNREACHABLE, True)


def test_slow_response_succeeds_without_budget(server: FaultServer, make_client: MakeClient) -> None:
    """The response that a page does not wait for is a valid one for a worker."""
    server.otherwise = trickle(BUCKETS, pause=0.001)
    assert list(make_client(server.url).list_buckets()) == []
