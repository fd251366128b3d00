"""Links to what was deleted after its time lead to what the audit log knows about it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from dashboard.shared.messages import text_of
from tests.dashboard.make_transfer import make_transfer
from tests.grants import make_operator
from uploads import audit
from uploads.domain.states import ItemState
from uploads.models import AuditEntry, Operation, OperationItem, Store
from uploads.problems import Code, Problem


def test_link_to_a_deleted_transfer_leads_to_its_audit_entries(
    operator_client: Client, operator: User, store: Store
) -> None:
    transfer = make_transfer(operator, store, key="reports/2026.csv")
    audit.record_transfer(operator, "begun", transfer)
    audit.record_transfer(None, "done", transfer)
    transfer_id, url = transfer.pk, reverse("transfer", args=[transfer.pk])
    transfer.delete()
    assert url in operator_client.get("/audit/").content.decode()
    response = operator_client.get(url)
    page = response.content.decode()
    assert response.status_code == 410
    assert text_of(Problem(Code.TRANSFER_DELETED)) in page
    assert page.count("reports/2026.csv") == 1, "the start and the end of a transfer are one line"
    assert "transfer.done" in page
    assert f'href="{url}"' not in page, "it does not lead to itself"
    assert "transfer.begun" in page
    json = operator_client.get(url, headers={"Accept": "application/json"})
    assert (json.status_code, json.json()["error"]["code"]) == (410, "TransferDeleted")
    assert AuditEntry.objects.filter(transfer_id=transfer_id).count() == 2


def test_link_to_a_deleted_operation_leads_to_its_audit_entries(
    operator_client: Client, operator: User, store: Store
) -> None:
    operation = Operation.objects.create(kind="abort", actor=operator, store=store, bucket="photos")
    item = OperationItem.objects.create(operation=operation, key="k", upload_id="u", state=ItemState.DONE)
    audit.record_item(operator, "done", operation, item)
    url = reverse("operation", args=[operation.pk])
    operation.delete()
    response = operator_client.get(url)
    assert response.status_code == 410
    assert "abort.done" in response.content.decode()


def test_transfer_of_another_operator_does_not_look_deleted(
    operator_client: Client, operator: User, store: Store
) -> None:
    other = make_operator("someone-else")
    transfer = make_transfer(other, store)
    audit.record_transfer(other, "begun", transfer)
    assert operator_client.get(reverse("transfer", args=[transfer.pk])).status_code == 404


def test_refusal_does_not_show_what_the_log_has_about_a_transfer_of_another_operator(
    operator: User, store: Store
) -> None:
    client, other = Client(), make_operator("someone-else")
    client.force_login(operator)
    transfer = make_transfer(other, store, key="reports/secret.csv")
    audit.record_transfer(other, "begun", transfer)
    url = reverse("transfer", args=[transfer.pk])
    assert client.post(f"{url}pause/").status_code == 404
    assert AuditEntry.objects.filter(actor=operator, action="transfer.refused", transfer_id=transfer.pk).exists()
    log = client.get("/audit/", {"transfer": str(transfer.pk)}).content.decode()
    assert "reports/secret.csv" not in log
    transfer.delete()
    assert client.get(url).status_code == 404


def test_address_that_never_existed_is_not_found(operator_client: Client, operator: User) -> None:
    assert operator_client.get(reverse("transfer", args=["00000000-0000-4000-8000-000000000000"])).status_code == 404
