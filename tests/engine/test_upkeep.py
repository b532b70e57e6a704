"""What a node does on the side: each step on a real store, and that a running node takes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Set
from pathlib import Path

import pytest

from ringback.engine.pace import Pace
from ringback.engine.upkeep import STEP, Upkeep
from ringback.errors import RingbackError, StoreUnavailable
from ringback.model import IntegrationState, Node
from ringback.people import IDLE_MS, Credentials, Role, new_session, new_user
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, Clock, Tenant, a_tenant, change, direct, queued
from tests.engine.node import a_node, requests
from tests.engine.staged import PATIENCE
from tests.zoo import Zoo

RESCUED_WITHIN_SECONDS = 15


@pytest.fixture
async def acme(database: Path) -> AsyncIterator[Tenant]:
    clock = Clock()
    store = await SqliteStore.open(database, clock=clock)
    yield await a_tenant(store, clock)
    await store.close()


def upkeep_of(
    store: SqliteStore,
    node: Node,
    known: Set[int] = frozenset(),
    away: Callable[[], None] = lambda: None,
) -> Upkeep:
    def failed(what: str, error: RingbackError) -> None:
        raise AssertionError(what) from error

    return Upkeep(
        store,
        node,
        known=lambda: known,
        freed=lambda: None,
        depth=lambda _: None,
        away=away,
        failed=failed,
        pace=Pace(),
    )


def sqlite(acme: Tenant) -> SqliteStore:
    assert isinstance(acme.store, SqliteStore)
    return acme.store


# ---------------------------------------------------------------- statistics


async def test_what_was_counted_is_folded_once_its_minute_is_over(acme: Tenant) -> None:
    upkeep = upkeep_of(sqlite(acme), acme.node)
    await acme.waiting()
    acme.clock.pass_ms(60_000)
    await acme.waiting()

    await upkeep.fold_statistics()

    assert await acme.store.fold_statistics(1, acme.clock()) == 0
    acme.clock.pass_ms(60_000)
    assert await acme.store.fold_statistics(1, acme.clock()) > 0


# ---------------------------------------------------------------- orphans


async def test_a_lease_that_memory_does_not_know_is_sent_back_when_it_is_seen_again(acme: Tenant) -> None:
    """Not the first time: between a commit and its hand-over every lease looks like that."""
    leased, upkeep = await acme.sending(), upkeep_of(sqlite(acme), acme.node)

    await upkeep.send_back_orphans()
    assert await acme.state(leased.delivery_id) == "sending"
    await upkeep.send_back_orphans()
    assert await acme.state(leased.delivery_id) == "queued"


async def test_a_lease_that_memory_knows_by_then_is_left_alone(acme: Tenant) -> None:
    leased, known = await acme.sending(), set[int]()
    upkeep = upkeep_of(sqlite(acme), acme.node, known)

    await upkeep.send_back_orphans()
    known.add(leased.delivery_id)
    await upkeep.send_back_orphans()
    known.clear()
    await upkeep.send_back_orphans()

    assert await acme.state(leased.delivery_id) == "sending", "only twice in a row counts"


# ---------------------------------------------------------------- rescue


async def test_one_rescue_sends_back_all_that_the_dead_held(acme: Tenant, database: Path) -> None:
    await acme.accept(*(acme.new(direct(acme.lane)) for _ in range(STEP + 10)))
    await acme.store.close()
    store = await SqliteStore.open(database, clock=acme.clock)
    node = await store.join(acme.clock())

    await upkeep_of(store, node).rescue()

    assert (await store.queue_depth(acme.clock())).queued == STEP + 10
    await store.close()


async def test_a_running_node_sends_what_another_died_with(database: Path, zoo: Zoo) -> None:
    async with a_node(database) as survivor:
        to = await survivor.integration(zoo.url("gate/a"))
        async with a_node(database) as dying:
            await dying.publish(to, "evt_1")
            await requests(zoo, 1, "gate/a")
        zoo.open_gate("a")
        (result,) = await survivor.watch.recorded(1)

        assert (result.leased.message.event_id, result.leased.number) == ("evt_1", 1)
        assert await requests(zoo, 2, "gate/a") == ["evt_1", "evt_1"]


def test_what_a_crash_interrupted_is_sent_again_in_time() -> None:
    pace = Pace()

    assert pace.rescue + pace.look < RESCUED_WITHIN_SECONDS
    assert 2 * pace.orphans + pace.look < RESCUED_WITHIN_SECONDS


# ---------------------------------------------------------------- heartbeat


async def test_a_heartbeat_says_when_the_database_cannot_commit(acme: Tenant) -> None:
    told: list[str] = []
    upkeep = upkeep_of(sqlite(acme), acme.node, away=lambda: told.append("away"))

    await upkeep.heartbeat()
    assert told == []
    await acme.store.close()
    with pytest.raises(StoreUnavailable):
        await upkeep.heartbeat()

    assert told == ["away"]


# ---------------------------------------------------------------- sessions


async def test_ended_sessions_and_old_counts_are_removed_and_others_stay(acme: Tenant) -> None:
    user = new_user(1, "ada@example.com", None, Role.OWNER, NOON)
    who = Credentials(user=user, password_hash="x")
    await acme.store.create_user(who, change())
    sessions = [new_session(number, 1, b"%d" % number, "", NOON + number) for number in (1, 2)]
    for session in sessions:
        await acme.store.sign_in(session, who, "", None, change("session.create"))
    await acme.store.begin_attempt("bob@example.com", "192.0.2.1", NOON)
    acme.clock.pass_ms(IDLE_MS + 1)

    await upkeep_of(sqlite(acme), acme.node).forget_sessions()

    found = [await acme.store.find_session(one.digest, NOON) for one in sessions]
    assert [one is None for one in found] == [True, False]
    assert await acme.store.forget_expired(acme.clock(), 1) == 0


# ---------------------------------------------------------------- cancellations


async def test_all_that_waits_for_a_deleted_integration_is_cancelled(acme: Tenant) -> None:
    waiting = [
        one.row_id + 1 for one in await acme.accept(*(acme.new(queued(acme.lane)) for _ in range(STEP + 10)))
    ]
    await acme.store.delete_integration(acme.id, acme.lane, change(at=acme.clock()))
    gone_at = acme.clock.pass_ms(50)

    await upkeep_of(sqlite(acme), acme.node).finish_cancellations()

    assert {(await acme.delivery(one)).finished_at for one in waiting} == {gone_at}


async def test_a_running_node_cancels_what_waits_for_a_deleted_integration(database: Path, zoo: Zoo) -> None:
    async with a_node(database) as node:
        to = await node.integration(zoo.url("ok"))
        paused = await node.set_state(to, IntegrationState.PAUSED)
        for _ in range(3):
            await node.publish(to)
        await node.delete(paused)

        async with asyncio.timeout(PATIENCE):
            while any(row.finished_at is None for row in await node.deliveries(to.business_id)):
                pass
        assert zoo.received == []
