"""Every URL, method, override and tus verb, for every kind of user: what is allowed, refused and hidden.

The table is complete: a URL of the URLconf without a row fails, and so does a method that is neither refused with 405
nor in a row. Requests have the content types and headers that lets them reach the checks of access. The store cannot
be reached: what is refused is refused without it, and what is allowed fails there at once.
"""

from __future__ import annotations

import json
import uuid
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from dashboard.site.tokens import ACCEPTED
from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.test_access import EVERY, METHODS, PUBLIC, VALUES
from tests.grants import grant
from uploads.domain.roles import Role, TokenScope
from uploads.domain.states import Phase
from uploads.models import (
    AlertRule,
    InventoryView,
    Operation,
    OperationItem,
    RepeatingSweep,
    Scan,
    Store,
    StoreCheck,
    Sweep,
    Transfer,
)
from uploads.services.people.tokens import TokenValues, create_token

STORE, BUCKET, KEY = "unreachable", "a-bucket", "inside/a.bin"

WHO = (
    "anonymous",
    "nobody",
    "viewer",
    "operator",
    "elsewhere",
    "beside",
    "below",
    "owner",
    "all-transfers",
    "all-below",
    "store-admin",
    "admin",
    "read",
    "transfer",
    "operate",
    "admin-token",
    "token-beside",
)
"""In the order of the columns. `nobody` has no grant. `elsewhere` is an operator of another store, `beside` and `below`
of other keys and of these keys of the bucket. `owner` is the operator whose transfer it is, and `all-transfers` one who
may steer those of others; `all-below` may so below the prefix of these keys. The last five are access tokens: those of
the owner by their scope, one of an administrator with all scopes, and one of the owner for other keys of the bucket.
"""

LOGIN, HIDDEN, FORBIDDEN, BAD, REACHED, PUBLIC_PAGE, WITHOUT_TOKENS = "L", "N", "F", "B", "o", "*", "-"
"""302 to the login or 401; 404; 403; 400 for a store that the form does not offer; anything else but 405, 415 and 500;
anything but a login and 500; pages to sign in, which refuse tokens in several ways."""

#                  anonymous ─┐  ┌─ viewer      ┌─ owner          ┌─ tokens: read, transfer, operate, admin, beside
KINDS: Mapping[str, str] = {  # nobody, operator, elsewhere, beside, below, all-transfers, all-below, store-admin, admin
    "public": "* * * * * * * * * * * * - - - - -",
    "signed in": "L o o o o o o o o o o o o o o o o",
    "see stores": "L F o o o o o o o o o o o o o o o",
    "see stores on a page": "L F o o o o o o o o o o F F F F F",
    "see transfers": "L F o o o o o o o o o o o o F o o",
    "see audit": "L F o o o o o o o o o o o F F o o",
    "store": "L F o o N o o o o o o o o o o o o",
    "change store": "L F F F N F F F F F o o F F F F F",
    "administrate": "L F F F F F F F F F F o F F F F F",
    "see uploads": "L F o o o o o o o o o o o F o o o",
    "own view": "L F N N N N N o N N N N F F F F F",
    "list bucket": "L F o o N o o o o o o o o F o o o",
    "lifecycle": "L F o o N F F o o F o o o F o o F",
    "change lifecycle": "L F F F N F F F F F o o F F F F F",
    "list key": "L F o o N N o o o o o o o F o o N",
    "operate key": "L F F o N N o o o o o o F F o o N",
    "operation": "L F o o N N o o o o o o o F o o N",
    "see scans": "L F o o o o o o o o o o o F o o o",
    "scan": "L F o o N o o o o o o o o F o o o",
    "request scan": "L F F o N o o o o o o o F F o o o",
    "cancel scan": "L F F o N F F o o F o o F F o o F",
    "see transfer": "L F N N N N N o o o o o o o F o N",
    "steer transfer": "L F N N N N N o o o o o F o F o N",
    "send own": "L F F N N N N o N N N N F o F N N",
    "send": "L F F o o o o o o o o o F o F o o",
    "send to store": "L F F o N o o o o o o o F o F o o",
    "send to key": "L F F o N N o o o o o o F o F o N",
    "send form": "L F F o B F o o o o o o F o F o F",
    "grant roles": "L F F F F F F F F F o o F F F F F",
    "see sweeps": "L F o o o o o o o o o o o F o o o",
    "plan sweeps": "L F F o o o o o o o o o F F o o o",
    "plan sweeps on a page": "L F F o o o o o o o o o F F F F F",
    "approve a rule": "L F F N N N N N N N N o F F F F F",
    "see a rule": "L F F N N N N N N N N o F F F F F",
    "change a rule": "L F F N N N N N N N N o F F N N N",
    "own token": "L N N N N N N o N N N o F F F F F",
}


