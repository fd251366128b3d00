"""Saved views of the inventory."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from uploads.models import AuditEntry, InventoryView
from uploads.problems import Code
from uploads.services.inventory import saved_views
from uploads.services.inventory.saved_views import ViewRefused, delete_view, rename_view, save_view

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return User.objects.create(username="ada")


def actions() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("action", flat=True))


def test_a_view_with_the_same_name_is_replaced(user: User) -> None:
    first = save_view(user, "dead", "verdict=dead", is_shared=False)
    second = save_view(user, "dead", "verdict=dead&sort=-bytes", is_shared=True)
    assert first.pk == second.pk
    assert InventoryView.objects.get().query == "verdict=dead&sort=-bytes"
    entry = AuditEntry.objects.latest("id")
    assert (entry.before["shared"], entry.after["shared"]) == (False, True)


def test_two_users_may_use_the_same_name(user: User) -> None:
    save_view(user, "dead", "a=1", is_shared=False)
    save_view(User.objects.create(username="bob"), "dead", "b=1", is_shared=False)
    assert InventoryView.objects.count() == 2


def test_too_many_views_are_refused(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_views, "MAX_VIEWS", 1)
    save_view(user, "one", "", is_shared=False)
    save_view(user, "one", "q=a", is_shared=False)
    with pytest.raises(ViewRefused) as refusal:
        save_view(user, "two", "", is_shared=False)
    assert refusal.value.problem.code == Code.TOO_MANY_VIEWS


def test_a_name_that_is_taken_is_refused(user: User) -> None:
    save_view(user, "one", "", is_shared=False)
    view = save_view(user, "two", "", is_shared=False)
    with pytest.raises(ViewRefused) as refusal:
        rename_view(user, view, "one")
    assert refusal.value.problem.code == Code.VIEW_NAME_TAKEN
    assert InventoryView.objects.filter(name="two").exists()


def test_every_change_is_recorded_once(user: User) -> None:
    view = save_view(user, "one", "q=a", is_shared=False)
    rename_view(user, view, "two")
    rename_view(user, view, "two")
    assert delete_view(user, view)
    assert not delete_view(user, view)
    assert actions() == ["inventory-view.saved", "inventory-view.renamed", "inventory-view.deleted"]
