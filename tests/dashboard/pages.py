"""The site as a visitor without JavaScript has it: pages, the links and form values in them, forms sent back."""

from __future__ import annotations

import html
import re
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from dashboard.shared.links import BucketLinks
from dashboard.shared.parameters import read_upload
from uploads.objectstore.types import UploadRef

ROW = re.compile(r'type="checkbox" name="upload" value="([^"]*)"')
HIDDEN_ROW = re.compile(r'type="hidden" name="upload" value="([^"]*)"')
FOLDER = re.compile(r'class="folder" href="([^"]*)"')
DETAIL = re.compile(r'<th scope="row"><a href="([^"]*)">')
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]*)"')
JSON = {"Accept": "application/json"}


class Page:
    """One answer, and what a visitor can click in it."""

    def __init__(self, response: Any) -> None:
        self.response: HttpResponse = response
        self.status: int = response.status_code
        self.text: str = response.content.decode()

    @property
    def rows(self) -> list[UploadRef]:
        """The uploads of a listing's rows, read from what their checkboxes would send."""
        return [read_upload(html.unescape(value)) for value in ROW.findall(self.text)]

    @property
    def details(self) -> list[str]:
        return [html.unescape(url) for url in DETAIL.findall(self.text)]

    @property
    def hidden_uploads(self) -> list[str]:
        return [html.unescape(value) for value in HIDDEN_ROW.findall(self.text)]

    @property
    def folders(self) -> list[str]:
        return [html.unescape(url) for url in FOLDER.findall(self.text)]

    def link(self, rel: str) -> str:
        """The URL of the link with this `rel`; '' where there is none."""
        match = re.search(rf'href="([^"]*)" rel="{rel}"', self.text)
        return html.unescape(match[1]) if match else ""

    def href(self, text: str) -> str:
        """The URL of the first link whose text holds `text`."""
        for url, inner in re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', self.text, re.S):
            if text in inner:
                return html.unescape(url)
        raise AssertionError(f"No link with {text!r}.")

    @property
    def json(self) -> Any:
        return self.response.json()  # type: ignore[attr-defined]


class Site:
    """A signed-in visitor of one bucket."""

    def __init__(self, client: Client, store: str, bucket: str) -> None:
        self.client = client
        self.store = store
        self.bucket = bucket
        self.links = BucketLinks(store, bucket)

    def get(self, url: str, **headers: str) -> Page:
        return Page(self.client.get(url, headers=headers or None))

    def json(self, url: str) -> Page:
        return Page(self.client.get(url, headers=JSON))

    def listing(self, query: str = "") -> Page:
        return self.get(self.links.uploads + (f"?{query}" if query else ""))

    def post(self, url: str, data: dict[str, Any], *, json: bool = False) -> Page:
        """A form sent with the token of a page of this site."""
        token = TOKEN.search(self.client.get(reverse("stores")).content.decode())
        assert token
        return Page(self.client.post(url, data | {"csrfmiddlewaretoken": token[1]}, headers=JSON if json else None))