@dataclass(frozen=True)
class Row:
    """A request, and the kind of its outcomes. `sent` are the arguments of the test client."""

    kind: str
    sent: Callable[[Things], dict[str, Any]] = lambda _things: {}
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Things:
    """Rows that exist, for the arguments of paths."""

    store: Store
    transfer: Transfer
    operation: Operation
    check: StoreCheck
    scan: Scan
    sweep: Sweep
    repeating: RepeatingSweep
    users: Mapping[str, User]
    numbers: Mapping[str, int]
    secrets: Mapping[str, str]

    def path(self, name: str) -> str:
        path = EVERY[name].replace("/main/", f"/{STORE}/")
        rows = {1: self.operation, 2: self.transfer, 3: self.check, 4: self.scan, 5: self.sweep, 6: self.repeating}
        for number, row in rows.items():
            path = path.replace(str(uuid.UUID(int=number)), str(row.pk))
        for place, pk in self.numbers.items():
            path = path.replace(f"/{place}/{VALUES['user_id']}/", f"/{place}/{pk}/")
        return path


def form(**values: str) -> Callable[[Things], dict[str, Any]]:
    return lambda _things: {"data": values}


def new_file(_things: Things) -> dict[str, Any]:
    return {"data": {"store": STORE, "bucket": BUCKET, "key": KEY, "file": SimpleUploadedFile("a.bin", b"12345")}}


def known_files(_things: Things) -> dict[str, Any]:
    body = {"store": STORE, "bucket": BUCKET, "files": [{"key": KEY, "size": 1, "fingerprint": "f"}]}
    return {"data": json.dumps(body), "content_type": "application/json"}


def metadata(**values: str) -> str:
    return ",".join(f"{name} {b64encode(value.encode()).decode()}" for name, value in values.items())


def some_bytes(_things: Things) -> dict[str, Any]:
    return {"data": b"12345", "content_type": "application/offset+octet-stream"}


def files_together(_things: Things) -> dict[str, Any]:
    entry = {"size": 5, "metadata": metadata(store=STORE, bucket=BUCKET, key=KEY, fingerprint="f")}
    document = json.dumps({"files": [entry]}).encode()
    return {"data": len(document).to_bytes(4) + document + b"12345", "content_type": "application/octet-stream"}


NAMED = {"key": KEY, "upload-id": "an-upload"}
TO_SEND = {"store": STORE, "bucket": BUCKET, "key": KEY, "size": "5"}
TUS = {"Tus-Resumable": "1.0.0"}
NEW_UPLOAD = TUS | {"Upload-Length": "5", "Upload-Metadata": metadata(store=STORE, bucket=BUCKET, key=KEY)}
AT_START = TUS | {"Upload-Offset": "0"}

upload, to_send = form(**NAMED), form(**TO_SEND)

