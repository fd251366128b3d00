"""The staging page for administrators: reserved bytes by operator and by transfer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from tests.dashboard.make_transfer import MIB, make_transfer
from tests.dashboard.pages import Page
from uploads.domain.states import Phase
from uploads.models import Store, Transfer

URL = "/staging/"
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> None:
    settings.STAGING_DIR = tmp_path / "staging"


@pytest.fixture
def unreachable(db: None) -> Store:
    """A store that these tests send no request to."""
    return Store.objects.create(name="unreachable", endpoint_url="http://127.0.0.1:9", access_key="a", secret_key="b")


def staged(owner: User, store: Store, parts: int, **values: Any) -> Transfer:
    """A transfer that has reserved space for this number of parts of 1 MiB."""
    facts: dict[str, Any] = {"node": "test-node", "resumable": True}
    transfer = make_transfer(owner, store, staged=parts, **facts | values)
    transfer.parts.update(reserved_bytes=MIB)
    return transfer


def test_operators_may_not_see_staging(operator_client: Client) -> None:
    page = Page(operator_client.get(URL))
    assert page.status == 403
    assert "the role “Administrator”" in page.words
    refused = Page(operator_client.get(URL, headers=JSON))
    assert (refused.status, refused.json["error"]["code"]) == (403, "AccessDenied")


def test_staging_needs_a_login(client: Client) -> None:
    assert client.get(URL).status_code == 302


def test_staging_page_is_read_only(administrator_client: Client) -> None:
    administrator_client.get("/stores/")
    token = administrator_client.cookies["partway_csrf"].value
    assert administrator_client.post(URL, headers={"X-CSRFToken": token}).status_code == 405
    assert administrator_client.head(URL).status_code == 200


def test_link_is_for_administrators_only(operator_client: Client, administrator_client: Client) -> None:
    assert f'href="{URL}"' in Page(administrator_client.get("/")).text
    assert f'href="{URL}"' not in Page(operator_client.get("/")).text


def test_empty_staging(administrator_client: Client, settings: Settings) -> None:
    page = Page(administrator_client.get(URL))
    assert page.status == 200
    assert "Nothing is staged" in page.words
    assert "limited only by the disk" in page.words
    assert "test-node" in page.words
    settings.STAGING_QUOTA = 100 * MIB
    facts = Page(administrator_client.get(URL, headers=JSON)).json
    assert facts == {
        "node": "test-node",
        "held": 0,
        "quota": 100 * MIB,
        "free_room": 100 * MIB,
        "operators": [],
    }


def test_reserved_bytes_by_operator_and_transfer(
    administrator_client: Client, operator: User, administrator: User, unreachable: Store, settings: Settings
) -> None:
    settings.STAGING_QUOTA = 10 * MIB
    staged(operator, unreachable, 2, key="small.bin")
    staged(operator, unreachable, 3, key="large <b>.bin")
    staged(administrator, unreachable, 1, key="own.bin")
    staged(administrator, unreachable, 4, key="elsewhere.bin", node="other-node")
    make_transfer(operator, unreachable, key="sent.bin", sent=5, node="test-node", phase=Phase.DONE)
    facts = Page(administrator_client.get(URL, headers=JSON)).json
    assert facts == {
        "node": "test-node",
        "held": 6 * MIB,
        "quota": 10 * MIB,
        "free_room": 4 * MIB,
        "operators": [
            {"operator": "olga", "held": 5 * MIB, "transfers": 2},
            {"operator": "ada", "held": 1 * MIB, "transfers": 1},
        ],
    }
    text = Page(administrator_client.get(URL)).text
    assert text.index("large &lt;b&gt;.bin") < text.index("small.bin") < text.index("own.bin")
    for words in ("5.00 MiB", "10.0 MiB", "4.00 MiB", "Expires", "olga"):
        assert words in text
    for words in ("elsewhere.bin", "sent.bin", "style="):
        assert words not in text


@pytest.mark.parametrize("quota", [6 * MIB, 5 * MIB])
def test_full_staging(
    quota: int, administrator_client: Client, operator: User, unreachable: Store, settings: Settings
) -> None:
    """Also more than full, after an administrator has lowered the quota."""
    settings.STAGING_QUOTA = quota
    staged(operator, unreachable, 6)
    assert "nothing: senders wait" in Page(administrator_client.get(URL)).words
    facts = Page(administrator_client.get(URL, headers=JSON)).json
    assert (facts["held"], facts["free_room"]) == (6 * MIB, 0)


def test_page_needs_few_queries_and_shows_the_largest(
    administrator_client: Client,
    operator: User,
    unreachable: Store,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(110):
        staged(operator, unreachable, 1 if number < 10 else 2, key=f"file-{number:03}")
    with django_assert_max_num_queries(15):
        text = Page(administrator_client.get(URL)).text
    assert "110" in text
    assert "file-009" not in text
    assert "file-109" in text
