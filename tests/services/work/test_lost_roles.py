"""Work whose actor lost the role, or was disabled, ends with a code and without a request to the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest
import requests
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from tests.grants import grant
from uploads.domain.replacement import ANYTHING
from uploads.domain.roles import Role, TokenScope
from uploads.domain.states import DesiredState, ItemState, PartState, Phase
from uploads.models import AccessToken, Grant, Operation, OperationItem, Part, Store, StoreCheck, StoreUpload, Transfer
from uploads.models.operation import active_key
from uploads.objectstore.connections import PatientAdapter
from uploads.objectstore.types import UploadRef
from uploads.origin import Means, origin
from uploads.problems import Code
from uploads.services.operations.order import request_abort
from uploads.services.operations.run import run_item
from uploads.services.people.tokens import TokenValues, create_token, revoke_token
from uploads.services.stores.checks.run import run_store_check
from uploads.services.transfers.cancel import cancel_transfer
from uploads.services.transfers.complete import complete_transfer
from uploads.services.transfers.create import open_store_upload
from uploads.services.transfers.send import send_part
from uploads.services.transfers.start import NewTransfer, start_transfer
from uploads.services.transfers.steps import request_resume, request_retry
from uploads.services.upkeep.watchdog import watch

Lose = Callable[[User], None]


def lose_role(user: User) -> None:
    Grant.objects.filter(user=user).delete()


def be_disabled(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def be_granted_elsewhere(user: User) -> None:
    """Only another prefix is left."""
    lose_role(user)
    grant(user, store=Store.objects.get(), bucket="photos", prefix="dogs/")


def be_a_viewer(user: User) -> None:
    Grant.objects.filter(user=user).update(role=Role.VIEWER.value)


WAYS = [lose_role, be_disabled, be_granted_elsewhere, be_a_viewer]


def code_after(lose: Lose) -> str:
    return Code.ACTOR_DISABLED if lose is be_disabled else Code.ROLE_LOST


End = Callable[[AccessToken], None]


def revoke(token: AccessToken) -> None:
    revoke_token(None, token)


def expire(token: AccessToken) -> None:
    """What was requested in time is done."""
    AccessToken.objects.filter(pk=token.pk).update(expires_at=timezone.now())


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests to the store, which fail."""
    requested: list[str] = []

    def fail(_adapter: object, request: requests.PreparedRequest, *_: object) -> NoReturn:
        requested.append(f"{request.method} {request.url}")
        raise requests.ConnectionError

    monkeypatch.setattr(PatientAdapter, "opened", fail)
    return requested


@pytest.fixture
def store(transactional_db: None) -> Store:
    return Store.objects.create(name="s", endpoint_url="http://127.0.0.1:1", access_key="a", secret_key="b")


@pytest.fixture
def transfer(user: User, store: Store) -> Transfer:
    facts = {"owner": user, "store": store, "bucket": "photos", "key": "cats/1", "all_received": True}
    created = Transfer.objects.create(
        size=20, part_size=10, part_count=2, node=settings.NODE_NAME, phase=Phase.SENDING, **facts
    )
    for number in (1, 2):
        Part.objects.create(transfer=created, number=number, size=10, state=PartState.STAGED)
    return created


def item(user: User, store: Store, kind: str = "abort", **values: object) -> OperationItem:
    operation = Operation.objects.create(kind=kind, actor=user, store=store, bucket="photos")
    key = active_key(store.pk, "photos", "cats/1", "u")
    return OperationItem.objects.create(operation=operation, key="cats/1", upload_id="u", active_key=key, **values)


@pytest.mark.parametrize("lose", WAYS)
def test_transfer_is_not_continued(lose: Lose, user: User, transfer: Transfer, sent: list[str]) -> None:
    lose(user)
    open_store_upload(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, code_after(lose))
    assert transfer.lease_token is None
    watch()
    transfer.refresh_from_db()
    assert transfer.phase == Phase.FAILED
    assert sent == []


@pytest.fixture
def token(user: User, store: Store) -> AccessToken:
    return create_token(user, TokenValues(name="t", scopes=frozenset(TokenScope), days=1))[0]


@pytest.mark.parametrize("end", [revoke, expire])
def test_transfer_ends_with_its_token_if_it_is_revoked(
    end: End, user: User, transfer: Transfer, token: AccessToken, sent: list[str]
) -> None:
    Transfer.objects.filter(pk=transfer.pk).update(access_token=token)
    end(token)
    open_store_upload(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, bool(sent)) == ((Phase.FAILED, False) if end is revoke else (Phase.SENDING, True))
    if end is revoke:
        assert (transfer.error_code, transfer.error_params) == (Code.TOKEN_LOST, {"name": "t"})


