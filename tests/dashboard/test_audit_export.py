"""The audit log as JSON and as files: what the page shows, streamed, without formulas, and recorded itself."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from dashboard.audit.export import COLUMNS
from dashboard.shared.exports import cell
from uploads import audit
from uploads.domain.roles import Role
from uploads.models import AuditEntry, Grant, Store


@pytest.fixture
def log(operator: User) -> None:
    of: dict[str, Any] = {"store": "aws", "bucket": "photos", "key": "=HYPERLINK(1)", "upload_id": "u-1"}
    with audit.origin(address="192.0.2.1", means="page"):
        ordered = audit.record(operator, "abort.ordered", **of)
    audit.record(operator, "abort.done", request_id="r-1", detail={"outcome": {"repeats": 2}}, ordered=ordered, **of)
    audit.record(operator, "store.changed", store="ceph", before={"region": "a"}, after={"region": "b"})


def content(client: Client, query: str) -> str:
    response: Any = client.get(f"/audit/?{query}")
    assert (response.status_code, response.streaming) == (200, True)
    return b"".join(response.streaming_content).decode()


@pytest.mark.usefixtures("log")
def test_json_has_lines_with_their_outcomes(administrator_client: Client) -> None:
    page = administrator_client.get("/audit/?bucket=photos", headers={"Accept": "application/json"}).json()
    (line,) = page["entries"]
    assert (line["action"], line["address"], line["means"], line["store"], line["key"]) == (
        *("abort.ordered", "192.0.2.1", "page", "aws", "=HYPERLINK(1)"),
    )
    (outcome,) = line["outcomes"]
    assert (outcome["action"], outcome["outcome"], outcome["request_id"]) == ("abort.done", "done", "r-1")
    assert (page["older"], page["newer"], page["searched_until"]) == (None, None, None)


@pytest.mark.usefixtures("log")
def test_csv_has_a_row_for_each_line_in_words(administrator_client: Client) -> None:
    changed, aborted = csv.DictReader(io.StringIO(content(administrator_client, "format=csv")))
    assert list(changed) == list(COLUMNS)
    assert (aborted["text"], aborted["outcome"], aborted["request_id"]) == ("Upload aborted", "done", "r-1")
    assert aborted["key"] == "'=HYPERLINK(1)"
    assert aborted["ended_at"] >= aborted["at"]
    assert changed["details"] == "region: a → b"
    assert "{" not in str(aborted["details"])


@pytest.mark.usefixtures("log")
def test_json_lines_have_the_fields_of_the_json(administrator_client: Client) -> None:
    page = administrator_client.get("/audit/", headers={"Accept": "application/json"}).json()
    lines = [json.loads(line) for line in content(administrator_client, "format=jsonl").splitlines()]
    assert lines == page["entries"]


@pytest.mark.usefixtures("log")
def test_export_has_the_filter_and_the_view_of_the_page(operator_client: Client, operator: User) -> None:
    Grant.objects.all().delete()
    store = Store.objects.create(name="aws", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")
    Grant.objects.create(user=operator, role=Role.VIEWER, store=store, bucket="photos", prefix="=")
    assert len(content(operator_client, "format=jsonl").splitlines()) == 1
    assert content(operator_client, "format=jsonl&key=other") == ""
    Grant.objects.all().delete()
    Grant.objects.create(user=operator, role=Role.VIEWER, store=store, bucket="photos", prefix="other/")
    entries = [json.loads(line) for line in content(operator_client, "format=jsonl").splitlines()]
    assert {entry["action"] for entry in entries} == {"audit.exported"}, "only what concerns the user alone"


def test_export_is_recorded_with_its_filter(administrator_client: Client) -> None:
    content(administrator_client, "format=csv&bucket=photos")
    entry = AuditEntry.objects.get(action="audit.exported")
    assert (entry.actor_name, entry.detail) == ("ada", {"format": "csv", "filter": {"bucket": "photos"}})
    administrator_client.head("/audit/?format=csv")
    assert AuditEntry.objects.filter(action="audit.exported").count() == 1


def test_export_reads_a_batch_at_a_time(administrator_client: Client, administrator: User) -> None:
    for number in range(1500):
        audit.record(administrator, "test.done", key=f"k-{number}")
    response: Any = administrator_client.get("/audit/?format=csv")
    chunks = iter(response.streaming_content)
    assert b"at,actor" in next(chunks)
    next(chunks)
    audit.record(administrator, "test.done", key="later")
    rest = b"".join(chunks).decode()
    assert "k-0" in rest
    assert "later" not in rest


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "＝1", "＠x"])
def test_formulas_are_texts(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=1", "folder/-x", "2026-01-31", "'"])
def test_other_texts_are_unchanged(text: str) -> None:
    assert cell(text) == text


@pytest.mark.parametrize(
    "query",
    [
        *("format=xml", "means=x", "outcome=x", "transfer=x", "operation=1", "since=x", "until=2026-13-01", "after=x"),
        *("since=0001-01-01", "until=9999-12-31T23:59", "actor=a&actor=b"),
    ],
)
def test_invalid_filters_are_refused(query: str, operator_client: Client) -> None:
    assert operator_client.get(f"/audit/?{query}").status_code == 400
