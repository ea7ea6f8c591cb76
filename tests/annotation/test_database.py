"""Opening: settings that keep what is committed, migrations, messages."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, insert, text
from sqlalchemy.exc import DBAPIError

from saebrain.annotation import database as module
from saebrain.annotation.database import Database, database_url
from saebrain.annotation.log import Entry, append, read_events
from saebrain.annotation.schema import HEAD, event, metadata
from saebrain.config import AnnotationSection
from saebrain.errors import InputError
from saebrain.study import SHIPPED, Study
from tests.annotation.conftest import Fresh

ENTRY = Entry("k", "label", "ana", 15, 7, "1.0", label="semantic")


def study(tmp_path: Path, database: str = "") -> Study:
    shipped = Study.open(SHIPPED / "demo")
    return Study(tmp_path, shipped.config.model_copy(update={"annotation": AnnotationSection(database=database)}))


def test_migrations_make_the_schema(fresh: Fresh) -> None:
    database = fresh()
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(Path(module.__file__).parent / "migrations")).get_current_head() == HEAD


def test_opening_again_keeps_what_is_there(fresh: Fresh) -> None:
    database = fresh()
    with database.writing() as connection:
        append(connection, ENTRY)
    assert len(read_events(Database(database.url))) == 1


def test_log_cannot_be_changed(fresh: Fresh) -> None:
    database = fresh()
    with database.writing() as connection:
        append(connection, ENTRY)
    for statement in ("UPDATE event SET label = 'lexical'", "DELETE FROM event"):
        with pytest.raises(DBAPIError, match="insert-only"), database.writing() as connection:
            connection.execute(text(statement))
    assert read_events(database)["label"].tolist() == ["semantic"]


def test_unknown_kind_is_refused_by_the_database(fresh: Fresh) -> None:
    database = fresh()
    with database.writing() as connection:
        append(connection, ENTRY)
        row = dict(connection.execute(event.select()).one()._mapping)
    with pytest.raises(DBAPIError), database.writing() as connection:
        connection.execute(insert(event).values({**row, "id": 9, "uuid": "u", "key": "other", "kind": "erase"}))


def test_sqlite_writes_through_to_the_disk(tmp_path: Path) -> None:
    database = Database(URL.create("sqlite", database=str(tmp_path / "a.db")))
    for transaction in (database.reading, database.writing):
        with transaction() as connection:
            values = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous", "busy_timeout")}
        assert values == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30000}


def test_failed_transaction_leaves_nothing(fresh: Fresh) -> None:
    database = fresh()
    with pytest.raises(ZeroDivisionError), database.writing() as connection:
        append(connection, ENTRY)
        raise ZeroDivisionError
    assert read_events(database).empty


def test_opened_by_many_at_once(fresh: Fresh) -> None:
    database = fresh()
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
        for table in ("event", "slot", "person"):
            connection.execute(text(f"DROP TABLE {table}"))
        if not database.is_sqlite:
            connection.execute(text("DROP FUNCTION event_is_insert_only()"))
    problems = []

    def open_it() -> None:
        try:
            Database(database.url).engine.dispose()
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with database.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [HEAD]


def test_database_of_a_newer_saebrain_is_refused(fresh: Fresh) -> None:
    database = fresh()
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InputError, match="newer saebrain"):
        Database(database.url)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_text("no database at all " * 100)
    with pytest.raises(InputError, match=r"not a database; mend \[annotation\]"):
        Database(URL.create("sqlite", database=str(path)))


def test_server_that_is_not_there_and_its_password_untold() -> None:
    url = URL.create("postgresql+psycopg", "u", "s3cret", "127.0.0.1", 1, "d")
    with pytest.raises(InputError) as caught:
        Database(url)
    assert "start the server" in str(caught.value) and "s3cret" not in str(caught.value)


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_url(study(tmp_path)).database == str((tmp_path / "annotations.db").resolve())
    assert database_url(study(tmp_path, "sqlite:///more/a.db")).database == str((tmp_path / "more/a.db").resolve())
    monkeypatch.setenv("LABELS", "postgresql://u:p@h/d")
    assert database_url(study(tmp_path, "$LABELS")) == URL.create("postgresql+psycopg", "u", "p", "h", None, "d")
    monkeypatch.delenv("LABELS")
    for wrong, message in (("$LABELS", "is not set"), ("nowhere", "not a URL"), ("mysql://h/d", "mysql is not known"), ("sqlite://", "not known")):
        with pytest.raises(InputError, match=message):
            database_url(study(tmp_path, wrong))


def test_opening_loads_no_migration_code(tmp_path: Path) -> None:
    url = URL.create("sqlite", database=str(tmp_path / "a.db"))
    Database(url).engine.dispose()
    code = f"""
import sys
from saebrain.annotation.database import URL, Database
Database(URL.create("sqlite", database={url.database!r}))
print("alembic" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
