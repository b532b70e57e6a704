"""Two that write to one database: each gets its turn, and one that is stuck does not hang the other."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from ringback.errors import StoreUnavailable
from ringback.match import EMPTY
from ringback.store.port import Store
from ringback.store.sqlite import SqliteStore, threads
from tests.builders import NOON, Clock, Tenant
from tests.store.conftest import Look

# Takes its turn, says so, and keeps it.
_IN_ITS_TURN = """
import sys, time
from pathlib import Path
from ringback.store.sqlite.turn import Turn

with Turn(Path(sys.argv[1])).taken():
    print("mine", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(database: Path) -> Path:
    return database.with_name("ringback.db-nodes")


@contextmanager
def another_in_its_turn(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _IN_ITS_TURN, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "mine\n"
            yield process
        finally:
            process.kill()


@contextmanager
def turn_kept(folder: Path) -> Iterator[None]:
    lock = os.open(folder / "writer.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


async def until_awaited(folder: Path) -> None:
    """The kernel lists who waits for a lock with an arrow."""
    inode = f":{(folder / 'writer.lock').stat().st_ino} "
    async with asyncio.timeout(10):
        while not any(
            "->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines()
        ):
            await asyncio.sleep(0)


def commits_in(log: Path) -> int:
    """Frames of the write-ahead log that end a transaction; it was not brought back into the file since."""
    raw, frame = log.read_bytes(), 24 + 4096
    salt = raw[16:24]
    frames = [raw[at : at + 24] for at in range(32, len(raw), frame)]
    return sum(one[8:16] == salt and one[4:8] != bytes(4) for one in frames)


async def test_who_commits_all_the_time_does_not_starve_the_other(
    store: Store, acme: Tenant, database: Path, clock: Clock
) -> None:
    other = await SqliteStore.open(database, clock=clock)
    node = await other.join(NOON)
    busy, stop = 0, asyncio.Event()

    async def commit_all_the_time() -> None:
        nonlocal busy
        while not stop.is_set():
            await asyncio.gather(*(store.heartbeat(acme.node, NOON) for _ in range(3)))
            busy += 1

    committing = [asyncio.create_task(commit_all_the_time()) for _ in range(4)]
    passed = []
    for _ in range(200):
        before = busy
        await other.heartbeat(node, NOON)
        passed.append(busy - before)
    stop.set()
    await asyncio.gather(*committing)
    await other.close()
    assert max(passed) < 40


async def test_what_comes_while_the_turn_is_awaited_goes_along_in_one_commit(
    store: Store, acme: Tenant, database: Path, folder: Path
) -> None:
    log = database.with_name("ringback.db-wal")
    with turn_kept(folder):
        before = commits_in(log)
        beats = [asyncio.create_task(store.heartbeat(acme.node, NOON + 1))]
        await until_awaited(folder)
        beats += [asyncio.create_task(store.heartbeat(acme.node, NOON + number)) for number in range(2, 20)]
        await asyncio.sleep(0)
    await asyncio.gather(*beats)
    assert commits_in(log) - before == 1


async def test_a_process_that_is_killed_in_its_turn_hands_it_on(
    store: Store, acme: Tenant, folder: Path
) -> None:
    with another_in_its_turn(folder) as process:
        beat = asyncio.create_task(store.heartbeat(acme.node, NOON + 5))
        await until_awaited(folder)
        assert not beat.done()
        process.kill()
        await beat


async def test_a_turn_that_does_not_come_is_an_error_and_what_was_given_up_is_never_written(
    store: Store, acme: Tenant, folder: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "TURN_SECONDS", 0.1)
    with another_in_its_turn(folder) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(StoreUnavailable, match="another process has kept the database to itself"):
            await store.heartbeat(acme.node, NOON + 5)
        assert (await store.snapshot(EMPTY)).version == acme.version, "readers go on"
    await store.heartbeat(acme.node, NOON + 6)
    assert look("SELECT seen_at FROM nodes") == [(NOON + 6,)]


async def test_what_only_this_process_keeps_waiting_is_waited_for(
    store: Store, acme: Tenant, database: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "TURN_SECONDS", 0.02)
    # A program that knows nothing of turns: its lock is waited for by SQLite, in the turn.
    stranger = apsw.Connection(str(database))
    stranger.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(store.heartbeat(acme.node, NOON + 1))
    second = asyncio.create_task(store.heartbeat(acme.node, NOON + 2))
    done, _ = await asyncio.wait((first, second), timeout=0.2)
    assert not done
    stranger.execute("ROLLBACK")
    stranger.close()
    await asyncio.gather(first, second)
    assert look("SELECT seen_at FROM nodes") == [(NOON + 2,)]


async def test_a_store_closes_though_its_turn_never_comes(
    database: Path, acme: Tenant, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await SqliteStore.open(database, clock=clock)
    node = await other.join(NOON)
    monkeypatch.setattr(threads, "TURN_SECONDS", 0.1)
    with turn_kept(folder):
        with pytest.raises(StoreUnavailable):
            await other.leave(node)
        await other.close()
    assert (await acme.store.join(NOON)).node_id == node.node_id, "its lock is free"


async def test_a_folder_that_cannot_be_had_costs_the_courtesy_and_nothing_else(
    database: Path, clock: Clock
) -> None:
    database.with_name("ringback.db-nodes").write_text("in the way")
    store = await SqliteStore.open(database, clock=clock)
    assert await store.finish_cancellations(1, NOON) == 0
    await store.close()
