"""The JSON of a listing and of an upload: the API's own names, and an end for every script that follows the markers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import botocore.session
import pytest
from django.test import Client

from tests.dashboard.conftest import Start
from tests.dashboard.pages import Site
from tests.objectstore.fault_server import FaultServer, respond
from tests.objectstore.test_pages import parts
from uploads.models import Store
from uploads.objectstore.types import UploadRef

NOT_OFFERED = {"EncodingType", "RequestCharged", "VersionId"}
"""Keys are decoded. The others are not in the API reference of these operations, or only for buckets that charge."""


def fields_of(operation: str, *members: str) -> set[str]:
    """The names of the API in the response to an operation, or in one of its elements. Checksums are not offered."""
    model = botocore.session.get_session().get_service_model("s3").operation_model(operation).output_shape
    for member in members:
        model = model.members[member].member
    return {name for name in model.members if not name.startswith("Checksum")} - NOT_OFFERED


def test_listing_has_every_field_of_the_api(site: Site, start: Start) -> None:
    """Everything that the README promises under the API's own names, compared with the model of the AWS SDK."""
    start("a/b")
    start("c")
    page = site.json(f"{site.links.uploads}?delimiter=/").json
    assert fields_of("ListMultipartUploads") <= set(page)
    assert fields_of("ListMultipartUploads", "Uploads") <= set(page["Uploads"][0])
    assert fields_of("ListMultipartUploads", "CommonPrefixes") == set(page["CommonPrefixes"][0])
    assert (page["MayBeIncomplete"], page["Notes"], page["NextPage"]) == (False, [], "")


def test_upload_has_every_field_of_the_api(site: Site, start: Start) -> None:
    page = site.json(site.links.detail(start("key", {1: 10}))).json
    assert fields_of("ListParts") <= set(page)
    assert fields_of("ListParts", "Parts") <= set(page["Parts"][0])
    assert (page["AbortDate"], page["AbortRuleId"]) == (None, "")


def test_next_part_number_marker_is_the_last_part_number(site: Site, start: Start) -> None:
    """Also on the last page, as in the API; a page without parts has 0."""
    name = start("key", {1: 10, 3: 10, 7: 10})
    numbers = {size: site.json(site.links.detail(name, max_parts=size)).json for size in (1, 2, 3, 1000)}
    assert {size: page["NextPartNumberMarker"] for size, page in numbers.items()} == {1: 1, 2: 3, 3: 7, 1000: 7}
    assert numbers[1000]["IsTruncated"] is False
    assert site.json(site.links.detail(name, part_number_marker=7)).json["NextPartNumberMarker"] == 0


def test_next_page_of_the_json_leads_to_every_upload(site: Site, start: Start) -> None:
    started = [start(key) for key in ("a", "a", "b", "c/d", "ü ")]
    found, url = [], f"{site.links.uploads}?max-uploads=2"
    while url:
        page = site.json(url).json
        found += [UploadRef(each["Key"], each["UploadId"]) for each in page["Uploads"]]
        url = page["NextPage"]
    assert sorted(found, key=str) == sorted(started, key=str)


@pytest.fixture
def faulty(make_store: Callable[..., Store], operator_client: Client) -> Iterator[tuple[Site, FaultServer]]:
    """A site whose store is a script."""
    with FaultServer() as server:
        make_store(name="faulty", endpoint_url=server.url, provider="generic")
        yield Site(operator_client, "faulty", "bucket"), server


@pytest.mark.parametrize(("marker", "numbers"), [(2, (1, 2)), (0, ()), (1, ())])
def test_parts_whose_marker_does_not_advance_end_a_script(
    faulty: tuple[Site, FaultServer], marker: int, numbers: tuple[int, ...]
) -> None:
    """A truncated page of parts that cannot be continued says so, in the JSON and on the page."""
    site, server = faulty
    url = site.links.detail(UploadRef("key", "id"), part_number_marker=2)
    server.script(parts(*numbers, marker=marker), parts(*numbers, marker=marker))
    page = site.json(url).json
    assert (page["IsTruncated"], page["MayBeIncomplete"]) == (False, True)
    assert [note["Code"] for note in page["Notes"]] == ["NextPartNumberMarkerDoesNotAdvance"]
    shown = site.get(url)
    assert "more parts should follow" in shown.words
    assert "No part" not in shown.words
    assert not shown.link("next")


def test_date_at_which_a_rule_aborts_the_upload(faulty: tuple[Site, FaultServer]) -> None:
    site, server = faulty
    headers = {"x-amz-abort-date": "Mon, 01 Jan 2024 00:00:00 GMT", "x-amz-abort-rule-id": "rule"}
    server.script(respond(200, b"<ListPartsResult/>", headers))
    page = site.json(site.links.detail(UploadRef("key", "id"))).json
    assert (page["AbortDate"][:10], page["AbortRuleId"]) == ("2024-01-01", "rule")
