"""What may be opened, what is refused with a clear sentence, and what migrations do."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

import apsw
import pytest

from ringback.errors import ConfigurationError
from ringback.store.sqlite import SqliteStore, migrate
from ringback.store.sqlite.connection import file_system_of
from tests.builders import NOON, Clock, Tenant
from tests.store.conftest import Look

_FILES = files("ringback.store.migrations.sqlite").iterdir()
MIGRATIONS = tuple(sorted(one.name.removesuffix(".sql") for one in _FILES if one.name.endswith(".sql")))


async def refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as error:
        await SqliteStore.open(path)
    return str(error.value)


async def test_a_new_file_is_made_with_its_folder(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "new" / "folder" / "ringback.db"
    store = await SqliteStore.open(path, clock=clock)
    await store.close()
    assert path.is_file()
    assert migrate(path, clock) == ()


async def test_an_empty_file_becomes_a_database(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    assert migrate(path, clock) == MIGRATIONS


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n" * 500)
    assert await refused(path) == f"{path} is not a SQLite database"
    assert path.read_text() == "buy milk\n" * 500


async def test_a_database_of_another_application(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE recipes (name)")
    other.close()
    before = path.read_bytes()
    assert await refused(path) == f"{path} is a database of another application"
    assert path.read_bytes() == before


async def test_what_is_refused_is_not_kept_open(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy milk\n" * 500)
    gc.disable()
    try:
        with pytest.raises(ConfigurationError) as refusal:
            await SqliteStore.open(path)
        # The error still knows the frames, and they whatever was opened in them.
        assert str(path) not in open_files()
    finally:
        gc.enable()
    assert refusal.value.__traceback__ is not None


def open_files() -> set[str]:
    return {os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.is_symlink()}


async def test_a_database_of_a_newer_version(database: Path, acme: Tenant, look: Look) -> None:
    await acme.store.close()
    look("INSERT INTO schema_migrations VALUES ('9999_later', 0)")
    assert "newer version of ringback (it has 9999_later)" in await refused(database)
    assert look("SELECT count(*) FROM businesses") == [(1,)]


async def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "is a directory" in await refused(tmp_path)


async def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in await refused(tmp_path / "file" / "ringback.db")


async def test_a_database_that_is_cut_short(database: Path, acme: Tenant) -> None:
    await acme.store.close()
    with database.open("r+b") as file:
        file.truncate(5_000)
    assert str(database) in await refused(database)


_OPEN_AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from ringback.errors import ConfigurationError
from ringback.store.sqlite import SqliteStore, migrate

migrate(Path(sys.argv[2]), lambda: 0)  # import everything while we may read it
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    asyncio.run(SqliteStore.open(Path(sys.argv[1])))
except ConfigurationError as error:
    print(error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that others may enter: pytest's are their owner's, and each session that starts sees to that."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("read_only", ["file", "folder"])
def test_a_read_only_file_or_folder(open_folder: Path, read_only: str) -> None:
    """Root may write anywhere: the opening is done by a process that is not root."""
    place = open_folder / "data"
    place.mkdir()
    path = place / "ringback.db"
    migrate(path, Clock())
    path.chmod(0o444)
    place.chmod(0o777 if read_only == "file" else 0o555)
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_AS_NOBODY, str(path), str(open_folder / "other.db")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    assert done.stdout.startswith(f"{path} cannot be"), done.stderr
    assert "read" in done.stdout


def test_two_that_start_together_migrate_once(tmp_path: Path) -> None:
    path = tmp_path / "ringback.db"
    both_have_looked = Barrier(2)

    def clock() -> int:
        both_have_looked.wait(timeout=30)
        return NOON

    with ThreadPoolExecutor(2) as threads:
        applied = threads.map(lambda _: migrate(path, clock), range(2))
    assert sorted(name for names in applied for name in names) == list(MIGRATIONS)


def test_the_file_system_is_the_innermost_mount_s(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\nserver:/home /home nfs4 rw 0 0\n/dev/sdb1 /home/fast\\040disk xfs rw 0 0\n"
    )
    places = {
        "/var/lib/ringback": "ext4",
        "/homes": "ext4",
        "/home/me": "nfs4",
        "/home/fast disk/data": "xfs",
    }
    assert {place: file_system_of(Path(place), mounts) for place in places} == places
    assert file_system_of(Path("/"), tmp_path / "missing") == ""


async def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ringback.store.sqlite import connection

    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path.resolve()} nfs4 rw 0 0\n")
    monkeypatch.setattr(connection, "MOUNTS", mounts)
    assert "network file system (nfs4)" in await refused(tmp_path / "ringback.db")
