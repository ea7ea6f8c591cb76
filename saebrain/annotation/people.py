"""Who may do what.

=============  =====================================================================
annotator      labels features, blind to what others say
adjudicator    also sees disagreements and settles them
admin          also gives roles
viewer         sees figures only
=============  =====================================================================
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from saebrain.annotation.database import Database
from saebrain.annotation.schema import ROLES, Role, person
from saebrain.errors import InputError

Right = Literal["see", "label", "adjudicate", "manage"]
RIGHTS: dict[Role, frozenset[Right]] = {
    "viewer": frozenset({"see"}),
    "annotator": frozenset({"see", "label"}),
    "adjudicator": frozenset({"see", "label", "adjudicate"}),
    "admin": frozenset({"see", "label", "adjudicate", "manage"}),
}
MOST_LETTERS = 80


class NotAllowed(InputError):
    """A person asks for something that their role does not allow."""


@dataclass(frozen=True)
class Person:
    """One person; ``login`` is the e-mail address that the identity provider knows them by."""

    name: str
    role: Role
    login: str | None = None

    def may(self, right: Right) -> bool:
        return right in RIGHTS[self.role]


def people(database: Database) -> list[Person]:
    """Everyone, by name."""
    with database.reading() as connection:
        return [_person(row) for row in connection.execute(select(person).order_by(person.c.name))]


def find(database: Database, *, name: str | None = None, login: str | None = None) -> Person | None:
    """The person of a name, or of an e-mail address (in upper or lower case)."""
    wanted = person.c.name == name if login is None else person.c.login == login.casefold()
    with database.reading() as connection:
        row = connection.execute(select(person).where(wanted)).first()
    return None if row is None else _person(row)


def enrol(database: Database, name: str, role: Role | None = None, login: str | None = None) -> Person:
    """Add a person, or give one another role or address; without a role, a newcomer is an annotator, and the very first an admin.

    Raises
    ------
    InputError
        If the name or role cannot be used, or the address belongs to somebody else.
    """
    name, login = check_name(name), login.strip().casefold() if login else None
    role = None if role is None else check_role(role)
    with database.writing() as connection:
        if login is not None and (other := connection.scalar(select(person.c.name).where(person.c.login == login, person.c.name != name))):
            raise InputError(f"{login}: belongs to {other!r} already; give that person another address first")
        row = connection.execute(select(person).where(person.c.name == name)).first()
        if row is None:
            first = connection.scalar(select(func.count()).select_from(person)) == 0
            found = Person(name, role or ("admin" if first else "annotator"), login)
            connection.execute(insert(person).values(name=name, role=found.role, login=login, created=datetime.now(UTC)))
        else:
            found = Person(name, role or row.role, login or row.login)
            connection.execute(update(person).where(person.c.name == name).values(role=found.role, login=found.login))
    return found


def require(connection: Connection, name: str, right: Right) -> None:
    """Make sure that a person may do something.

    Raises
    ------
    NotAllowed
        If they may not, or there is no such person.
    """
    row = connection.execute(_NAMED, {"name": name}).first()
    if row is None:
        raise NotAllowed(f"{name!r}: has no role here; an admin gives one with: python -m saebrain annotations role NAME ROLE")
    if not _person(row).may(right):
        able = ", ".join(role for role, rights in RIGHTS.items() if right in rights)
        raise NotAllowed(f"{name!r} is {row.role}, and may not {right}; that takes the role {able}, which an admin gives")


_NAMED = select(person).where(person.c.name == bindparam("name"))


def check_role(role: str) -> Role:
    """Return a role (InputError if there is none of that name)."""
    for known in ROLES:
        if role == known:
            return known
    raise InputError(f"role {role!r}: not known; choose one of {', '.join(ROLES)}")


def check_name(name: str) -> str:
    """Return a name, its spaces tidied.

    Raises
    ------
    InputError
        If it cannot be a person's name.
    """
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= MOST_LETTERS or not all(unicodedata.category(sign)[0] in "LMNPZS" for sign in tidy):
        raise InputError(f"name {tidy[:40]!r}: a name has 1 to {MOST_LETTERS} visible characters; choose another")
    if tidy.startswith("machine:"):
        raise InputError(f"name {tidy[:40]!r}: 'machine:' is for machine annotators; choose another")
    return tidy


def _person(row: Row[tuple[object, ...]]) -> Person:
    return Person(row.name, row.role, row.login)