ROWS: dict[tuple[str, str], Row] = {
    ("login", "get"): Row("public"),
    ("login", "post"): Row("public", form(username="x", password="y")),
    ("sso-start", "get"): Row("public"),
    ("sso-callback", "get"): Row("public"),
    ("catalog", "get"): Row("public"),
    ("healthz", "get"): Row("public"),
    ("metrics", "get"): Row("public"),
    ("login-code", "get"): Row("public"),
    ("login-code", "post"): Row("public"),
    ("invitation", "get"): Row("public"),
    ("invitation", "post"): Row("public"),
    ("logout", "post"): Row("signed in"),
    ("account", "get"): Row("signed in"),
    ("guide", "get"): Row("signed in"),
    ("dismiss-first-steps", "post"): Row("signed in"),
    ("password", "get"): Row("signed in"),
    ("password", "post"): Row("signed in"),
    ("second-factor", "get"): Row("signed in"),
    ("second-factor", "post"): Row("signed in"),
    ("sign-out-everywhere", "post"): Row("signed in"),
    ("tokens", "get"): Row("signed in"),
    ("new-token", "get"): Row("signed in"),
    ("new-token", "post"): Row("signed in"),
    ("revoke-token", "get"): Row("own token"),
    ("revoke-token", "post"): Row("own token"),
    ("queue", "get"): Row("signed in"),
    ("overview", "get"): Row("see stores"),
    ("inventory", "get"): Row("see uploads"),
    ("trend", "get"): Row("see uploads"),
    ("inventory-views", "post"): Row("see uploads", form(name="mine", query="verdict=dead")),
    ("rename-inventory-view", "post"): Row("own view", form(name="other")),
    ("delete-inventory-view", "post"): Row("own view"),
    ("search", "get"): Row("see stores on a page", form(q=KEY)),
    ("stores", "get"): Row("see stores"),
    ("store", "get"): Row("store"),
    ("store-state", "get"): Row("store"),
    ("store-checks", "get"): Row("store"),
    ("store-check", "get"): Row("store"),
    ("store-checks", "post"): Row("change store", form(bucket=BUCKET, consent="on")),
    ("reset-found", "post"): Row("change store"),
    ("add-store", "get"): Row("administrate"),
    ("add-store", "post"): Row("administrate", form(name="new")),
    ("edit-store", "get"): Row("change store"),
    ("edit-store", "post"): Row("change store", form(name=STORE)),
    ("disable-store", "get"): Row("change store"),
    ("disable-store", "post"): Row("change store"),
    ("enable-store", "get"): Row("change store"),
    ("enable-store", "post"): Row("change store"),
    ("open-bucket", "get"): Row("list key", form(bucket=BUCKET, **NAMED)),
    ("lifecycle", "get"): Row("lifecycle"),
    ("lifecycle-buckets", "get"): Row("see uploads"),
    ("lifecycle", "post"): Row("change lifecycle", form(action="set", days="7", seen="")),
    ("uploads", "get"): Row("list bucket"),
    ("facts", "get"): Row("list key", upload),
    ("facts", "post"): Row("list key", upload),
    ("compare", "get"): Row("list key", upload),
    ("upload", "get"): Row("list key", upload),
    ("survey", "get"): Row("list key", upload),
    ("abort", "get"): Row("operate key", upload),
    ("abort", "post"): Row("operate key", upload),
    ("complete", "get"): Row("operate key", upload),
    ("complete", "post"): Row("operate key", upload),
    ("scans", "get"): Row("see scans"),
    ("scans", "post"): Row("request scan", form(store=STORE)),
    ("scan", "get"): Row("scan"),
    ("cancel-scan", "post"): Row("cancel scan"),
    ("store-inventory", "get"): Row("change store"),
    ("store-inventory", "post"): Row("change store"),
    ("store-prices", "get"): Row("change store"),
    ("store-prices", "post"): Row("change store", form(prices="STANDARD 0.02 USD")),
    ("alerts", "get"): Row("administrate"),
    ("new-alert-rule", "get"): Row("administrate"),
    ("new-alert-rule", "post"): Row("administrate", form(name="new")),
    ("alert-rule", "get"): Row("administrate"),
    ("alert-rule", "post"): Row("administrate", form(name="a rule")),
    ("change-alert-rule", "post"): Row("administrate", form(action="delete")),
    ("operations", "get"): Row("see sweeps"),
    ("checks", "get"): Row("see stores"),
    ("operations-steps", "post"): Row("plan sweeps", form(step="pause")),
    ("operation", "get"): Row("operation"),
    ("operation-pause", "post"): Row("operate key"),
    ("operation-resume", "post"): Row("operate key"),
    ("operation-stop", "post"): Row("operate key"),
    ("sweeps", "get"): Row("see sweeps"),
    ("sweep", "get"): Row("operation"),
    ("new-sweep", "get"): Row("plan sweeps on a page"),
    ("new-sweep", "post"): Row("plan sweeps", form(verdict="dead")),
    ("repeating-sweeps", "get"): Row("plan sweeps on a page"),
    ("edit-repeating-sweep", "get"): Row("see a rule"),
    ("edit-repeating-sweep", "post"): Row("change a rule", form(verdict="dead", repeat="daily")),
    ("change-repeating-sweep", "post"): Row("approve a rule", form(step="disable")),
    ("sweep-approve", "post"): Row("operate key"),
    ("sweep-run", "post"): Row("operate key"),
    ("sweep-pause", "post"): Row("operate key"),
    ("sweep-resume", "post"): Row("operate key"),
    ("sweep-cancel", "post"): Row("operate key"),
    ("transfers", "get"): Row("see transfers"),
    ("transfers-steps", "post"): Row("send", form(step="pause")),
    ("list-columns", "post"): Row("signed in", form(column="size")),
    ("transfer", "get"): Row("see transfer"),
    ("transfer-pause", "post"): Row("steer transfer"),
    ("transfer-resume", "post"): Row("steer transfer"),
    ("transfer-cancel", "post"): Row("steer transfer"),
    ("transfer-retry", "post"): Row("steer transfer"),
    ("transfer-verify", "post"): Row("steer transfer"),
    ("transfer-dismiss-orphan", "post"): Row("steer transfer"),
    ("transfer-received", "get"): Row("send own"),
    ("new-transfer", "get"): Row("send"),
    ("new-transfer", "post"): Row("send form", new_file),
    ("new-transfer-buckets", "get"): Row("send to store", to_send),
    ("new-transfer-plan", "get"): Row("send to store", to_send),
    ("new-transfer-existing", "get"): Row("send to key", to_send),
    ("new-transfer-check", "post"): Row("send form", to_send),
    ("new-transfer-known", "post"): Row("send to store", known_files),
    ("files", "post"): Row("send form", some_bytes, NEW_UPLOAD),
    ("files", "options"): Row("send"),
    ("files-together", "post"): Row("send", files_together),
    ("file", "options"): Row("send"),
    ("file", "head"): Row("send own", headers=TUS),
    ("file", "patch"): Row("send own", some_bytes, AT_START),
    ("file", "delete"): Row("send own", headers=TUS),
    ("staging", "get"): Row("administrate"),
    ("audit", "get"): Row("see audit"),
    ("users", "get"): Row("grant roles"),
    ("user", "get"): Row("grant roles"),
    ("user", "post"): Row("grant roles"),
    ("groups", "get"): Row("grant roles"),
    ("group", "get"): Row("grant roles"),
    ("group", "post"): Row("grant roles"),
    ("remove-grant", "post"): Row("grant roles"),
    ("groups", "post"): Row("administrate"),
    ("new-user", "get"): Row("administrate"),
    ("new-user", "post"): Row("administrate"),
    ("user-email", "post"): Row("administrate"),
    ("user-groups", "post"): Row("administrate"),
    ("disable-user", "get"): Row("administrate"),
    ("disable-user", "post"): Row("administrate"),
    ("enable-user", "post"): Row("administrate"),
    ("remove-administrator", "post"): Row("administrate"),
    ("sign-out-user", "post"): Row("administrate"),
    ("unlock-user", "post"): Row("administrate"),
    ("reset-second-factor", "post"): Row("administrate"),
    ("new-link", "post"): Row("administrate"),
    ("revoke-link", "post"): Row("administrate"),
    ("group-members", "post"): Row("administrate"),
    ("delete-group", "get"): Row("administrate"),
    ("delete-group", "post"): Row("administrate"),
}
"""HEAD has the outcome of GET. A new URL or method needs a row here."""

