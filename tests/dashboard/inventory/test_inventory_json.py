"""The inventory as JSON, CSV and JSON Lines: fields, bad parameters, exports of all rows, and access."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from dashboard.inventory.query import filter_query
from tests.services.inventory.rows import fill
from uploads.domain.inventory_filter import InventoryFilter
from uploads.domain.roles import Role, TokenScope
from uploads.models import Grant, InventoryBucket, InventoryUpload
from uploads.problems import Code
from uploads.services.people.tokens import TokenValues, create_token

pytestmark = pytest.mark.django_db

COUNT = 150
MOST_STATEMENTS = 40
"""Of a page with all that it may ask for."""


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


@pytest.mark.parametrize(("days", "base"), [(9, "dead"), (3, "stalled")])
def test_completable_and_superseded_uploads_are_dead_or_stalled(admin_client: Client, days: int, base: str) -> None:
    now = timezone.now()
    last = now - timedelta(days=days)
    times = {"initiated": last, "started_at": last, "last_part_at": last, "active_at": last, "checked_at": now}
    pks = list(InventoryUpload.objects.filter(parts__gt=0).values_list("pk", flat=True)[:2])
    InventoryUpload.objects.filter(pk__in=pks).update(**times, gaps=1, object_modified_at=None)
    whole = {"gaps": 0, "parts": 1, "bytes": 10, "verdict": "completable"}
    InventoryUpload.objects.filter(pk=pks[0]).update(**whole)
    InventoryUpload.objects.filter(pk=pks[1]).update(object_modified_at=now, verdict="superseded")
    rows = {row["Id"]: row for row in get(admin_client, **{"page-size": 1000})["uploads"]}
    found = [(rows[pk]["Verdict"], rows[pk]["Base"]) for pk in pks]
    assert found == [("completable", base), ("superseded", base)]
    for pk in pks:
        assert rows[pk]["Reason"].endswith(f"By its last part, the upload is {base}.")
    query = {"verdict": "superseded", "page-size": "1000"}
    page = admin_client.get(reverse("inventory"), query).content.decode()
    assert f'<span class="text-secondary">{base}</span>' in page
    lines = csv.DictReader(io.StringIO(exported(admin_client, format="csv", verdict="completable")))
    assert next(line["Base"] for line in lines if line["Id"] == str(pks[0])) == base


def test_verdicts_have_their_reasons_and_figures_their_coverage(admin_client: Client) -> None:
    """Rows are judged again for the page: where time has changed a stored verdict, there is no reason."""
    found = InventoryUpload.objects.filter(verdict="dead", parts__gt=0)
    silent = found.values_list("pk", flat=True)[0]
    changed = found.values_list("pk", flat=True)[1]
    now = timezone.now()
    last = now - timedelta(days=9)
    times = {"initiated": last, "started_at": last, "last_part_at": last, "active_at": last, "checked_at": now}
    InventoryUpload.objects.filter(pk=silent).update(**times, gaps=1)
    InventoryUpload.objects.filter(pk=changed).update(**times | {"last_part_at": now, "active_at": now})
    rows = {row["Id"]: row for row in get(admin_client, **{"page-size": 1000})["uploads"]}
    assert rows[silent]["ReasonCode"] == Code.UPLOAD_PART_LONG_AGO
    assert rows[silent]["ReasonParams"]["limit_seconds"] == 7 * 86400
    assert rows[silent]["Reason"] == "The last part arrived 9 d ago; 7 d without a part make an upload dead."
    assert rows[silent]["Base"] is None
    assert (rows[changed]["Verdict"], rows[changed]["Reason"], rows[changed]["ReasonCode"]) == ("dead", None, None)
    response = admin_client.get(reverse("inventory"), {"format": "csv"})
    lines = csv.DictReader(io.StringIO(b"".join(response).decode()))
    exported_row = next(line for line in lines if line["Id"] == str(silent))
    assert exported_row["Reason"] == rows[silent]["Reason"]
    assert json.loads(exported_row["ReasonParams"])["limit_seconds"] == 7 * 86400
    totals = get(admin_client)["totals"]
    assert 0 < totals["bytes_known_of"] < totals["uploads"]
    share = int(100 * totals["bytes_known_of"] / totals["uploads"])
    assert totals["coverage"].startswith(f"bytes known of {share}")
    assert response["Partway-Coverage"].startswith(f"bytes known of {share}")
    everything = get(admin_client, **{"min-bytes": 0})["totals"]
    assert everything["coverage"] == "bytes known of all uploads"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"group": "prefix", "depth": 3},
        {"q": "file-1", "group": "age", "sort": "key"},
        {"bucket": "bucket-1", "verdict": ["dead", "stalled"], "min-parts": 1, "prefix": "logs/", "group": "initiator"},
    ],
)
def test_a_page_needs_few_statements_however_long_it_is(admin_client: Client, query: dict[str, Any]) -> None:
    olga = User.objects.create_user("olga")
    for bucket in InventoryBucket.objects.exclude(name="rare"):
        Grant.objects.create(user=olga, role=Role.VIEWER, store=bucket.store, bucket=bucket.name, prefix="l")
    for user, most in ((User.objects.get(username="ada"), MOST_STATEMENTS), (olga, MOST_STATEMENTS + 20)):
        admin_client.force_login(user)
        counts = []
        for size in (1, 100):
            with CaptureQueriesContext(connection) as captured:
                get(admin_client, **query, **{"page-size": size})
            counts.append(len(captured))
        assert abs(counts[0] - counts[1]) <= 6, "segments of the order, not rows"
        assert max(counts) <= most, counts


def test_token_with_read_scope_reads_and_exports(admin_client: Client, client: Client) -> None:
    user = User.objects.get(username="ada")
    client.logout()
    for scope, status in ((TokenScope.READ, 200), (TokenScope.TRANSFER, 403)):
        values = TokenValues(name=scope, scopes=frozenset({scope}), days=1)
        headers = {"authorization": f"Bearer {create_token(user, values)[1]}", "accept": "application/json"}
        response = client.get(reverse("inventory"), headers=headers)
        assert response.status_code == status, scope
        exported_lines = client.get(reverse("inventory"), {"format": "jsonl"}, headers=headers)
        assert exported_lines.status_code == status, scope
        if status == 200:
            assert response.json()["totals"]["uploads"] == COUNT
            assert len(list(exported_lines)) == COUNT
    assert client.get(reverse("inventory"), headers={"accept": "application/json"}).status_code != 200


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
