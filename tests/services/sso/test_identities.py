"""People who sign in for the first time, at the same time."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from pytest_django import Settings

from uploads.models import SignOnIdentity
from uploads.services.sso.identities import _is_same_address, user_of
from uploads.services.sso.provider import Person

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(people: Sequence[Person]) -> list[int]:
    barrier = threading.Barrier(len(people))

    def sign_in(person: Person) -> int:
        barrier.wait(30)
        try:
            return int(user_of(person).pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(people)) as pool:
        return list(pool.map(sign_in, people))


def test_same_person_is_one_user(settings: Settings) -> None:
    settings.OIDC_GROUP_ROLES = "media=Media"
    person = Person("https://id.example", "same", username="sam", groups=frozenset({"media"}))
    assert len(set(at_once([person] * 4))) == 1
    assert User.objects.get().groups.get() == Group.objects.get()


def test_others_with_the_same_name_get_a_number() -> None:
    people = [Person("https://id.example", f"person {number}", username="sam") for number in range(4)]
    assert len(set(at_once(people))) == 4
    assert sorted(User.objects.values_list("username", flat=True)) == ["sam", "sam-2", "sam-3", "sam-4"]
    assert SignOnIdentity.objects.count() == 4


@pytest.mark.parametrize("letter", ["\u0131", "\u017f", "\u212a"])
def test_address_with_a_similar_letter_links_nobody(settings: Settings, letter: str) -> None:
    """The upper case of a dotless i is I, the lower case of the Kelvin sign is k."""
    settings.OIDC_LINK_BY_EMAIL = True
    user = User.objects.create_user("kim", email="kims@example.com")
    ascii_letter = {"\u0131": "i", "\u017f": "s", "\u212a": "k"}[letter]
    theirs = user.email.replace(ascii_letter, letter)
    assert user_of(Person("https://id.example", "other", email=theirs, email_verified=True)) != user
    assert not _is_same_address(user.email, theirs)
    assert user_of(Person("https://id.example", "kim", email="KIMS@Example.com", email_verified=True)) == user
