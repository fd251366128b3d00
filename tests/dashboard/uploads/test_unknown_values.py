"""Pages and JSON of a store whose responses have missing, invalid or damaged values: they show them as unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from tests.dashboard.pages import Page, Site
from tests.objectstore.fault_server import Exchange, FaultServer
from uploads.models import OperationItem
from uploads.objectstore.types import UploadRef
from uploads.services.operations.run import run_item
from uploads.services.stores.settings import StoreValues, add_store
from uploads.services.work.attempts import MAX_ATTEMPTS

UPLOAD = UploadRef("k", "u")
GOOD_PART = "<Size>5242880</Size><ETag>0123456789abcdef0123456789abcdef</ETag>"
BAD_TIMES = [
    "",
    "0001-01-01T00:00:00+14:00",
    "Fri, 31 Dec 9999 23:59:59 -1400",
    "Mon, 01 Jan 0001 00:00:00 GMT",
    "\udcff\0",
]
BAD_SIZES = ["", "9" * 400, "9" * 5000, "-5", "\udcff\0"]


@dataclass
class OddStore:
    """A store that responds with these documents, which may contain surrogates in place of bytes."""

    initiated: str = "2024-05-06T07:08:09Z"
    parts: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    buckets: str = ""
    endless: bool = False
    pages: int = 0
    uploads: str = ""
    object_status: int = 404
    length: str = "0"
    completes: bool = True

    def __call__(self, exchange: Exchange) -> None:
        exchange.read()
        received = exchange.received
        query = parse_qs(urlsplit(received.target).query, keep_blank_values=True)
        if received.method == "HEAD":
            exchange.respond(
                self.object_status, b"", {"x-amz-request-id": "r-7", "Content-Length": self.length, **self.headers}
            )
        elif received.method == "POST" and not self.completes:
            exchange.respond(302, b"<html>Welcome</html>")
        elif received.method == "POST":
            exchange.respond(200, b"<CompleteMultipartUploadResult><ETag>new</ETag></CompleteMultipartUploadResult>")
            self.object_status = 200
        elif "uploads" in query:
            upload = f"<Upload><Key>k</Key><UploadId>u</UploadId><Initiated>{self.initiated}</Initiated></Upload>"
            rows = self.uploads or upload
            self._respond(exchange, f"<ListMultipartUploadsResult>{rows}</ListMultipartUploadsResult>")
        elif "uploadId" in query:
            self._respond(exchange, f"<ListPartsResult>{self.parts}</ListPartsResult>")
        else:
            self.pages += 1
            buckets = f"<Buckets>{self.buckets}<Bucket><Name>b-{self.pages}</Name></Bucket></Buckets>"
            token = f"<ContinuationToken>{self.pages}</ContinuationToken>" if self.endless else ""
            self._respond(exchange, f"<ListAllMyBucketsResult>{buckets}{token}</ListAllMyBucketsResult>")

    def _respond(self, exchange: Exchange, document: str) -> None:
        exchange.respond(200, document.encode("utf-8", "surrogateescape"), self.headers)


@pytest.fixture
def odd() -> OddStore:
    return OddStore()


@pytest.fixture
def site(odd: OddStore, operator_client: Client) -> Iterator[Site]:
    with FaultServer(*[odd] * 200) as server:
        values = StoreValues(name="odd", endpoint_url=server.url, access_key="AK", secret_key="secret")
        add_store(None, values)
        yield Site(operator_client, "odd", "bucket")


def part(number: int, size: str = "5242880", modified: str = "2024-05-06T07:08:09Z", etag: str = "e" * 32) -> str:
    """A part; a field with an empty text is left out."""
    fields = {"Size": size, "LastModified": modified, "ETag": etag}
    rest = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items() if text)
    return f"<Part><PartNumber>{number}</PartNumber>{rest}</Part>"


def every_page(site: Site) -> Iterator[Page]:
    """All pages and JSON about the store, its bucket and its upload."""
    links = site.links
    for url in (
        reverse("overview"),
        reverse("store", args=["odd"]),
        reverse("store-state", args=["odd"]),
        links.uploads,
        links.detail(UPLOAD),
        links.part_summary(UPLOAD),
        links.facts(UPLOAD),
        links.abort(UPLOAD),
        links.complete(UPLOAD),
    ):
        yield site.get(url)
    for url in (links.uploads, links.detail(UPLOAD)):
        yield site.json(url)


@pytest.mark.parametrize("time", BAD_TIMES)
def test_unknown_time_is_shown_as_unknown_everywhere(odd: OddStore, site: Site, time: str) -> None:
    """Times that are missing, out of range or no text: every page was a 500, or said "2027 years ago"."""
    odd.initiated, odd.parts = time, part(1, modified=time)
    odd.headers = {"x-amz-abort-date": time.encode("ascii", "ignore").decode().strip("\0")}
    for page in every_page(site):
        assert page.status == 200
        assert "years ago" not in page.text
        assert "9999" not in page.text
    assert site.json(site.links.uploads).json["Uploads"][0]["Initiated"] is None
    assert site.json(site.links.detail(UPLOAD)).json["Parts"][0]["LastModified"] is None
    assert "cannot be judged" in site.get(site.links.abort(UPLOAD)).words
    assert "cannot be judged" in site.get(site.links.complete(UPLOAD)).words
    assert "not known" in site.get(site.links.facts(UPLOAD)).words
    assert "not known for 1 part" in site.get(site.links.part_summary(UPLOAD)).words


@pytest.mark.parametrize("created", BAD_TIMES)
def test_bucket_without_a_date_is_not_called_entered(odd: OddStore, site: Site, created: str) -> None:
    """Buckets whose creation date is not known were shown as entered by an administrator."""
    odd.buckets = f"<Bucket><Name>dateless</Name><CreationDate>{created}</CreationDate></Bucket>"
    page = site.get(reverse("store", args=["odd"]))
    assert "dateless" in page.words
    assert "entered by an administrator" not in page.words


@pytest.mark.parametrize("size", BAD_SIZES)
def test_unknown_size_is_shown_as_unknown_everywhere(odd: OddStore, site: Site, size: str) -> None:
    """Sizes that are missing, negative or too long: they were 0, negative, or a 500 on every page."""
    odd.parts = part(1) + part(2, size=size) + part(3)
    for page in every_page(site):
        assert page.status == 200
    assert [each["Size"] for each in site.json(site.links.detail(UPLOAD)).json["Parts"]] == [5242880, None, 5242880]
    assert "names no valid size for 1 part" in site.get(site.links.complete(UPLOAD)).words
    assert "How many bytes they have is not known" in site.get(site.links.abort(UPLOAD)).words


def test_unknown_etag_blocks_completion(odd: OddStore, site: Site) -> None:
    """ETags that are missing, damaged or too long cannot be sent back in the completion."""
    odd.parts = part(1, etag="") + part(2, etag="a\udcff") + part(3, etag="e" * 200)
    for page in every_page(site):
        assert page.status == 200
    assert "names no valid ETag for 3 parts" in site.get(site.links.complete(UPLOAD)).words


@pytest.mark.parametrize("length", ["9" * 400, "9" * 5000, "-1", ""])
def test_size_of_replaced_object_may_be_unreadable(odd: OddStore, site: Site, length: str) -> None:
    """A HEAD response whose length is no number gives an explained page, with the request id of its header."""
    odd.parts, odd.object_status, odd.length = part(1), 200, length
    page = site.get(site.links.complete(UPLOAD))
    assert page.status == 502
    assert "r-7" in page.text


def test_object_of_parts_of_unknown_size_is_not_proved_by_its_size(odd: OddStore, site: Site) -> None:
    """An unknown size proves nothing, and the operation does not stay running. A claim without proof: an object whose
    date was all that is known of it was called verified.
    """
    odd.parts = part(1, size="9" * 400)
    odd.headers = {"ETag": '"new"'}
    site.post(site.links.complete_form, site.get(site.links.complete(UPLOAD)).fields)
    item = OperationItem.objects.get()
    run_item(item.pk)
    item.refresh_from_db()
    assert (item.state, item.outcome["proofs"], item.outcome["expected_size"]) == ("done", ["date"], None)
    assert item.outcome["verified"] is False
    page = site.get(reverse("operation", args=[item.operation_id]))
    assert "neither its size nor its ETag can be compared" in page.words
    assert "not verified by HEAD; as expected: date" in page.words
    assert "HEAD confirmed" not in page.words


def test_unknown_outcome_of_parts_of_unknown_size_is_shown(odd: OddStore, site: Site) -> None:
    """Facts that an operation recorded as unknown: its page and its JSON were a 500."""
    odd.parts, odd.completes = part(1, size=""), False
    site.post(site.links.complete_form, site.get(site.links.complete(UPLOAD)).fields)
    item = OperationItem.objects.get()
    for _ in range(MAX_ATTEMPTS):
        OperationItem.objects.filter(pk=item.pk).update(not_before=None)
        run_item(item.pk)
    item.refresh_from_db()
    assert (item.state, item.outcome["expected_size"]) == ("unknown", None)
    url = reverse("operation", args=[item.operation_id])
    page = site.get(url)
    assert page.status == 200
    assert "Its size is not known" in page.words
    assert site.json(url).json["Uploads"][0]["outcome"]["expected_size"] is None


def test_damaged_texts_are_shown_clean(odd: OddStore, site: Site) -> None:
    """NUL, surrogates and bytes that are not UTF-8 in every text of every response."""
    dirty = "a\udcff&#0;&#xD800;\0"
    owner = f"<Owner><ID>{dirty}</ID></Owner><StorageClass>{dirty}</StorageClass>"
    odd.initiated = f"</Initiated>{owner}<Initiated>"
    odd.parts = part(1) + owner
    odd.buckets += f"<Bucket><Name>{dirty}</Name></Bucket>"
    odd.headers = {"x-amz-abort-rule-id": "r\xff", "x-amz-abort-date": "2099-01-01T00:00:00Z"}
    for page in every_page(site):
        assert page.status == 200
        assert "\0" not in page.text
    assert site.json(site.links.uploads).json["Uploads"][0]["StorageClass"] == "a\ufffd\ufffd\ufffd\ufffd"


def test_page_says_that_listing_of_buckets_was_cut(odd: OddStore, site: Site) -> None:
    """A ListBuckets without end is 20 requests, and its pages say that more buckets exist."""
    odd.endless = True
    for name in ("store", "store-state"):
        page = site.get(reverse(name, args=["odd"]))
        assert "The store lists more than 20 buckets" in page.words
    assert odd.pages == 40


def test_page_says_that_rows_were_cut(odd: OddStore, site: Site) -> None:
    """A page with more uploads than were requested is cut, says so, and continues after its last row."""
    odd.uploads = "".join(f"<Upload><Key>k-{number:05}</Key><UploadId>u</UploadId></Upload>" for number in range(1500))
    page = site.listing("max-uploads=10")
    assert (page.status, len(page.rows)) == (200, 1000)
    assert "The store sent 500 rows more than fit on one page" in page.words
    assert "key-marker=k-00999" in page.link("next")
    listed = site.json(site.links.uploads).json
    assert (listed["IsTruncated"], listed["NextKeyMarker"]) == (True, "k-00999")
