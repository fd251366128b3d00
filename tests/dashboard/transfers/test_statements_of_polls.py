"""What a poll of an open page asks the database, however many transfers are live: many pages poll at once."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.dashboard.make_transfer import make_transfer
from uploads.models import Store, Transfer

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}
FRAGMENT = {"HX-Request": "true", "Partway-Background": "1"}


@pytest.fixture
def store(db: None) -> Store:
    """A store that these tests never reach."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def statements_of(client: Client, path: str, headers: dict[str, str]) -> int:
    client.get(path, headers=headers)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(path, headers=headers).status_code == 200
    return len(captured)


@pytest.mark.parametrize("live", [1, 50])
def test_polls_cost_few_statements(operator: User, operator_client: Client, store: Store, live: int) -> None:
    for number in range(live):
        transfer = make_transfer(operator, store, key=f"{number:03}", sent=2, sending=1, staged=1)
    ids = "&".join(f"id={each}" for each in Transfer.objects.values_list("pk", flat=True))
    costs = {
        "list": statements_of(operator_client, "/transfers/", FRAGMENT),
        "list as JSON": statements_of(operator_client, "/transfers/", JSON),
        "several by their ids": statements_of(operator_client, f"/transfers/?{ids}", JSON),
        "one": statements_of(operator_client, f"/transfers/{transfer.pk}/", FRAGMENT),
        "one as JSON": statements_of(operator_client, f"/transfers/{transfer.pk}/", JSON),
    }
    limits = {"list": 11, "list as JSON": 11, "several by their ids": 7, "one": 8, "one as JSON": 7}
    assert {name: cost for name, cost in costs.items() if cost > limits[name]} == {}


def test_poll_of_a_transfer_that_has_not_changed_gets_nothing(
    operator: User, operator_client: Client, store: Store
) -> None:
    transfer = make_transfer(operator, store, sent=2, sending=1, staged=1)
    path = poll_address(operator_client, f"/transfers/{transfer.pk}/")
    with CaptureQueriesContext(connection) as captured:
        unchanged = operator_client.get(path, headers=FRAGMENT)
    assert (unchanged.status_code, unchanged.content) == (204, b"")
    assert len(captured) <= 8
    changes = ({"moved": 3}, {"state": "sent"}, {"error_code": "SlowDown"}, {"tries": 2})
    for change in changes:
        transfer.parts.filter(number=3).update(**change)
        changed = operator_client.get(path, headers=FRAGMENT)
        assert changed.status_code == 200, change
        path = poll_address(operator_client, path)
        assert operator_client.get(path, headers=FRAGMENT).status_code == 204, change
    transfer.parts.update(error_code="")
    type(transfer).objects.filter(pk=transfer.pk).update(error_code="SlowDown")
    assert operator_client.get(path, headers=FRAGMENT).status_code == 200


def poll_address(client: Client, path: str) -> str:
    """Where the page asks next."""
    found = re.search(r'hx-get="([^"]+)"', client.get(path, headers=FRAGMENT).content.decode())
    assert found, path
    return unescape(found[1])
