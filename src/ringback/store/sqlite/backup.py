"""A copy of the database as it is at one moment, made while others write.

Pages are copied in the order of the file within one read transaction: a writer never waits for it, and what
is written meanwhile stays in the write-ahead log until the copy is made.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw

from ringback.errors import ConfigurationError, StoreBroken, StoreUnavailable
from ringback.store.sqlite.connection import APPLICATION_ID, BUSY_MS, store_error

_PAGES_PER_STEP = 4_096


def back_up(database: Path, target: Path) -> int:
    """Write a new file, whole or not at all; its size in bytes.

    Raises ConfigurationError, where the file is there already too, and StoreUnavailable.
    """
    _refuse_existing(target)
    with _explained(database), closing(_open(database)) as source, _beside(target) as partial:
        _copy(source, partial)
        _sync(partial)
        size = partial.stat().st_size
        _refuse_existing(target)
        partial.rename(target)
        _sync(target.parent)
    return size


def _refuse_existing(target: Path) -> None:
    try:
        is_there = target.exists() or target.is_symlink()
    except OSError as error:
        raise ConfigurationError(f"{target}: {error.strerror}") from error
    if is_there:
        raise ConfigurationError(f"{target} is there already, and a backup overwrites nothing")


@contextmanager
def _explained(database: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"the copy could not be written: {error.strerror}") from error
    except apsw.FullError as error:
        raise StoreUnavailable("the copy could not be written: the disk is full") from error
    except apsw.NotADBError as error:
        raise ConfigurationError(f"{database} is not a SQLite database") from error
    except apsw.Error as error:
        raise store_error(error) or StoreBroken(f"the copy failed: {error}") from error


def _open(database: Path) -> apsw.Connection:
    """To read; the file stays as it is, whoever made it."""
    db = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    db.set_busy_timeout(BUSY_MS)
    if db.pragma("application_id") != APPLICATION_ID:
        db.close()
        raise ConfigurationError(f"{database} is not a database of ringback")
    return db


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A file in the target's place under another name, nobody else's to read; gone unless it was renamed."""
    try:
        handle, name = tempfile.mkstemp(prefix=f"{target.name}.", suffix=".partial", dir=target.parent)
    except OSError as error:
        raise ConfigurationError(f"{target.parent}: {error.strerror}") from error
    os.close(handle)
    try:
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _copy(source: apsw.Connection, partial: Path) -> None:
    source.execute("BEGIN")
    # The moment of the copy: a transaction begins with its first look.
    source.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    # A file that nobody knows needs no locks, and one that is thrown away at any fault needs no journal.
    with closing(apsw.Connection(str(partial), vfs="unix-none")) as copy:
        copy.pragma("journal_mode", "off")
        copy.pragma("synchronous", "off")
        with copy.backup("main", source, "main") as pages:
            while not pages.done:
                pages.step(_PAGES_PER_STEP)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