@pytest.mark.parametrize("step", [request_resume, request_retry])
def test_transfer_continues_for_whoever_resumes_it_without_the_token(
    step: Callable[[User, Transfer], None],
    user: User,
    transfer: Transfer,
    token: AccessToken,
    sent: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("uploads.services.transfers.steps.can_retry", lambda _: True)
    monkeypatch.setattr("uploads.services.transfers.steps.stage_again_for_retry", lambda _: None)
    is_paused = step is request_resume
    phase, desired = (Phase.SENDING, DesiredState.PAUSE) if is_paused else (Phase.FAILED, DesiredState.RUN)
    Transfer.objects.filter(pk=transfer.pk).update(phase=phase, desired_state=desired, access_token=token)
    revoke(token)
    transfer.refresh_from_db()
    step(user, transfer)
    open_store_upload(transfer.pk)
    assert sent


def test_new_transfer_refers_to_its_token(user: User, store: Store, token: AccessToken) -> None:
    new = NewTransfer(owner=user, store=store, bucket="photos", key="k", size=3, replace=True, replacement=ANYTHING)
    with origin(means=Means.TOKEN, token=token.name, token_id=token.pk):
        assert start_transfer(new).access_token == token


@pytest.mark.parametrize("end", [revoke, expire])
def test_item_is_not_done_if_its_token_is_revoked(
    end: End, user: User, store: Store, token: AccessToken, sent: list[str]
) -> None:
    with origin(means=Means.TOKEN, token=token.name, token_id=token.pk):
        operation = request_abort(user, store, "photos", [UploadRef("cats/1", "u")])
    ordered = operation.items.get()
    end(token)
    run_item(ordered.pk)
    ordered.refresh_from_db()
    assert (ordered.state, ordered.error_code, bool(sent)) == (
        (ItemState.FAILED, Code.TOKEN_LOST, False) if end is revoke else (ItemState.ORDERED, "ConnectionLost", True)
    )


def test_no_further_part_is_sent(user: User, transfer: Transfer, sent: list[str]) -> None:
    StoreUpload.objects.create(transfer=transfer, upload_id="u")
    be_disabled(user)
    send_part(transfer.parts.get(number=1).pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, Code.ACTOR_DISABLED)
    assert set(transfer.parts.values_list("state", flat=True)) == {PartState.STAGED}
    assert sent == []


def test_a_completion_is_not_requested(user: User, transfer: Transfer, sent: list[str]) -> None:
    Transfer.objects.filter(pk=transfer.pk).update(phase=Phase.COMPLETING)
    lose_role(user)
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert (transfer.phase, transfer.error_code) == (Phase.FAILED, Code.ROLE_LOST)
    assert sent == []


def test_a_completion_that_was_requested_is_followed(user: User, transfer: Transfer, sent: list[str]) -> None:
    now = timezone.now()
    Transfer.objects.filter(pk=transfer.pk).update(phase=Phase.COMPLETING, complete_sent_at=now)
    lose_role(user)
    complete_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.COMPLETING
    assert sent


def test_a_transfer_can_be_cancelled(user: User, transfer: Transfer) -> None:
    Transfer.objects.filter(pk=transfer.pk).update(desired_state=DesiredState.CANCEL)
    lose_role(user)
    cancel_transfer(transfer.pk)
    transfer.refresh_from_db()
    assert transfer.phase == Phase.CANCELLED


@pytest.mark.parametrize("kind", ["abort", "complete"])
@pytest.mark.parametrize("lose", WAYS)
def test_item_is_not_done(lose: Lose, kind: str, user: User, store: Store, sent: list[str]) -> None:
    ordered = item(user, store, kind)
    lose(user)
    run_item(ordered.pk)
    ordered.refresh_from_db()
    assert (ordered.state, ordered.error_code, ordered.active_key) == (ItemState.FAILED, code_after(lose), None)
    assert sent == []


def test_an_abort_without_a_response_is_followed(user: User, store: Store, sent: list[str]) -> None:
    ordered = item(user, store, outcome={"unanswered_at": timezone.now().isoformat()})
    lose_role(user)
    run_item(ordered.pk)
    ordered.refresh_from_db()
    assert ordered.state == ItemState.ORDERED
    assert sent


def test_store_check_is_not_run(user: User, store: Store, sent: list[str]) -> None:
    check = StoreCheck.objects.create(store=store, bucket="photos", actor=user)
    run_store_check(check.pk)
    check.refresh_from_db()
    assert (check.state, check.error_code) == (ItemState.FAILED, Code.ROLE_LOST)
    assert sent == []
