"""Which role includes what, and where: the rules of scopes, without a database."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uploads.domain.roles import (
    ALLOWED,
    EVERYWHERE,
    ROLES,
    Action,
    Limits,
    Permission,
    Place,
    Role,
    Scope,
    TokenScope,
    folders_above,
    prefixes_within,
    shortest_prefixes,
)

SCOPES = st.builds(
    Scope,
    st.none() | st.integers(1, 2),
    st.sampled_from(["", "b", "c"]),
    st.text("a/é", max_size=3),
)
PLACES = st.builds(Place, st.integers(1, 2), st.sampled_from(["b", "c"]), st.text("a/é", max_size=4))


def test_each_role_includes_what_the_roles_before_it_do() -> None:
    for lower, higher in itertools.pairwise(ROLES):
        assert ALLOWED[lower] < ALLOWED[higher]
    assert ALLOWED[Role.ADMINISTRATOR] == frozenset(Action)


@pytest.mark.parametrize(
    ("prefix", "key", "is_inside"),
    [
        ("a/", "a/", True),
        ("a/", "a/b", True),
        ("a/", "a", False),
        ("a/", "A/b", False),
        ("a/", "/a/b", False),
        ("a/", "a//b", True),
        ("a/", "x/../a/b", False),
        ("a", "ab", True),
        ("\u00e9/", "e\u0301/b", False),
        ("%", "x", False),
        ("_", "x", False),
    ],
)
def test_keys_are_compared_exactly(prefix: str, key: str, *, is_inside: bool) -> None:
    scope = Scope(1, "b", prefix)
    assert scope.includes(Place(1, "b", key)) is is_inside
    assert scope.touches(Place(1, "b", key)) is is_inside
    assert not scope.includes(Place(1, "other", key))
    assert not scope.includes(Place(2, "b", key))


def test_a_prefix_touches_its_bucket_and_store_without_including_them() -> None:
    scope = Scope(1, "b", "a/")
    for place in (Place(1), Place(1, "b")):
        assert scope.touches(place)
        assert not scope.includes(place)


@given(SCOPES, SCOPES, PLACES)
def test_what_two_scopes_have_in_common(one: Scope, other: Scope, place: Place) -> None:
    both = one.meet(other)
    assert both == other.meet(one)
    assert (both is not None and both.includes(place)) == (one.includes(place) and other.includes(place))


def test_actions_on_a_whole_store_need_a_grant_for_it() -> None:
    for scope, is_allowed in ((EVERYWHERE, True), (Scope(1), True), (Scope(1, "b"), False), (Scope(2), False)):
        permission = Permission(Role.STORE_ADMINISTRATOR, scope, ALLOWED[Role.STORE_ADMINISTRATOR])
        assert permission.allows(Action.CHANGE_STORES, Place(1)) is is_allowed
        assert not permission.allows(Action.ADD_STORES)


def test_actions_without_a_store_need_a_grant_for_everything() -> None:
    everywhere = Permission(Role.ADMINISTRATOR, EVERYWHERE, frozenset(Action))
    assert everywhere.allows(Action.MANAGE_USERS)
    (narrowed,) = everywhere.limited(Limits(frozenset(Action), (Scope(1),)))
    assert not narrowed.allows(Action.MANAGE_USERS)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("scope", TokenScope)
def test_tokens_only_take_away(role: Role, scope: TokenScope) -> None:
    permission = Permission(role, Scope(1, "b"), ALLOWED[role])
    limits = Limits.of_token([scope], [Scope(1, "b", "a/"), Scope(2)])
    narrowed = list(permission.limited(limits))
    assert [each.scope for each in narrowed] == [Scope(1, "b", "a/")]
    assert narrowed[0].actions <= ALLOWED[role]
    assert not narrowed[0].actions & {Action.CHANGE_STORES, Action.CHECK_STORES, Action.MANAGE_USERS}


def test_token_without_places_is_valid_everywhere() -> None:
    assert Limits.of_token([TokenScope.READ]).scopes == (EVERYWHERE,)


@given(st.lists(st.text("ab/", max_size=3), max_size=4), st.text("ab/", max_size=4))
def test_prefixes_that_others_include_are_left_out(prefixes: list[str], key: str) -> None:
    shortest = shortest_prefixes(prefixes)
    assert any(map(key.startswith, shortest)) == any(map(key.startswith, prefixes))
    assert not any(one != other and one.startswith(other) for one in shortest for other in shortest)


@pytest.mark.parametrize(
    ("requested", "granted", "asked"),
    [
        ("", ["a/b/"], ("a/b/",)),
        ("a/", ["a/b/"], ("a/b/",)),
        ("a/b/c", ["a/b/"], ("a/b/c",)),
        ("b/", ["a/b/"], ()),
        ("a", ["a/", "b/"], ("a/",)),
        ("", ["a/", "a/b/", "c/"], ("a/", "c/")),
        ("anything", [""], ("anything",)),
        ("", [], ()),
    ],
)
def test_what_a_listing_asks_for(requested: str, granted: list[str], asked: tuple[str, ...]) -> None:
    assert prefixes_within(requested, granted) == asked


@pytest.mark.parametrize(
    ("requested", "delimiter", "folders"),
    [
        ("", "/", ("a/", "c")),
        ("a/", "/", ("a/b/", "a/d/")),
        ("", "", ("a/b/", "a/d/e/", "c")),
        ("a/d", "/", ("a/d/",)),
    ],
)
def test_folders_that_lead_to_grants(requested: str, delimiter: str, folders: tuple[str, ...]) -> None:
    granted = [each for each in ("a/b/", "a/d/e/", "c") if each.startswith(requested)]
    assert folders_above(granted, requested, delimiter) == folders
