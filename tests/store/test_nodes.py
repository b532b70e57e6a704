"""Nodes: each has a place of its own, and what the dead held is found and given back, nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ringback.store.port import Store
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, Clock, Tenant, a_tenant
from tests.store.conftest import Look

# Joins, leases two deliveries, says so, and then only lives.
_ANOTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from ringback.store.sqlite import SqliteStore

async def main(path, lane, now):
    store = await SqliteStore.open(Path(path))
    node = await store.join(now)
    claimed = await store.claim({lane: 2}, node, now)
    print(node.node_id, node.epoch, *(one.delivery_id for one in claimed.leased), flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


@contextmanager
def another_process(database: Path, lane: int, now: int) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    command = [sys.executable, "-c", _ANOTHER_PROCESS, str(database), str(lane), str(now)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, [int(word) for word in process.stdout.readline().split()]
        finally:
            process.kill()


async def test_nodes_that_live_have_places_of_their_own(store: Store, acme: Tenant) -> None:
    others = [await store.join(NOON) for _ in range(3)]
    assert len({node.node_id for node in (acme.node, *others)}) == 4
    await store.leave(others[1])
    again = await store.join(NOON)
    assert (again.node_id, again.epoch) == (others[1].node_id, others[1].epoch + 1)


async def test_a_node_that_lives_keeps_its_leases(store: Store, acme: Tenant) -> None:
    leased = await acme.sending()
    await store.heartbeat(acme.node, NOON + 10**9)
    assert await store.rescue(100) == 0
    assert await store.own_sending(acme.node) == {leased.delivery_id}


async def test_a_killed_process_is_found_dead_and_a_living_one_is_not(
    store: Store, acme: Tenant, database: Path
) -> None:
    waiting = {await acme.waiting() for _ in range(2)}
    own = await acme.sending()
    with another_process(database, acme.lane, NOON) as (process, (node_id, _, *leased)):
        assert node_id != acme.node.node_id
        assert set(leased) == waiting
        assert await store.rescue(100) == 0
        os.kill(process.pid, signal.SIGSTOP)
        assert await store.rescue(100) == 0
        process.kill()
        process.wait()
        assert await store.rescue(100) == 2
        assert (await store.join(NOON)).node_id == node_id
    assert [await acme.state(one) for one in (*waiting, own.delivery_id)] == ["queued", "queued", "sending"]
    assert (await store.due_lanes(NOON, 9)).due == (acme.lane,)
    again = await acme.claim()
    assert {one.delivery_id for one in again} == waiting
    assert {one.number for one in again} == {1}


async def test_a_place_taken_again_does_not_hide_what_its_dead_owner_held(
    store: Store, acme: Tenant, database: Path
) -> None:
    waiting = await acme.waiting()
    with another_process(database, acme.lane, NOON) as (process, (node_id, epoch, *_)):
        process.kill()
        process.wait()
    with another_process(database, acme.lanes[1], NOON) as (_, (next_id, next_epoch)):
        assert (next_id, next_epoch) == (node_id, epoch + 1)
        assert await store.rescue(100) == 1
    assert await acme.state(waiting) == "queued"


async def test_what_an_earlier_life_of_this_node_held_is_rescued_in_steps(
    acme: Tenant, database: Path, clock: Clock
) -> None:
    leased = [await acme.sending() for _ in range(5)]
    await acme.store.close()
    store = await SqliteStore.open(database, clock=clock)
    node = await store.join(NOON)
    assert (node.node_id, node.epoch) == (acme.node.node_id, acme.node.epoch + 1)
    assert await store.own_sending(node) == frozenset()
    assert [await store.rescue(2) for _ in range(4)] == [2, 2, 1, 0]
    claimed = await store.claim({acme.lane: 9}, node, NOON)
    assert [one.delivery_id for one in claimed.leased] == [one.delivery_id for one in leased]
    await store.close()


async def test_a_heartbeat_is_written(store: Store, acme: Tenant, look: Look) -> None:
    await store.heartbeat(acme.node, NOON + 77)
    assert look("SELECT seen_at, left_at FROM nodes WHERE node_id = ?", acme.node.node_id) == [
        (NOON + 77, None)
    ]
    await store.leave(acme.node)
    assert look("SELECT left_at FROM nodes WHERE node_id = ?", acme.node.node_id) == [(NOON,)]


async def test_two_stores_on_one_file_share_the_work(
    store: Store, acme: Tenant, database: Path, clock: Clock
) -> None:
    other = await SqliteStore.open(database, clock=clock)
    there = await a_tenant(other, clock, name="There")
    await acme.refresh()
    here_ids = [await acme.waiting() for _ in range(3)]
    there_ids = [await there.waiting() for _ in range(3)]
    assert len({*here_ids, *there_ids}) == 6
    quotas = dict.fromkeys((acme.lane, there.lane), 2)
    first = await store.claim(quotas, acme.node, NOON)
    second = await other.claim(quotas, there.node, NOON)
    claimed = [one.delivery_id for one in (*first.leased, *second.leased)]
    assert sorted(claimed) == sorted({*here_ids, *there_ids})
    await other.close()
    assert await store.rescue(9) == len(second.leased)
