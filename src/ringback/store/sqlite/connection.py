"""Opening the database file: what it must be, how it is set, and what its errors mean."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from ringback.errors import ConfigurationError, Poisoned, StoreBroken, StoreError, StoreUnavailable

APPLICATION_ID = 0x52424B31
BUSY_MS = 5_000
_STATEMENTS = 500
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
_log = logging.getLogger(__name__)
_OCTAL = re.compile(r"\\([0-7]{3})")
MOUNTS = Path("/proc/mounts")
_NETWORK_FILE_SYSTEMS = (
    "nfs",
    "cifs",
    "smb",
    "ceph",
    "afs",
    "fuse.sshfs",
    "fuse.s3fs",
    "glusterfs",
    "lustre",
)

# What a request's own data can cause: the fault goes with the request, not with the database.
DATA_ERRORS = (
    apsw.ConstraintError,
    apsw.TooBigError,
    apsw.MismatchError,
    OverflowError,
    UnicodeError,
    TypeError,
)
_TRY_LATER = (
    apsw.FullError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.NoMemError,
    apsw.PermissionsError,
    apsw.IOError,
)
_BROKEN = (apsw.CorruptError, apsw.NotADBError)


def create_file(path: Path) -> None:
    """Payloads are in it: nobody else's to read. SQLite gives its log and index the same mode."""
    # What cannot be made is explained when it is opened.
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def open_file(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that has changed nothing yet. With a `vfs` of one's own it is the only one on the file."""
    db = apsw.Connection(str(path), flags=_FLAGS, vfs=vfs, statementcachesize=_STATEMENTS)
    with closed_on_error(db):
        db.set_busy_timeout(BUSY_MS)
        if vfs is not None:
            db.pragma("locking_mode", "exclusive")
    return db


@contextmanager
def closed_on_error(db: apsw.Connection) -> Iterator[None]:
    """Whoever does not get the connection cannot close it."""
    try:
        yield
    except BaseException:
        close(db)
        raise


def close(db: apsw.Connection) -> None:
    """A disk that fails here takes nothing with it: what was committed is in the log already."""
    try:
        db.close()
    except apsw.Error as error:
        _log.warning("the database was not closed cleanly: %s", error)


def configure(db: apsw.Connection, cache_kib: int = 65_536) -> None:
    """This store's settings. Raises ConfigurationError."""
    db.pragma("page_size", 4096)
    if db.pragma("journal_mode", "wal") != "wal":
        raise ConfigurationError("this file system does not support SQLite's write-ahead log")
    db.pragma("synchronous", "full")
    db.pragma("wal_autocheckpoint", 0)
    db.pragma("cache_size", -cache_kib)
    db.pragma("temp_store", "memory")


def connect_reader(path: Path) -> apsw.Connection:
    db = open_file(path)
    with closed_on_error(db):
        configure(db, cache_kib=16_384)
        db.pragma("query_only", 1)
    return db


def store_error(error: Exception) -> StoreError | None:
    """What an error outside of a commit means; None where it is not about the database or its data."""
    if isinstance(error, _TRY_LATER):
        return StoreUnavailable(f"the database cannot be used now: {error}")
    if isinstance(error, _BROKEN):
        return StoreBroken(f"the database file is damaged: {error}")
    if isinstance(error, DATA_ERRORS):
        return Poisoned(f"the database refuses this data ({type(error).__name__})")
    return None


def commit_error(error: apsw.Error) -> StoreError:
    """After an I/O error in a commit nobody knows whether it happened."""
    if isinstance(error, apsw.IOError):
        return StoreBroken(f"the state of the last commit is unknown: {error}")
    return store_error(error) or StoreBroken(f"the commit failed: {error}")


def prepare_place(path: Path) -> None:
    """The directory that the file lives in, made where it is missing. Raises ConfigurationError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(f"{path.parent}: {error.strerror}") from error
    if path.is_dir():
        raise ConfigurationError(f"{path} is a directory, not a database file")
    kind = file_system_of(path.parent.resolve(), MOUNTS)
    if kind.startswith(_NETWORK_FILE_SYSTEMS):
        raise ConfigurationError(
            f"{path} is on a network file system ({kind}), "
            "where SQLite's locks cannot be trusted; use a local disk"
        )


def file_system_of(place: Path, mounts: Path) -> str:
    """The type of the file system that `place` is on; empty where the machine does not say."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    found, kind = Path("/"), ""
    for line in lines:
        _, point, fs_type, *_ = line.split(" ")
        mounted = Path(_OCTAL.sub(lambda escape: chr(int(escape[1], 8)), point))
        if place.is_relative_to(mounted) and mounted.is_relative_to(found):
            found, kind = mounted, fs_type
    return kind
