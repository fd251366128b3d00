"""A new transfer to a key that another one writes: what the refusal says, and discarding the other one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from tests.dashboard.make_transfer import make_transfer
from tests.dashboard.pages import Page
from tests.dashboard.transfers.test_tus import Tus, check_error
from uploads.domain.states import DesiredState, PartState, Phase
from uploads.models import AuditEntry, Store, Transfer
from uploads.objectstore.client import ObjectStoreClient
from uploads.problems import Code
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.steps import StepRefused, request_retry

MIB = 1024**2


@pytest.fixture(autouse=True)
def staging(settings: Settings, tmp_path: Path) -> Path:
    settings.STAGING_DIR = tmp_path / "staging"
    return tmp_path / "staging"


@pytest.fixture
def operator_tus(operator_client: Client) -> Tus:
    return Tus(operator_client)


@pytest.fixture
def administrator_tus(administrator_client: Client) -> Tus:
    return Tus(administrator_client)


Make = Callable[..., Transfer]


@pytest.fixture
def make(operator: User, store: Store, bucket: str) -> Make:
    """A transfer to the key `k` of ten parts of 1 MiB, three of which are staged."""

    def make_one(**values: Any) -> Transfer:
        facts: dict[str, Any] = {"bucket": bucket, "key": "k", "resumable": True, "fingerprint": "old", "staged": 3}
        facts["node"] = django_settings.NODE_NAME
        return make_transfer(values.pop("owner", operator), store, **facts | values)

    return make_one


def create(tus: Tus, bucket: str, size: int = 5, **more: str) -> Any:
    fields: dict[str, Any] = {"store": "main", "bucket": bucket, "key": "k", "fingerprint": "new", **more}
    return tus.create(size, **fields)


def transfer_in(response: Any) -> Any:
    return response.json()["transfer"]


# --- What the refusal says --------------------------------------------------------------------------------------------


def test_refusal_names_the_transfer_and_offers_to_discard_it(operator_tus: Tus, bucket: str, make: Make) -> None:
    old = make()
    response = create(operator_tus, bucket)
    error = check_error(response, 409, "KeyBusy")
    assert "3.00 MiB of 10.0 MiB" in error["message"]
    assert "Discard it" in error["message"]
    shown = transfer_in(response)
    assert shown["started"].endswith("Z")
    assert shown == {
        "id": str(old.pk),
        "state": "sending",
        "size": 10 * MIB,
        "bytes_received": 3 * MIB,
        "url": f"/transfers/{old.pk}/",
        "started": shown["started"],
        "can_discard": True,
    }
    documented = (django_settings.BASE_DIR / "docs" / "json.md").read_text()
    assert set(shown) - set(re.findall(r"`([\w-]+)`", documented)) == set()


def test_refusal_says_that_all_bytes_of_the_other_one_are_received(operator_tus: Tus, bucket: str, make: Make) -> None:
    make(all_received=True, staged=10)
    error = check_error(create(operator_tus, bucket), 409, "KeyBusy")
    assert "all of its 10.0 MiB have been received" in error["message"]


def test_transfer_of_another_operator_is_not_shown(
    operator_tus: Tus, bucket: str, make: Make, administrator: User
) -> None:
    other = make(owner=administrator)
    response = create(operator_tus, bucket)
    error = check_error(response, 409, "KeyBusy")
    assert "Another operator" in error["message"]
    assert transfer_in(response) is None
    assert str(other.pk) not in response.content.decode()
    assert "MiB" not in error["message"]


# --- Discarding it ----------------------------------------------------------------------------------------------------


def test_owner_discards_the_other_one_and_the_file_is_sent(operator_tus: Tus, bucket: str, make: Make) -> None:
    old = make()
    response = create(operator_tus, bucket, discard=str(old.pk))
    assert response.status_code == 201, response.content
    old.refresh_from_db()
    assert old.desired_state == DesiredState.CANCEL
    [entry] = AuditEntry.objects.filter(action="transfer.cancel-ordered")
    assert entry.detail["reason"]["code"] == Code.DISCARDED_FOR_OTHER_FILE


def test_administrator_discards_the_transfer_of_an_operator(administrator_tus: Tus, bucket: str, make: Make) -> None:
    old = make()
    assert transfer_in(create(administrator_tus, bucket))["can_discard"] is True
    assert create(administrator_tus, bucket, discard=str(old.pk)).status_code == 201
    old.refresh_from_db()
    assert old.desired_state == DesiredState.CANCEL


def test_operator_cannot_discard_the_transfer_of_another_one(
    operator_tus: Tus, bucket: str, make: Make, administrator: User
) -> None:
    other = make(owner=administrator)
    for transfer_id in (other.pk, uuid.uuid4()):
        response = create(operator_tus, bucket, discard=str(transfer_id))
        check_error(response, 400, "InvalidMetadata")
        assert set(response.json()["fields"]) == {"discard"}
    check_error(create(operator_tus, bucket, discard="not an id"), 400, "InvalidMetadata")
    other.refresh_from_db()
    assert other.desired_state == DesiredState.RUN


def test_transfer_that_is_being_completed_is_not_discarded(operator_tus: Tus, bucket: str, make: Make) -> None:
    old = make(phase=Phase.COMPLETING, all_received=True)
    refused = create(operator_tus, bucket)
    assert transfer_in(refused)["can_discard"] is False
    error = check_error(create(operator_tus, bucket, discard=str(old.pk)), 409, "KeyBusy")
    assert "being completed" in error["message"]
    old.refresh_from_db()
    assert (old.phase, old.desired_state) == (Phase.COMPLETING, DesiredState.RUN)


def test_transfer_to_another_key_is_not_discarded(operator_tus: Tus, bucket: str, make: Make) -> None:
    other = make(key="another key")
    check_error(create(operator_tus, bucket, discard=str(other.pk)), 400, "InvalidForm")
    other.refresh_from_db()
    assert other.desired_state == DesiredState.RUN


@pytest.mark.usefixtures("store")
def test_refused_file_discards_nothing(operator_tus: Tus, bucket: str, make: Make) -> None:
    old = make()
    check_error(create(operator_tus, bucket, discard=str(old.pk), part_size="1"), 400, "InvalidForm")
    old.refresh_from_db()
    assert old.desired_state == DesiredState.RUN


def test_other_one_that_has_finished_meanwhile_is_not_overwritten(
    operator_tus: Tus, bucket: str, make: Make, object_store: ObjectStoreClient
) -> None:
    """It is done before the request arrives: its object needs the consent to be replaced."""
    old = make(phase=Phase.DONE, all_received=True)
    object_store.put_object(bucket, "k", None)
    check_error(create(operator_tus, bucket, discard=str(old.pk)), 409, "ObjectExists")
    assert create(operator_tus, bucket, discard=str(old.pk), replace="on").status_code == 201


def test_discarding_twice_is_the_same_as_once(operator_tus: Tus, bucket: str, make: Make) -> None:
    old = make(desired_state=DesiredState.CANCEL)
    assert create(operator_tus, bucket, discard=str(old.pk)).status_code == 201
    cancelled = make(key="other", phase=Phase.CANCELLED, desired_state=DesiredState.CANCEL)
    assert create(operator_tus, bucket, key="other", discard=str(cancelled.pk)).status_code == 201


def test_transfer_of_the_same_fingerprint_is_discarded_on_request(operator_tus: Tus, bucket: str, make: Make) -> None:
    """The browser has found other bytes in it than in its file, which differs only between the samples."""
    old = make(fingerprint="new", size=5, part_size=5, part_count=1, staged=0, phase=Phase.RECEIVING)
    assert create(operator_tus, bucket)["Location"] == f"/files/{old.pk}"
    assert create(operator_tus, bucket, discard=str(old.pk))["Location"] != f"/files/{old.pk}"


def test_second_tab_resumes_the_file_that_the_first_one_sends(operator_tus: Tus, bucket: str, make: Make) -> None:
    old = make()
    first = create(operator_tus, bucket, discard=str(old.pk))
    again = create(operator_tus, bucket, discard=str(old.pk))
    assert first["Location"] == again["Location"]


def test_second_tab_with_another_file_does_not_discard_the_first_file(
    operator_tus: Tus, bucket: str, make: Make
) -> None:
    old = make()
    first = create(operator_tus, bucket, discard=str(old.pk))
    other = create(operator_tus, bucket, discard=str(old.pk), fingerprint="a third file")
    check_error(other, 409, "KeyBusy")
    assert transfer_in(other)["id"] == first["Location"].rsplit("/", maxsplit=1)[-1]


# --- The order: the old one never overwrites the object of the new one ------------------------------------------------


def test_file_waits_while_the_object_of_the_discarded_one_may_arrive(
    operator_tus: Tus, bucket: str, make: Make, transactional_db: None
) -> None:
    """A PutObject that is being sent creates its object even after its transfer was cancelled."""
    old = make(part_count=1, part_size=10 * MIB, staged=0, sending=1, all_received=True)
    response = create(operator_tus, bucket, discard=str(old.pk))
    error = check_error(response, 409, "KeyBusy")
    assert (transfer_in(response)["state"], response["Retry-After"]) == ("cancelling", "2")
    assert "being cancelled" in error["message"]
    old.parts.update(state=PartState.STAGED)
    assert create(operator_tus, bucket, discard=str(old.pk)).status_code == 201


def test_failed_transfer_is_not_retried_while_another_one_writes_its_key(
    operator_tus: Tus, operator: User, bucket: str, make: Make
) -> None:
    failed = make(phase=Phase.FAILED)
    assert create(operator_tus, bucket).status_code == 201
    with pytest.raises(StepRefused) as refused:
        request_retry(operator, failed)
    assert refused.value.problem.code == Code.KEY_BUSY


def test_upload_of_the_discarded_one_is_aborted_in_the_store(
    operator_tus: Tus, bucket: str, make: Make, object_store: ObjectStoreClient, transactional_db: None
) -> None:
    upload_id = object_store.create_multipart_upload(bucket, "k")
    old = make(upload_id=upload_id)
    assert create(operator_tus, bucket, discard=str(old.pk)).status_code == 201
    cancel_transfer(old.pk)
    old.refresh_from_db()
    assert old.phase == Phase.CANCELLED
    assert not old.store_uploads.exclude(state="gone").exists()


@pytest.mark.usefixtures("store")
def test_statements_of_a_new_transfer_do_not_grow_with_the_live_ones(
    operator_tus: Tus, bucket: str, make: Make
) -> None:
    # The first transfer to a bucket also checks whether the store accepts files there.
    assert create(operator_tus, bucket, key="first").status_code == 201
    counts = []
    for number in range(2):
        with CaptureQueriesContext(connection) as captured:
            assert create(operator_tus, bucket, key=f"new-{number}").status_code == 201
        counts.append(len(captured))
        for other in range(20):
            make(key=f"live-{other}", staged=0)
    assert counts[0] == counts[1]


def test_index_finds_the_transfers_of_a_key(db: None, store: Store, bucket: str) -> None:
    rows = Transfer.objects.filter(store=store, bucket=bucket, key="k", phase__in=["receiving", "sending"])
    assert "transfer_by_key" in rows.explain()


# --- The form without JavaScript --------------------------------------------------------------------------------------


def post_form(client: Client, bucket: str, *, json: bool = False, **fields: str) -> Page:
    client.get("/stores/")
    token = client.cookies[django_settings.CSRF_COOKIE_NAME].value
    names = {"csrfmiddlewaretoken": token, "store": "main", "bucket": bucket, "key": "k", **fields}
    boundary = "b"
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in names.items()
    )
    file = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nhello\r\n--{boundary}--\r\n'
    )
    headers = {"Accept": "application/json"} if json else {}
    return Page(
        client.post(
            "/transfers/new/",
            (head + file).encode(),
            content_type=f"multipart/form-data; boundary={boundary}",
            headers=headers,
        )
    )


def test_form_offers_to_discard_the_other_one(operator_client: Client, bucket: str, make: Make) -> None:
    old = make()
    page = post_form(operator_client, bucket)
    assert page.status == 409
    assert "3.00 MiB of 10.0 MiB" in page.text
    assert 'name="discard"' in page.text
    assert str(old.pk) in page.text
    assert post_form(operator_client, bucket, discard=str(old.pk)).status == 303
    old.refresh_from_db()
    assert old.desired_state == DesiredState.CANCEL


def test_form_as_json_names_the_other_one(operator_client: Client, bucket: str, make: Make) -> None:
    old = make()
    page = post_form(operator_client, bucket, json=True)
    assert (page.status, page.json["error"]["code"], page.json["transfer"]["id"]) == (409, "KeyBusy", str(old.pk))


def test_form_does_not_offer_what_is_not_possible(
    operator_client: Client, bucket: str, make: Make, administrator: User
) -> None:
    make(owner=administrator)
    page = post_form(operator_client, bucket)
    assert page.status == 409
    assert 'name="discard"' not in page.text
