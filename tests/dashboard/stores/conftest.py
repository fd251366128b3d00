"""The site for the tests of the stores pages."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.dashboard.pages import Site


@pytest.fixture
def office(administrator_client: Client) -> Site:
    """The site as an administrator sees it."""
    return Site(administrator_client, "any", "any")
