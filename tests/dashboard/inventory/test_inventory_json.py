"""The inventory as JSON, CSV and JSON Lines: fields, bad parameters, exports of all rows, and access."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from dashboard.inventory.query import filter_query
from tests.services.inventory.rows import fill
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Role
from uploads.models import Grant, InventoryUpload

pytestmark = pytest.mark.django_db

COUNT = 150


@pytest.fixture
def admin_client(client: Client) -> Client:
    client.force_login(User.objects.create_user("ada", is_staff=True))
    fill(COUNT, stores=2, buckets=2)
    return client


def get(client: Client, status: int = 200, **query: Any) -> Any:
    address = f"{reverse('inventory')}?{urlencode(query, doseq=True)}"
    response = client.get(address, headers={"accept": "application/json"})
    assert response.status_code == status, response.content
    return response.json()


def exported(client: Client, **query: Any) -> str:
    response = client.get(f"{reverse('inventory')}?{urlencode(query, doseq=True)}")
    return b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]


def test_fields_are_documented_and_pages_continue(admin_client: Client) -> None:
    asked: dict[str, Any] = {"page-size": 40, "group": "bucket"}
    found = get(admin_client, **asked)
    documented = set(re.findall(r"`([\w-]+)`", (settings.BASE_DIR / "docs" / "json.md").read_text()))
    for part in (found, found["uploads"][0], found["groups"][0], found["totals"]):
        assert set(part) <= documented, set(part) - documented
    assert found["totals"]["uploads"] == COUNT
    seen = [row["UploadId"] for row in found["uploads"]]
    while found["next"]:
        found = get(admin_client, **{"page-size": 40, "cursor": found["next"]})
        seen += [row["UploadId"] for row in found["uploads"]]
    assert sorted(seen) == sorted(InventoryUpload.objects.values_list("upload_id", flat=True))
    assert found["previous"]


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ({"verdict": "gone"}, "alive, stalled, dead"),
        ({"sort": "size"}, "bytes, -bytes, age"),
        ({"group": "key"}, "store, bucket, prefix"),
        ({"older-than": "7"}, "7d"),
        ({"younger-than": "7"}, "7d"),
        ({"id": "x"}, "1,000 times"),
        ({"id": list(range(1001))}, "1,000 times"),
        ({"idle-for": "1y"}, "12h"),
        ({"min-bytes": "-1"}, "from 0 to"),
        ({"max-parts": "many"}, "from 0 to"),
        ({"page-size": "1001"}, "from 1 to 1,000"),
        ({"depth": "9"}, "from 1 to 4"),
        ({"cursor": "x"}, "cursor"),
        ({"format": "xml"}, "csv, jsonl"),
        ({"store": ["a", "b"]}, "allowed once"),
        ({"q": "x" * 5000}, "4,096"),
    ],
)
def test_bad_parameter_is_refused_with_what_is_allowed(
    admin_client: Client, query: dict[str, Any], allowed: str
) -> None:
    assert allowed in get(admin_client, 400, **query)["error"]["message"]


def test_exports_have_all_rows_and_no_formulas(admin_client: Client) -> None:
    InventoryUpload.objects.filter(upload_id="upload~rare-one").update(key="=cmd()")
    rows = list(csv.DictReader(io.StringIO(exported(admin_client, format="csv"))))
    lines = [json.loads(line) for line in exported(admin_client, format="jsonl", verdict="dead").splitlines()]
    assert len(rows) == COUNT
    assert [row["Key"] for row in rows if row["UploadId"] == "upload~rare-one"] == ["'=cmd()"]
    assert {row["UploadId"] for row in lines} == {row["UploadId"] for row in rows if row["Verdict"] == "dead"}
    assert set(lines[0]) == set(rows[0])


def test_query_of_a_filter_leads_to_it(admin_client: Client) -> None:
    wanted = InventoryFilter(verdicts=("dead", "empty"), prefix="é/\n/", min_bytes=0)
    found = admin_client.get(f"{reverse('inventory')}?{filter_query(wanted)}", headers={"accept": "application/json"})
    assert {row["Key"][:4] for row in found.json()["uploads"]} == {"é/\n/"}


def test_viewer_of_a_bucket_sees_and_exports_only_that(admin_client: Client, client: Client) -> None:
    row = InventoryUpload.objects.select_related("store", "bucket").earliest("pk")
    olga = User.objects.create_user("olga")
    Grant.objects.create(user=olga, role=Role.VIEWER, store=row.store, bucket=row.bucket.name)
    client.force_login(olga)
    count = InventoryUpload.objects.filter(bucket=row.bucket).count()
    assert get(client)["totals"]["uploads"] == count
    assert len(exported(client, format="jsonl").splitlines()) == count
