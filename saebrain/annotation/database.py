"""Opening the annotation database: SQLite in the study folder, or PostgreSQL by URL; its tables brought up to date.

A commit is on disk before anyone hears of it: SQLite writes ahead (WAL) with ``synchronous=FULL``, PostgreSQL does so by default.
Writers of SQLite begin at once with the write lock (BEGIN IMMEDIATE), so that none fails in the middle because another was faster.
They queue up for it: a writer that SQLite itself keeps waiting sleeps up to 100 ms between two tries, and whoever comes by in between
is served first.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from sqlite3 import Connection as SQLiteConnection
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from saebrain.annotation.schema import HEAD
from saebrain.errors import InputError
from saebrain.study import Study

if sys.platform != "win32":
    import fcntl

FILE = "annotations.db"
WAIT_S = 30.0
"""How long a writer waits for the others."""
_MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = text("SELECT pg_advisory_xact_lock(:number)")


class Database:
    """An open annotation database; may be shared by threads."""

    def __init__(self, url: URL) -> None:
        """Connect, and bring the tables up to date.

        Raises
        ------
        InputError
            If there is no such database, or it was made by a newer saebrain.
        """
        self.url = url
        self._turn = threading.Lock()
        self.engine = _engine(url)
        try:
            self._upgrade()
        except (DBAPIError, UnicodeError) as error:
            first = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()[0]
            raise InputError(f"annotation database {self}: {first}; mend [annotation] database in study.toml, or start the server") from error

    def __str__(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads: one state of the database throughout."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, *locks: str) -> Iterator[Connection]:
        """A transaction that writes; committed, and on disk, once the block is left without an error.

        Two with a lock of one name in common run one after the other; without any name there is one name for all. Take a person's
        before a feature's, so that no two wait for each other. SQLite has one writer at a time anyway.
        """
        if not self.is_sqlite:
            with self.engine.begin() as connection:
                for name in locks or ("all",):
                    connection.execute(_ADVISORY_LOCK, {"number": _lock_number(name)})
                yield connection
            return
        lock = Path(f"{self.url.database}-lock")
        with self._turn, _queued(lock), self.engine.connect().execution_options(saebrain_writes=True) as connection, connection.begin():
            yield connection

    def _upgrade(self) -> None:
        with self.reading() as connection:
            if _revision(connection) == HEAD:
                return
        from alembic import command
        from alembic.config import Config

        with self.writing() as connection:
            found = _revision(connection)
            if found is not None and found > HEAD:
                raise InputError(f"annotation database {self}: made by a newer saebrain (revision {found}, this one knows {HEAD}); update saebrain")
            settings = Config()
            settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
            settings.attributes["connection"] = connection
            command.upgrade(settings, "head")


def open_database(study: Study, *, create: bool = True) -> Database | None:
    """The annotation database of a study; None if it is a file that is not there yet and shall not be made.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    url = database_url(study)
    if not create and url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        return None
    return _opened(url, os.getpid())


def the_database(study: Study) -> Database:
    """The annotation database of a study, made if it is not there."""
    database = open_database(study)
    assert database is not None
    return database


def database_url(study: Study) -> URL:
    """Where the annotations of a study are.

    Raises
    ------
    InputError
        If study.toml names an environment variable that is not set, or what is no URL of SQLite or PostgreSQL.
    """
    written = study.config.annotation.database
    if not written:
        return URL.create("sqlite", database=str((study.folder / FILE).resolve()))
    if written.startswith("$"):
        found = os.environ.get(written[1:])
        if not found:
            raise InputError(f"[annotation] database = {written!r}: the environment variable is not set; set it to a URL such as {_EXAMPLE}")
        written = found
    try:
        url = make_url(written)
    except ArgumentError:
        raise InputError(f"[annotation] database: not a URL; write one such as {_EXAMPLE}, or leave it out for {FILE} in the study folder") from None
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        return url.set(drivername="sqlite", database=str(study.resolve(str(url.database)).resolve()))
    raise InputError(f"[annotation] database: {url.get_backend_name()} is not known; write a URL such as {_EXAMPLE}, or sqlite:///FILE")


_EXAMPLE = "postgresql://user:password@host/name"


def _lock_number(name: str) -> int:
    """PostgreSQL names its advisory locks by 64-bit numbers."""
    return int.from_bytes(hashlib.sha256(f"saebrain {name}".encode()).digest()[:8], "big", signed=True)


@lru_cache(maxsize=16)
def _opened(url: URL, process: int) -> Database:
    """One a process: a fork must not share its parent's connections."""
    return Database(url)


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=24)
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=8, max_overflow=24, connect_args={"timeout": WAIT_S})

    @event.listens_for(engine, "connect")
    def set_up(connection: SQLiteConnection, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not where the driver guesses
        connection.execute(f"PRAGMA busy_timeout={int(WAIT_S * 1000)}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("saebrain_writes") else "BEGIN")

    return engine


@contextmanager
def _queued(path: Path) -> Iterator[None]:
    """Hold a lock that processes get in the order in which they ask; one that is killed lets go of it."""
    if sys.platform == "win32":  # SQLite's own waiting has to do
        yield
        return
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
