"""A lease belongs to one life of one node: an earlier or a later one in the same place may not touch it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ringback.store.port import Store
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, Clock, Tenant, delivered
from tests.store.conftest import Look
from tests.store.test_rollups import recomputed, stored


async def test_a_later_life_cannot_use_the_leases_of_the_one_before(store: Store, acme: Tenant) -> None:
    leased = await acme.sending()
    await store.leave(acme.node)
    again = await store.join(NOON)
    assert (again.node_id, again.epoch) == (acme.node.node_id, acme.node.epoch + 1)

    assert await store.record([delivered(leased, NOON)], again) == frozenset()
    assert await store.release([leased.delivery_id], again) == 0
    assert await store.own_sending(acme.node) == {leased.delivery_id}


async def test_an_answer_that_reaches_an_earlier_life_counts_for_nobody(store: Store, acme: Tenant) -> None:
    leased = await acme.sending()
    await store.leave(acme.node)
    again = await store.join(NOON)
    assert await store.rescue(9) == 1
    (taken,) = (await store.claim({acme.lane: 9}, again, NOON)).leased
    assert (taken.delivery_id, taken.number) == (leased.delivery_id, leased.number)

    assert await store.record([delivered(leased, NOON)], acme.node) == frozenset()
    assert await store.release([leased.delivery_id], acme.node) == 0
    assert await acme.state(leased.delivery_id) == "sending"
    _, attempts = await store.get_delivery(acme.id, leased.delivery_id)
    assert attempts == ()
    assert await store.record([delivered(taken, NOON)], again) == {leased.delivery_id}


async def test_a_result_that_is_not_written_is_not_counted(store: Store, acme: Tenant, look: Look) -> None:
    leased, other = await acme.sending(), await acme.sending()
    assert await store.release([leased.delivery_id], acme.node) == 1

    assert await acme.record(delivered(leased, NOON), delivered(other, NOON)) == {other.delivery_id}

    assert stored(look) == recomputed(look)


async def test_a_child_process_does_not_keep_its_dead_parent_s_place(
    store: Store, acme: Tenant, database: Path, clock: Clock
) -> None:
    await acme.sending()
    # Every descriptor that may be passed on is passed on.
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        close_fds=False,
    )
    try:
        await store.close()
        other = await SqliteStore.open(database, clock=clock)
        await other.join(NOON)
        assert await other.rescue(9) == 1
        await other.close()
    finally:
        child.communicate(b"\n")
