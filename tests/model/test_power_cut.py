"""The disk itself: it loses what a careless database left unsynced, and nothing of a careful one's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import apsw
import pytest

from ringback.store.sqlite.connection import configure, open_file
from tests.model.power_cut import SECTOR, Disk, Moment

PATH = Path("/nowhere/numbers.db")
SEEDS = range(30)


@contextmanager
def switched_on_disk() -> Iterator[Disk]:
    disk = Disk("test-disk")
    try:
        yield disk
    finally:
        disk.unregister()


@pytest.fixture
def disk() -> Iterator[Disk]:
    with switched_on_disk() as disk:
        yield disk


def opened(synchronous: str) -> apsw.Connection:
    db = open_file(PATH, "test-disk")
    configure(db)
    db.pragma("synchronous", synchronous)
    return db


def numbers(db: apsw.Connection) -> list[int]:
    return [one for (one,) in db.execute("SELECT n FROM numbers ORDER BY n")]


def acknowledged_until_the_cut(db: apsw.Connection) -> int:
    """How many inserts, each in its own transaction, were acknowledged."""
    for number in range(1, 1_000):
        try:
            db.execute("INSERT INTO numbers VALUES (?, zeroblob(3000))", (number,))
        except apsw.IOError:
            return number - 1
    raise AssertionError("the power never went")


def end(db: apsw.Connection) -> None:
    with suppress(apsw.IOError):
        db.close()


def loses(synchronous: str, seed: int) -> bool:
    """Whether acknowledged rows are gone, or the file is damaged, after a cut at some moment."""
    dice = Random(seed)
    with switched_on_disk() as disk:
        db = opened(synchronous)
        db.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, filling)")
        disk.sync()
        disk.switch_off_at(Moment.AFTER_CHANGE, dice.randrange(1, 60))
        acknowledged = acknowledged_until_the_cut(db)
        end(db)
        disk.lose_power(dice)
        disk.switch_on()
        return not kept(acknowledged)


def kept(acknowledged: int) -> bool:
    """The insert that the power went in may be there too."""
    db = opened("full")
    try:
        found, health = numbers(db), db.pragma("integrity_check")
    except apsw.CorruptError:
        return False
    finally:
        db.close()
    return health == "ok" and len(found) - acknowledged in (0, 1) and found == [*range(1, len(found) + 1)]


@pytest.mark.parametrize("synchronous", ["off", "normal"])
def test_a_database_that_does_not_sync_its_commits_loses_some(synchronous: str) -> None:
    assert any(loses(synchronous, seed) for seed in SEEDS)


def test_a_database_that_syncs_its_commits_loses_nothing() -> None:
    assert not any(loses("full", seed) for seed in SEEDS)


def test_the_old_handles_stay_dead_after_a_cut(disk: Disk) -> None:
    db = opened("full")
    db.execute("CREATE TABLE numbers (n)")
    disk.lose_power(Random(0))
    for switched_on in (False, True):
        if switched_on:
            disk.switch_on()
        with pytest.raises(apsw.IOError):
            db.execute("INSERT INTO numbers VALUES (1)")
    end(db)
    again = opened("full")
    assert numbers(again) == []
    again.close()


def test_what_a_killed_process_wrote_is_there_without_a_sync(disk: Disk) -> None:
    db = opened("off")
    db.execute("CREATE TABLE numbers (n); INSERT INTO numbers VALUES (1)")
    disk.switch_off()
    end(db)
    disk.switch_on()
    again = opened("full")
    assert numbers(again) == [1]
    again.close()


def test_a_torn_write_keeps_whole_sectors(disk: Disk) -> None:
    flags = [apsw.SQLITE_OPEN_MAIN_DB, 0]
    seen = set()
    for seed in SEEDS:
        path = f"/nowhere/{seed}"
        file = disk.xOpen(path, flags)
        file.xWrite(b"a" * 4 * SECTOR, 0)
        file.xSync(0)
        disk.sync_folder()
        file.xWrite(b"b" * 2 * SECTOR, SECTOR // 2)
        disk.lose_power(Random(seed))
        disk.switch_on()
        seen.add(bytes(disk.image[path]))
    assert {content.count(b"b") for content in seen} >= {0, SECTOR // 2, SECTOR, 2 * SECTOR}
    assert all(len(content) == 4 * SECTOR for content in seen)


def test_a_name_is_only_certain_once_its_folder_is_synced(disk: Disk) -> None:
    left = set()
    for seed in SEEDS:
        path = f"/nowhere/{seed}"
        disk.xOpen(path, [apsw.SQLITE_OPEN_MAIN_DB, 0]).xSync(0)
        disk.lose_power(Random(seed))
        disk.switch_on()
        left.add(path in disk.image)
    assert left == {True, False}