OVERRIDES: dict[tuple[str, str, str], Row] = {
    ("files", "post", "OPTIONS"): Row("send"),
    ("files", "get", "POST"): Row("send form", headers=NEW_UPLOAD),
    ("file", "post", "PATCH"): Row("send own", some_bytes, AT_START),
    ("file", "get", "DELETE"): Row("send own", headers=TUS),
    ("file", "post", "DELETE"): Row("send own", headers=TUS),
    ("file", "post", "HEAD"): Row("send own", headers=TUS),
    ("file", "post", "OPTIONS"): Row("send"),
}
"""The method that is sent, and the one in X-HTTP-Method-Override, which only tus obeys."""

TUS_URLS = ("files", "file", "files-together")

WITH_HEAD = {"facts", "login", "login-code", "new-sweep", "new-transfer", "password", "scans", "second-factor"}
NO_HEAD = ({name for name, method in ROWS if method == "post"} - WITH_HEAD) | {*TUS_URLS, "sso-start", "sso-callback"}
"""URLs that refuse HEAD: most of those that have a form."""


# --- The table --------------------------------------------------------------------------------------------------------


@pytest.fixture
def things(db: None) -> Things:
    values = {"endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "b"}
    store, other_store = (Store.objects.create(name=name, **values) for name in (STORE, "other"))
    users = {name: User.objects.create(username=name) for name in ("other", *WHO[1:11])}
    users["admin"] = User.objects.create(username="admin", is_staff=True)
    granted = grant(users["viewer"], Role.VIEWER, store=store)
    grant(users["operator"], store=store)
    grant(users["owner"], store=store)
    grant(users["elsewhere"], store=other_store)
    grant(users["beside"], store=store, bucket=BUCKET, prefix="outside/")
    grant(users["below"], store=store, bucket=BUCKET, prefix="inside/")
    grant(users["all-transfers"], store=store, all_transfers=True)
    grant(users["all-below"], store=store, bucket=BUCKET, prefix="inside/", all_transfers=True)
    grant(users["store-admin"], Role.STORE_ADMINISTRATOR, store=store)
    operation = Operation.objects.create(kind="abort", actor=users["admin"], store=store, bucket=BUCKET)
    OperationItem.objects.create(operation=operation, key=KEY, upload_id="u")
    check = StoreCheck.objects.create(store=store, bucket=BUCKET, actor=users["admin"])
    rule = {"verdicts": ["dead"]}
    place = {"store": store, "bucket": BUCKET, "prefix": "inside/"}
    sweep = Sweep.objects.create(rule=rule, author=users["admin"], state="planned", **place)
    repeating = RepeatingSweep.objects.create(
        rule=rule, author=users["admin"], schedule="daily", max_uploads=1, max_bytes=1
    )
    transfer = make_transfer(
        users["owner"],
        store,
        bucket=BUCKET,
        key="inside/t.bin",
        resumable=True,
        phase=Phase.RECEIVING,
        node=django_settings.NODE_NAME,
    )
    places = {"token-beside": [(store, BUCKET, "outside/")]}
    tokens = {
        who: create_token(users[owner], TokenValues(name=who, scopes=scopes, days=1, places=places.get(who, ())))
        for who, (owner, scopes) in TOKENS.items()
    }
    numbers = {
        "users": users["other"].pk,
        "groups": Group.objects.create(name="team").pk,
        "grants": granted.pk,
        "tokens": tokens["read"][0].pk,
        "alerts": AlertRule.objects.create(name="a rule", what="bytes", threshold=1).pk,
        "views": InventoryView.objects.create(user=users["owner"], name="a view").pk,
    }
    secrets = {who: secret for who, (_, secret) in tokens.items()}
    scan = Scan.objects.create(store=store, origin="page")
    return Things(store, transfer, operation, check, scan, sweep, repeating, users, numbers, secrets)


TOKENS: Mapping[str, tuple[str, frozenset[TokenScope]]] = {
    "read": ("owner", frozenset({TokenScope.READ})),
    "transfer": ("owner", frozenset({TokenScope.TRANSFER})),
    "operate": ("owner", frozenset({TokenScope.OPERATE})),
    "admin-token": ("admin", frozenset(TokenScope)),
    "token-beside": ("owner", frozenset(TokenScope)),
}
"""Whose tokens they are, and their scopes."""


@dataclass
class Visitor:
    who: str
    things: Things

    def __post_init__(self) -> None:
        self.client, self.headers = Client(), dict[str, str]()
        if self.who in TOKENS:
            self.headers = {"Authorization": f"Bearer {self.things.secrets[self.who]}", "Accept": "application/json"}
        elif self.who != "anonymous":
            self.client.force_login(self.things.users[self.who])

    def expected(self, name: str, method: str, row: Row) -> str:
        """The outcome by the table. A view that does not accept tokens refuses them, whatever they may do."""
        if self.who in TOKENS and name not in PUBLIC and method.upper() not in ACCEPTED.get(name, ()):
            return FORBIDDEN
        return KINDS[row.kind].split()[WHO.index(self.who)]

    def outcome(self, name: str, method: str, row: Row, override: str = "") -> str:
        """What a request leads to. Nothing of it stays: each starts from the same rows."""
        more = {"X-HTTP-Method-Override": override} if override else {}
        headers = {**self.headers, **row.headers, **more}
        place = transaction.savepoint()
        cookies = SimpleCookie(self.client.cookies)
        try:
            response = getattr(self.client, method)(self.things.path(name), headers=headers, **row.sent(self.things))
        finally:
            transaction.savepoint_rollback(place)
            self.client.cookies = cookies
        return outcome_of(response)


def outcome_of(response: Any) -> str:
    status = response.status_code
    if status == 401 or (status == 302 and response["Location"].startswith("/login/?next=")):
        return LOGIN
    known = {400: BAD, 403: FORBIDDEN, 404: HIDDEN}
    return str(status) if status in (405, 415, 500) else known.get(status, REACHED)


def fits(outcome: str, expected: str) -> bool:
    """Whatever is wrong with an allowed request for other reasons may be refused with 400."""
    if expected == WITHOUT_TOKENS:
        return outcome not in ("500", "405")
    if expected == PUBLIC_PAGE:
        return outcome not in (LOGIN, "500", "405")
    return outcome == expected or (expected == REACHED and outcome == BAD)


@pytest.mark.parametrize("who", WHO)
def test_every_url_and_role(who: str, things: Things) -> None:
    visitor = Visitor(who, things)
    wrong = []
    heads = {(name, "head"): row for (name, method), row in ROWS.items() if method == "get" and name not in NO_HEAD}
    rows = {**heads, **ROWS} if who in ("anonymous", "beside") else ROWS
    for (name, method), row in rows.items():
        outcome, expected = visitor.outcome(name, method, row), visitor.expected(name, method, row)
        if not fits(outcome, expected):
            wrong.append(f"{name} {method}: {outcome} instead of {expected}")
    for (name, method, override), row in OVERRIDES.items():
        outcome, expected = visitor.outcome(name, method, row, override), visitor.expected(name, method, row)
        if not fits(outcome, expected):
            wrong.append(f"{name} {method} as {override}: {outcome} instead of {expected}")
    assert not wrong, "\n".join(wrong)


def test_the_table_has_every_url() -> None:
    assert {name for name, _ in ROWS} == set(EVERY)
    assert {name for name, _ in ROWS if ROWS[name, _].kind == "public"} == PUBLIC
    assert all(len(outcomes.split()) == len(WHO) for outcomes in KINDS.values())
    assert {row.kind for row in ROWS.values()} == set(KINDS)


@pytest.mark.parametrize("who", ["admin", "owner"])
def test_methods_without_a_row_are_refused(who: str, things: Things) -> None:
    visitor = Visitor(who, things)
    wrong = []
    for name in EVERY:
        for method in METHODS:
            implied = method == "head" and (name, "get") in ROWS and name not in NO_HEAD
            if (name, method) in ROWS or implied:
                continue
            outcome = visitor.outcome(name, method, Row("", headers=TUS if name in TUS_URLS else {}))
            if outcome != "405":
                wrong.append(f"{name} {method}: {outcome}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("override", ["POST", "DELETE", "PATCH", "GET"])
def test_only_tus_obeys_an_override(override: str, things: Things) -> None:
    visitor = Visitor("viewer", things)
    for (name, method), row in ROWS.items():
        if name not in TUS_URLS:
            assert visitor.outcome(name, method, row, override) == visitor.outcome(name, method, row), name


@pytest.mark.parametrize("method", ["get", "post", "put", "head"])
def test_overrides_without_a_row_are_refused(method: str, things: Things) -> None:
    visitor = Visitor("owner", things)
    for name in TUS_URLS:
        for override in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "anything"):
            if (name, override.lower()) not in ROWS:
                assert visitor.outcome(name, method, Row("", headers=TUS), override) == "405", (name, override)


def test_grants_are_read_with_one_statement_for_each_request(things: Things) -> None:
    """Also on pages that ask about many things: several grants, of the user and of a group."""
    visitor, user = Visitor("below", things), things.users["below"]
    user.groups.add(Group.objects.get())
    grant(Group.objects.get(), Role.VIEWER, store=things.store, bucket=BUCKET)
    for (name, method), row in ROWS.items():
        with CaptureQueriesContext(connection) as statements:
            visitor.outcome(name, method, row)
        assert sum('FROM "uploads_grant"' in each["sql"] for each in statements.captured_queries) <= 1, (name, method)
