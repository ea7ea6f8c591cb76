"""Names and roles."""

from __future__ import annotations

from typing import cast

import pytest

from saebrain.annotation.people import Person, Right, check_name, enrol, find, people
from saebrain.annotation.schema import ROLES, Role
from saebrain.errors import InputError
from tests.annotation.conftest import Fresh


def test_first_is_admin_others_annotate(fresh: Fresh) -> None:
    database = fresh()
    assert [enrol(database, name).role for name in ("ana", "ben", "ana")] == ["admin", "annotator", "admin"]
    assert people(database) == [Person("ana", "admin"), Person("ben", "annotator")]


def test_address_finds_the_person_in_any_case(fresh: Fresh) -> None:
    database = fresh()
    enrol(database, "Ana", "viewer", "Ana@Lab.org")
    assert find(database, login="ANA@lab.ORG") == Person("Ana", "viewer", "ana@lab.org")
    assert find(database, login="ben@lab.org") is None and find(database, name="Ben") is None
    assert enrol(database, "Ana", "admin") == Person("Ana", "admin", "ana@lab.org")
    with pytest.raises(InputError, match="belongs to 'Ana'"):
        enrol(database, "Ben", "viewer", "ana@lab.org")


def test_names(fresh: Fresh) -> None:
    assert check_name("  Ana  María ") == "Ana María"
    for wrong in ("", "  ", "x" * 81, "a\0", "machine:forms", "\u202eevil"):
        with pytest.raises(InputError, match="choose another"):
            check_name(wrong)
    with pytest.raises(InputError, match="role 'boss'"):
        enrol(fresh(), "ana", cast(Role, "boss"))


def test_rights() -> None:
    rights: list[Right] = ["see", "label", "adjudicate", "manage"]
    able = {role: {right for right in rights if Person("x", role).may(right)} for role in ROLES}
    assert able == {
        "annotator": {"see", "label"},
        "adjudicator": {"see", "label", "adjudicate"},
        "viewer": {"see"},
        "admin": {"see", "label", "adjudicate", "manage"},
    }
