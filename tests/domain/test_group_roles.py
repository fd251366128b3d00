"""OIDC_GROUP_ROLES."""

from __future__ import annotations

import pytest

from uploads.domain.group_roles import GroupRolesError, parse


def test_names_are_mapped() -> None:
    roles = parse(" /storage/media = Media, 4b2f-11=Media ,admins=administrator,")
    assert roles.groups == {"Media"}
    assert roles.groups_of(["/storage/media", "admins", "unknown"]) == {"Media"}
    assert roles.is_administrator(["admins"])
    assert not roles.is_administrator(["/storage/media"])
    assert roles.is_known(["4b2f-11"])
    assert not roles.is_known(["Media", "administrator"])


def test_json_is_for_names_with_commas_and_equals_signs() -> None:
    roles = parse('{"CN=media,OU=eu": "Media"}')
    assert roles.groups_of(["CN=media,OU=eu"]) == {"Media"}
    assert parse("CN=media=Media").groups_of(["CN=media"]) == {"Media"}


def test_nothing_is_mapped_without_the_setting() -> None:
    assert not parse("  ").targets


@pytest.mark.parametrize(
    "text", ["a", "a=", "=b", "{", "[]", "{1}", '{"a": 1}', '{"": "b"}', '{"a": ""}', f"a={'b' * 151}"]
)
def test_what_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(GroupRolesError):
        parse(text)
