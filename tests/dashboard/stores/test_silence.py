"""Pages of a store that does not answer: they respond at once, say since when, and offer another try."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import JSON, Page, Site
from tests.dashboard.transfers.test_tus import Tus
from tests.objectstore.fault_server import FaultServer, freeze, respond
from tests.objectstore.responses import EMPTY_LISTING
from uploads.domain.states import ItemState, Phase
from uploads.models import Operation, OperationItem, Store
from uploads.objectstore.errors import OutcomeUnknown, Reason
from uploads.problems import Code, Problem
from uploads.services.work.failures import error_fields

SINCE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
UPLOAD = urlencode({"key": "k", "upload-id": "u"})
BUCKET = "/stores/frozen/photos/uploads/"
SENTENCE = "The store has not answered since 2026-03-04 05:06:07 UTC."


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """It answers, so that a test sees whether it was asked."""
    with FaultServer() as running:
        running.otherwise = respond(200, EMPTY_LISTING)
        yield running


@pytest.fixture
def frozen(db: None, server: FaultServer) -> Store:
    error = OutcomeUnknown(Problem(Code.CONNECTION_STALLED), reason=Reason.TIMEOUT)
    return Store.objects.create(
        name="frozen",
        endpoint_url=server.url,
        access_key="a",
        secret_key="s",
        timeouts=3,
        silent_since=SINCE,
        **error_fields(error),
    )


@pytest.fixture
def visitor(operator_client: Client, frozen: Store) -> Site:
    return Site(operator_client, frozen.name, "photos")


@pytest.mark.parametrize(
    "url",
    [
        "/stores/frozen/",
        BUCKET,
        f"{BUCKET}detail/?{UPLOAD}",
        f"{BUCKET}complete/?{UPLOAD}",
        "/stores/frozen/state/",
    ],
)
def test_page_responds_at_once_and_says_since_when(visitor: Site, server: FaultServer, url: str) -> None:
    """Every page that would wait for the store."""
    page = visitor.get(url)
    assert "The store does not answer" in page.words
    assert SENTENCE in page.words
    assert "The connection stalled" in page.words
    assert page.href("Try again now").endswith("try=1")
    assert server.received == []


def test_abort_can_be_requested_without_waiting(visitor: Site, server: FaultServer) -> None:
    """The worker aborts the upload when the store answers; only its parts are not shown."""
    page = visitor.get(f"{BUCKET}abort/?{UPLOAD}")
    assert (page.status, SENTENCE in page.words) == (200, True)
    assert server.received == []


@pytest.mark.parametrize(
    "url",
    [
        f"{BUCKET}facts/?{UPLOAD}",
        f"{BUCKET}survey/?{UPLOAD}",
        "/transfers/new/existing/?store=frozen&bucket=photos&key=k",
    ],
)
def test_fragment_responds_at_once(visitor: Site, server: FaultServer, url: str) -> None:
    page = visitor.get(url)
    assert (page.status, "does not answer" in page.words) == (200, True)
    assert server.received == []


@pytest.mark.parametrize("url", [BUCKET, f"{BUCKET}detail/?{UPLOAD}", "/stores/frozen/"])
def test_script_is_told_the_same(visitor: Site, url: str) -> None:
    """503 with Retry-After, since when, and the last error, for every page that has JSON."""
    page = visitor.json(url)
    error = page.json["error"]
    assert (page.status, int(page.response["Retry-After"]) > 0) == (503, True)
    assert (error["code"], error["since"]) == ("StoreNotAnswering", "2026-03-04T05:06:07.000Z")
    assert error["message"].startswith(SENTENCE)
    assert error["last_error"]["code"] == "Timeout"


def test_operator_can_have_the_store_asked(visitor: Site, server: FaultServer, frozen: Store) -> None:
    """The answer is shown, and every other page asks the store again from then on."""
    page = visitor.get(visitor.listing("prefix=a%26b").href("Try again now"))
    assert page.status == 200
    assert "prefix=a%26b" in server.received[0].target
    frozen.refresh_from_db()
    assert (frozen.timeouts, frozen.silent_since) == (0, None)
    assert visitor.listing().status == 200
    assert "not answering" not in visitor.get("/stores/").words


def test_stores_page_shows_it(visitor: Site, server: FaultServer) -> None:
    page = visitor.get("/stores/")
    assert "not answering since" in page.words
    assert "The store did not respond in time" in page.words
    assert page.href("Try again now") == "/stores/frozen/?try=1"
    assert server.received == []


def test_overview_shows_it(visitor: Site) -> None:
    """The fragment that the overview loads for each store."""
    page = visitor.get("/stores/frozen/state/", **{"HX-Request": "true"})
    assert "not answering since" in page.words
    assert page.href("Try again now") == "/stores/frozen/?try=1"


def test_new_transfer_is_refused_with_the_same_code(
    operator_client: Client, frozen: Store, server: FaultServer
) -> None:
    """Whether an object exists cannot be checked. With leave to replace it, the transfer waits for the store."""
    tus = Tus(operator_client)
    refused = tus.create(10, store="frozen", bucket="photos", key="k")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "StoreNotAnswering")
    assert int(refused["Retry-After"]) > 0
    assert tus.create(10, store="frozen", bucket="photos", key="k", replace="on", replace_etag="*").status_code == 201
    assert server.received == []


def test_check_before_a_transfer_has_the_same_code(visitor: Site, server: FaultServer) -> None:
    """What the page and the plain form ask before they send a file."""
    fields = {"store": "frozen", "bucket": "photos", "key": "k", "size": "10"}
    checked = visitor.post("/transfers/new/check/", fields, json=True)
    assert (checked.status, checked.json["error"]["code"]) == (503, "StoreNotAnswering")
    assert checked.json["fields"][""].startswith(f"The store does not answer. {SENTENCE}")
    assert int(checked.response["Retry-After"]) > 0
    sent = visitor.post(
        "/transfers/new/", fields | {"csrfmiddlewaretoken": "", "file": BytesIO(b"0123456789")}, json=True
    )
    assert (sent.status, sent.json["error"]["code"]) == (503, "StoreNotAnswering")
    assert int(sent.response["Retry-After"]) > 0
    assert server.received == []


def test_transfer_says_that_it_waits_for_the_store(operator_client: Client, operator: User, frozen: Store) -> None:
    row = make_transfer(operator, frozen, staged=10, all_received=True)
    body = operator_client.get(f"/transfers/{row.pk}/", headers=JSON).json()
    assert body["waiting"] == SENTENCE
    assert SENTENCE in Page(operator_client.get(f"/transfers/{row.pk}/")).words
    ended = make_transfer(operator, frozen, sent=10, phase=Phase.DONE, key="other")
    assert operator_client.get(f"/transfers/{ended.pk}/", headers=JSON).json()["waiting"] is None


def test_operation_says_that_it_waits_for_the_store(operator_client: Client, operator: User, frozen: Store) -> None:
    """A reason for waiting that the page shows: the JSON had none."""
    row = Operation.objects.create(kind="abort", actor=operator, store=frozen, bucket="photos")
    item = OperationItem.objects.create(operation=row, key="k", upload_id="u", state=ItemState.ORDERED)
    url = f"/operations/{row.pk}/"
    assert "has not answered since 2026-03-04 05:06:07 UTC" in Page(operator_client.get(url)).words
    assert operator_client.get(url, headers=JSON).json()["waiting"] == SENTENCE
    OperationItem.objects.filter(pk=item.pk).update(state=ItemState.DONE)
    assert "has not answered" not in Page(operator_client.get(url)).words
    assert operator_client.get(url, headers=JSON).json()["waiting"] is None


def test_page_ends_with_its_time(operator_client: Client, frozen: Store, server: FaultServer, settings: object) -> None:
    """The middleware gives each request its budget: without it, this page would wait for four minutes."""
    settings.STORE_PAGE_SECONDS = 1.5  # type: ignore[attr-defined]
    server.otherwise = freeze
    Store.objects.update(timeouts=0, silent_since=None)
    page = Page(operator_client.get(BUCKET))
    assert (page.status, "The store did not respond in time" in page.words) == (504, True)
    assert len(server.received) == 1
