"""The site as a visitor without JavaScript sees it: pages, their links, text and form values, and submitted forms."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from dashboard.shared.links import BucketLinks
from dashboard.shared.parameters import read_upload
from uploads.objectstore.types import UploadRef

JSON = {"Accept": "application/json"}
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]*)"')
VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "rect", "line", "path"})


@dataclass
class Element:
    """An element of a page, with all text inside it, its whitespace collapsed."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())

    @property
    def classes(self) -> set[str]:
        return set(self.get("class").split())

    def get(self, name: str) -> str:
        return self.attributes.get(name, "")

    def has(self, name: str) -> bool:
        return name in self.attributes


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self._open[-1] if self._open else None)
        self.found.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while any(element.tag == tag for element in self._open) and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.pieces.append(data)


class Page:
    """One response, and what a visitor can read and click in it."""

    def __init__(self, response: Any) -> None:
        self.response: HttpResponse = response
        self.status: int = response.status_code
        self.text: str = response.content.decode()

    @cached_property
    def elements(self) -> list[Element]:
        parser = _Elements()
        parser.feed(f"<page>{self.text}</page>")
        return parser.found

    @cached_property
    def words(self) -> str:
        """The text that a visitor reads, its whitespace collapsed."""
        return self.elements[0].text

    def find(self, tag: str, css: str = "", **attributes: str) -> list[Element]:
        """The elements of this tag with these attribute values, and with this class."""
        return [
            each
            for each in self.elements
            if each.tag == tag
            and (not css or css in each.classes)
            and all(each.get(name.replace("_", "-")) == value for name, value in attributes.items())
        ]

    @property
    def rows(self) -> list[UploadRef]:
        """The uploads of a listing's rows, read from what their checkboxes would send."""
        return [read_upload(box.get("value")) for box in self.find("input", type="checkbox", name="upload")]

    @property
    def details(self) -> list[str]:
        """The link of each row to its upload."""
        return [link.get("href") for link in self.find("a") if self._is_row_link(link)]

    @staticmethod
    def _is_row_link(link: Element) -> bool:
        is_first = link.parent is not None and link.parent.tag == "th" and link.parent.get("scope") == "row"
        return is_first and not link.classes

    @property
    def hidden_uploads(self) -> list[str]:
        return [each.get("value") for each in self.find("input", type="hidden", name="upload")]

    @property
    def fields(self) -> dict[str, str]:
        """What the browser sends of the page's form: its hidden fields, and its boxes as if all were ticked."""
        inputs = [each for each in self.find("input") if each.get("type") in {"hidden", "checkbox"}]
        return {each.get("name"): each.get("value") for each in inputs if each.get("name")}

    @property
    def folders(self) -> list[str]:
        return [link.get("href") for link in self.find("a", "folder")]

    def link(self, rel: str) -> str:
        """The URL of the link with this `rel`, or '' if there is none."""
        return next((link.get("href") for link in self.find("a", rel=rel)), "")

    def href(self, text: str) -> str:
        """The URL of the first link whose text contains `text`."""
        for link in self.find("a"):
            if text in link.text:
                return link.get("href")
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
        """A form submitted with the CSRF token of a page of this site."""
        token = self.get(reverse("stores")).find("input", name="csrfmiddlewaretoken")[0].get("value")
        return Page(self.client.post(url, data | {"csrfmiddlewaretoken": token}, headers=JSON if json else None))
