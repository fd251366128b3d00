"""What Partway says about the uploads of a bucket, and its pages that ask for confirmation.

Their forms are submitted as a browser submits them: with every field.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from tests.system.stack import Operator, wait_for
from uploads.objectstore.types import UploadRef


@dataclass
class Form:
    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    """Hidden fields and others that are sent as they are."""
    boxes: dict[str, str] = field(default_factory=dict)
    """Checkboxes that are not ticked: the value of each by its name."""
    blocked: bool = False
    """The button is disabled."""


class _Forms(HTMLParser):
    """The forms of a page by action."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("action", "")))
            self._inside = True
        elif self._inside and tag == "input" and "name" in given:
            self._add(given)
        elif self._inside and tag == "button" and "disabled" in given:
            self.found[-1].blocked = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False

    def _add(self, given: dict[str, str]) -> None:
        value = given.get("value", "")
        if given.get("type") == "checkbox" and "checked" not in given:
            self.found[-1].boxes[given["name"]] = value or "on"
        else:
            self.found[-1].fields.append((given["name"], value))


class Confirmation:
    """A page that asks whether to abort or to complete an upload, as an operator has it open."""

    def __init__(self, operator: Operator, step: str, store: str, bucket: str, upload: UploadRef) -> None:
        path = f"/stores/{store}/{bucket}/uploads/{step}/"
        query = {"key": upload.key, "upload-id": upload.upload_id}
        response = operator.session.get(operator.url + path, params=query, headers={"Accept": "text/html"})
        parser = _Forms()
        parser.feed(response.text)
        self.status, self.text = response.status_code, response.text
        self._operator = operator
        self._form = next((form for form in parser.found if form.action == path), None)

    @property
    def form(self) -> Form:
        assert self._form is not None, self.text
        return self._form

    @property
    def is_offered(self) -> bool:
        return self._form is not None and not self._form.blocked

    def submit(self, ticked: Collection[str] = ()) -> dict[str, Any]:
        """Submit the form and wait for the outcome: the operation's JSON, or the error of a form that is refused."""
        fields = [*self.form.fields, *((name, self.form.boxes[name]) for name in ticked)]
        response = self._operator.post(self.form.action, fields)
        answer: dict[str, Any] = response.json()
        return self._wait_for_end(answer["url"]) if response.ok else answer

    def _wait_for_end(self, url: str) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            operation: dict[str, Any] = self._operator.get_json(url)
            return None if operation["state"] == "running" else operation

        return wait_for("the end of the operation", ended)


@dataclass(frozen=True)
class BucketPages:
    """The uploads of a bucket in the dashboard. `store` is the name of the store there."""

    operator: Operator
    store: str
    bucket: str

    @property
    def path(self) -> str:
        return f"/stores/{self.store}/{self.bucket}/uploads/"

    def uploads(self) -> list[dict[str, Any]]:
        """The listing, which has one page."""
        listing = self.operator.get_json(self.path)
        assert listing["IsTruncated"] is False
        uploads: list[dict[str, Any]] = listing["Uploads"]
        return uploads

    def parts(self, upload: UploadRef) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = self._get("detail/", upload, "application/json").json()["Parts"]
        return parts

    def status(self, upload: UploadRef) -> int:
        """The status of the upload's page: 404 if there is no such upload."""
        status: int = self._get("detail/", upload, "application/json").status_code
        return status

    def facts(self, upload: UploadRef) -> str:
        """The cells that the row of an upload fetches: parts, bytes and last activity."""
        text: str = self._get("facts/", upload, "text/html").text
        return text

    def ask(self, step: str, upload: UploadRef) -> Confirmation:
        """The page that asks whether to `abort` or `complete` an upload."""
        return Confirmation(self.operator, step, self.store, self.bucket, upload)

    def _get(self, page: str, upload: UploadRef, accept: str) -> Any:
        query = {"key": upload.key, "upload-id": upload.upload_id}
        return self.operator.session.get(self.operator.url + self.path + page, params=query, headers={"Accept": accept})


def only_item(operation: dict[str, Any]) -> dict[str, Any]:
    """The item of an operation on one upload."""
    (item,) = operation["Uploads"]
    found: dict[str, Any] = item
    return found
