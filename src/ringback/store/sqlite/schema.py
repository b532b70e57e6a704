"""Bringing a database file to this version's schema: numbered SQL files, each applied once, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.resources import files
from pathlib import Path

import apsw

from ringback.errors import ConfigurationError
from ringback.store.sqlite.connection import (
    APPLICATION_ID,
    close,
    closed_on_error,
    configure,
    connect_reader,
    create_file,
    open_file,
    prepare_place,
)
from ringback.store.sqlite.rows import fetch

_PACKAGE = "ringback.store.migrations.sqlite"
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT
"""


def migrate(path: Path, clock: Callable[[], int]) -> tuple[str, ...]:
    """Bring the file to this version's schema; the names of what was applied. Raises ConfigurationError."""
    with _explained(path), closing(_open(path, None)) as db:
        return _bring_up(db, path, clock)


def open_migrated(
    path: Path, clock: Callable[[], int], vfs: str | None, readers: int
) -> tuple[apsw.Connection, list[apsw.Connection]]:
    """The writer's connection and so many for readers. Raises ConfigurationError."""
    with _explained(path):
        with ExitStack() as opened:
            db = _closed_by(opened, _open(path, vfs))
            _bring_up(db, path, clock)
            connected = [_closed_by(opened, connect_reader(path)) for _ in range(readers)]
            opened.pop_all()
        return db, connected


def _closed_by(stack: ExitStack, db: apsw.Connection) -> apsw.Connection:
    stack.callback(close, db)
    return db


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.NotADBError as error:
        raise ConfigurationError(f"{path} is not a SQLite database") from error
    except apsw.CorruptError as error:
        raise ConfigurationError(f"{path} is damaged: {error}") from error
    except apsw.Error as error:
        raise ConfigurationError(f"{path} cannot be opened and written: {error}") from error


def _open(path: Path, vfs: str | None) -> apsw.Connection:
    """The file, once it is known to be a database of ringback's, or a new one."""
    if vfs is None:
        prepare_place(path)
        create_file(path)
    db = open_file(path, vfs)
    with closed_on_error(db):
        _check_owner(db, path)
        configure(db)
        if db.readonly("main"):
            raise ConfigurationError(f"{path} cannot be written: the file is read-only")
    return db


def _bring_up(db: apsw.Connection, path: Path, clock: Callable[[], int]) -> tuple[str, ...]:
    known, applied = _migrations(), _applied(db)
    _refuse_newer(applied, known, path)
    return tuple(name for name in known if name not in applied and _apply(db, name, known[name], clock()))


def _check_owner(db: apsw.Connection, path: Path) -> None:
    tables = db.execute("SELECT count(*) FROM sqlite_schema").get
    if tables and db.pragma("application_id") != APPLICATION_ID:
        raise ConfigurationError(f"{path} is a database of another application")


def _migrations() -> dict[str, str]:
    """Name to SQL, in order."""
    found = {
        one.name.removesuffix(".sql"): one.read_text("utf-8")
        for one in files(_PACKAGE).iterdir()
        if one.name.endswith(".sql")
    }
    return dict(sorted(found.items()))


def _applied(db: apsw.Connection) -> frozenset[str]:
    if not db.table_exists("main", "schema_migrations"):
        return frozenset()
    return frozenset(name for (name,) in fetch(db, "SELECT name FROM schema_migrations"))


def _refuse_newer(applied: frozenset[str], known: dict[str, str], path: Path) -> None:
    unknown = sorted(applied.difference(known))
    if unknown:
        raise ConfigurationError(
            f"{path} was made by a newer version of ringback (it has {unknown[-1]}); start that version"
        )


def _apply(db: apsw.Connection, name: str, sql: str, now: int) -> bool:
    """False where another process has applied it in the meantime."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(_LEDGER)
        if name in _applied(db):
            db.execute("ROLLBACK")
            return False
        db.execute(sql)
        db.execute("INSERT INTO schema_migrations VALUES (?, ?)", (name, now))
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return True
