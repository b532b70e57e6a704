"""A full disk, a failing disk, a job that fails beside others: what was promised holds."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from ringback.errors import Conflict, StoreBroken, StoreUnavailable
from ringback.store.port import EventFilter, NewBusiness, Store
from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.connection import configure, open_file
from ringback.store.sqlite.transaction import Committer, Transaction
from tests.builders import NOON, Clock, Tenant, a_tenant, change, delivered, queued

# ---------------------------------------------------------------- a full disk


async def fill_up(store: Store, spare_pages: int = 0) -> None:
    def limit(tx: Transaction) -> None:
        tx.db.pragma("max_page_count", tx.db.pragma("page_count") + spare_pages)

    await store._db.write(limit)  # type: ignore[attr-defined]


async def accept_until_full(acme: Tenant) -> int:
    accepted = 0
    while True:
        try:
            await acme.accept(acme.new(queued(acme.lane), data=b"x" * 9_000))
        except StoreUnavailable:
            return accepted
        accepted += 1


async def test_a_full_disk_refuses_and_loses_nothing(store: Store, acme: Tenant) -> None:
    leased = [await acme.sending() for _ in range(3)]
    await fill_up(store, spare_pages=30)
    accepted = 3 + await accept_until_full(acme)
    assert 3 < accepted < 1_000
    with pytest.raises(StoreUnavailable):
        await acme.record(*(delivered(one, NOON, body=b"x" * 16_000) for one in leased))
    assert await store.own_sending(acme.node) == {one.delivery_id for one in leased}
    events = await store.list_events(acme.id, EventFilter(), 1_000, None)
    assert len(events.items) == accepted
    await fill_up(store, spare_pages=100_000)
    assert await acme.record(*(delivered(one, NOON, body=b"x" * 16_000) for one in leased)) != frozenset()
    await acme.accept(acme.new(queued(acme.lane)))


async def test_a_full_disk_is_no_poison(store: Store, acme: Tenant) -> None:
    await fill_up(store)
    publishes = [(acme.new(queued(acme.lane), data=b"x" * 50_000),) for _ in range(4)]
    with pytest.raises(StoreUnavailable):
        await acme.accept_all(*publishes)
    with pytest.raises(StoreUnavailable):
        await acme.accept_all((acme.new(event_type="\ud800"),), *publishes)


# ---------------------------------------------------------------- a failing disk


class FailingDisk(apsw.VFS):
    """A disk whose fsync can be told to fail."""

    def __init__(self) -> None:
        self.failing = False
        super().__init__("failing-disk", "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._disk.failing:
            raise apsw.IOError("fsync failed")
        super().xSync(flags)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk()
    yield disk
    disk.unregister()


async def test_after_a_failed_fsync_the_store_is_broken_and_says_so_once(
    disk: FailingDisk, database: Path, clock: Clock
) -> None:
    heard: list[StoreBroken] = []
    store = await SqliteStore.open(
        database, clock=clock, inline=True, vfs="failing-disk", on_broken=heard.append
    )
    acme = await a_tenant(store, clock)
    await acme.waiting()
    disk.failing = True
    for _ in range(2):
        with pytest.raises(StoreBroken, match="unknown"):
            await acme.waiting()
    disk.failing = False
    with pytest.raises(StoreBroken):
        await acme.waiting()
    assert len(heard) == 1
    await store.close()
    again = await SqliteStore.open(database, clock=clock)
    assert (await again.queue_depth(NOON)).queued in (1, 2)
    await again.close()


async def test_a_disk_that_fails_at_the_close_harms_nobody(
    disk: FailingDisk, database: Path, clock: Clock
) -> None:
    store = await SqliteStore.open(database, clock=clock, inline=True, vfs="failing-disk")
    acme = await a_tenant(store, clock)
    await acme.waiting()
    disk.failing = True
    await store.close()
    again = await SqliteStore.open(database, clock=clock)
    assert (await again.queue_depth(NOON)).queued == 1
    await again.close()


# ---------------------------------------------------------------- a file that went away


def delete(path: Path) -> None:
    path.unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def put_another_in_its_place(path: Path) -> None:
    other = path.with_name("other.db")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def delete_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("take_away", [delete, move, put_another_in_its_place, delete_the_folder])
async def test_a_file_that_is_no_longer_there_breaks_the_store_at_the_next_heartbeat(
    tmp_path: Path, clock: Clock, take_away: Callable[[Path], None], inline: bool
) -> None:
    heard: asyncio.Queue[StoreBroken] = asyncio.Queue()
    path = tmp_path / "data" / "ringback.db"
    store = await SqliteStore.open(path, clock=clock, inline=inline, on_broken=heard.put_nowait)
    acme = await a_tenant(store, clock)
    await store.heartbeat(acme.node, NOON)
    take_away(path)
    with pytest.raises(StoreBroken, match="moved or deleted"):
        await store.heartbeat(acme.node, NOON)
    assert "moved or deleted" in str(await heard.get())
    with pytest.raises(StoreBroken):
        await acme.waiting()
    await store.close()
    assert heard.empty()


# ---------------------------------------------------------------- jobs that share a commit


class Commits:
    """A committer on a file of its own, and how often it has committed."""

    def __init__(self, path: Path) -> None:
        self.db = open_file(path)
        configure(self.db)
        self.db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY) STRICT")
        self.committer = Committer(self.db)
        self.count = 0
        self.db.set_commit_hook(self._counted)

    def _counted(self) -> bool:
        self.count += 1
        return False

    @property
    def rows(self) -> list[Any]:
        return [row[0] for row in self.db.execute("SELECT a FROM t ORDER BY a").fetchall()]


@pytest.fixture
def commits(tmp_path: Path) -> Iterator[Commits]:
    opened = Commits(tmp_path / "commits.db")
    yield opened
    opened.db.close()


def writing(value: Any) -> Any:
    def job(tx: Transaction) -> Any:
        tx.db.execute("INSERT INTO t VALUES (?)", (value,))
        return value

    return job


def refusing(tx: Transaction) -> None:
    tx.db.execute("INSERT INTO t VALUES (99)")
    raise Conflict("no")


def test_jobs_that_wait_together_share_one_commit(commits: Commits) -> None:
    settled = commits.committer.settle([writing(n) for n in range(10)])
    assert [one.value for one in settled] == list(range(10))
    assert commits.count == 1
    assert commits.rows == list(range(10))


def test_who_refuses_before_writing_costs_the_others_nothing(commits: Commits) -> None:
    def unwilling(tx: Transaction) -> None:
        raise Conflict(f"no, and {tx.alone}")

    settled = commits.committer.settle([writing(1), unwilling, unwilling, writing(2)])
    assert [str(one.error) for one in settled] == ["None", "no, and False", "no, and False", "None"]
    assert commits.count == 1
    assert commits.rows == [1, 2]


@pytest.mark.parametrize("bad", [refusing, writing("text"), writing(1)])
def test_one_job_s_failure_is_only_its_own(commits: Commits, bad: Any) -> None:
    settled = commits.committer.settle([writing(1), bad, writing(2)])
    assert [one.value for one in settled] == [1, None, 2]
    assert [one.error is None for one in settled] == [True, False, True]
    assert commits.rows == [1, 2]


async def test_a_failing_verb_beside_good_ones(store: Store, acme: Tenant) -> None:
    await store.create_business(NewBusiness(name="A", external_id="x"), change())
    await acme.refresh()
    good, bad, also_good = await asyncio.gather(
        acme.waiting(),
        store.create_business(NewBusiness(name="B", external_id="x"), change()),
        acme.waiting(),
        return_exceptions=True,
    )
    assert isinstance(bad, Conflict)
    assert (await store.queue_depth(NOON)).queued == 2
    assert good != also_good


async def test_a_broken_store_is_reported_once_on_the_loop(database: Path, clock: Clock) -> None:
    heard: asyncio.Queue[StoreBroken] = asyncio.Queue()
    store = await SqliteStore.open(database, clock=clock, on_broken=heard.put_nowait)

    def damaged(_tx: Transaction) -> None:
        raise apsw.CorruptError("database disk image is malformed")

    for _ in range(2):
        with pytest.raises(StoreBroken, match="damaged"):
            await store._db.write(damaged)
    assert "malformed" in str(await heard.get())
    with pytest.raises(StoreBroken):
        await store.join(NOON)
    await store.close()
    assert heard.empty()


async def test_a_caller_that_went_away_takes_nothing_with_it(store: Store, acme: Tenant) -> None:
    going = asyncio.create_task(acme.waiting(event_id="evt_gone"))
    await asyncio.sleep(0)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    await acme.waiting()
    assert (await store.queue_depth(NOON)).queued == 2


async def test_a_closed_store_says_so(store: Store, acme: Tenant) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await acme.waiting()
    await store.close()


# ---------------------------------------------------------------- the write-ahead log


async def test_the_log_is_brought_back_beside_readers(store: Store, acme: Tenant, database: Path) -> None:
    log = database.with_name("ringback.db-wal")
    for _ in range(40):
        await acme.accept(*(acme.new(data=b"x" * 60_000) for _ in range(30)))
        await store.list_events(acme.id, EventFilter(), 1, None)
    assert log.stat().st_size < 40 * 2**20
    assert database.stat().st_size > 40 * 2**20


async def test_a_reader_that_stays_does_not_stop_the_writer(
    store: Store, acme: Tenant, database: Path
) -> None:
    staying = apsw.Connection(str(database))
    staying.execute("BEGIN")
    assert staying.execute("SELECT count(*) FROM events").get == 0
    for _ in range(12):
        await acme.accept(*(acme.new(data=b"x" * 60_000) for _ in range(30)))
    assert staying.execute("SELECT count(*) FROM events").get == 0
    staying.close()
    for _ in range(12):
        await acme.accept(*(acme.new(data=b"x" * 60_000) for _ in range(30)))
    assert (await store.get_event(acme.id, "evt_1_1"))[0].data == b"x" * 60_000
