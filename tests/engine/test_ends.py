"""A node's end, orderly or not: what was taken is finished, given back or rescued, and fenced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ringback.errors import StoreUnavailable, Unavailable
from ringback.model import DeliveryState, IntegrationState
from tests.engine.node import WholeNode, a_node, requests, until_at_rest
from tests.engine.staged import PATIENCE, Gate
from tests.zoo import Zoo

DELIVERED = DeliveryState.DELIVERED


async def test_a_drain_refuses_then_commits_then_finishes_what_was_sent_and_leaves_the_rest(
    node: WholeNode, zoo: Zoo
) -> None:
    to = await node.integration(zoo.url("gate/a"), max_concurrency=2)
    for number in range(5):
        await node.publish(to, f"evt_{number}")
    await requests(zoo, 2, "gate/a")
    gate = node.store.before["accept"] = Gate()
    last = asyncio.create_task(node.publish(to, "evt_last"))
    await gate.reached.wait()

    draining = asyncio.create_task(node.ingest.drain("stopping"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="stopping"):
        await node.publish(to, "evt_refused")
    assert not draining.done(), "what was taken before is still committed"
    gate.open.set()
    await draining
    assert (await last).deliveries == 1
    ending = asyncio.create_task(node.engine.drain(PATIENCE))
    await asyncio.sleep(0)
    zoo.open_gate("a")
    await ending

    assert await node.store.own_sending(node.lease) == frozenset()
    states = sorted(row.state for row in await node.deliveries(to.business_id))
    assert states == [DELIVERED] * 2 + [DeliveryState.QUEUED] * 4
    assert len(zoo.received) == 2


async def test_what_a_drain_cannot_wait_for_is_sent_by_the_next_node_under_the_same_number(
    database: Path, zoo: Zoo
) -> None:
    async with a_node(database) as node:
        to = await node.integration(zoo.url("gate/slow"))
        await node.publish(to, "evt_1")
        await requests(zoo, 1, "gate/slow")
        await node.engine.drain(0)
        assert await node.store.own_sending(node.lease) == frozenset()
    zoo.open_gate("slow")
    async with a_node(database) as later:
        (result,) = await later.watch.recorded(1)

        assert (result.leased.message.event_id, result.leased.number) == ("evt_1", 1)
        assert [row.attempts for row in await later.deliveries(to.business_id)] == [1]
    assert await requests(zoo, 2, "gate/slow") == ["evt_1", "evt_1"]


async def test_a_drain_ends_though_the_database_is_away_and_the_next_start_rescues(
    database: Path, zoo: Zoo
) -> None:
    async with a_node(database) as node:
        to = await node.integration(zoo.url("gate/away"))
        for number in range(8):
            await node.publish(to, f"evt_{number}")
        await asyncio.to_thread(zoo.wait_for, 8)

        async def stay_away() -> None:
            node.store.before["release"] = stay_away
            raise StoreUnavailable("the database cannot be used now")

        node.store.before["release"] = stay_away
        async with asyncio.timeout(PATIENCE):
            await node.engine.drain(0)
        assert len(await node.store.own_sending(node.lease)) == 8
    zoo.open_gate("away")
    async with a_node(database) as later:
        results = await later.watch.recorded(8)

        assert {result.leased.number for result in results} == {1}
        rows = await later.deliveries(to.business_id)
        assert [(row.state, row.attempts) for row in rows] == [(DELIVERED, 1)] * 8


async def test_what_a_dead_node_was_sending_is_rescued_without_using_up_an_attempt(
    database: Path, zoo: Zoo
) -> None:
    async with a_node(database) as dying:
        to = await dying.integration(zoo.url("gate/dead"))
        await dying.publish(to, "evt_1")
        await requests(zoo, 1, "gate/dead")
    zoo.open_gate("dead")
    async with a_node(database) as rescuer:
        (result,) = await rescuer.watch.recorded(1)

        assert (result.leased.message.event_id, result.leased.number) == ("evt_1", 1)
        assert [row.attempts for row in await rescuer.deliveries(to.business_id)] == [1]


async def test_a_rescued_delivery_s_first_node_can_record_nothing_more(database: Path, zoo: Zoo) -> None:
    """Fencing: the answer that comes after the lease was given back counts for nobody."""
    async with a_node(database) as node:
        to = await node.integration(zoo.url("gate/fenced"), max_concurrency=1)
        await node.publish(to, "evt_1")
        await requests(zoo, 1, "gate/fenced")
        (row,) = await node.deliveries(to.business_id)
        await node.set_state(to, IntegrationState.PAUSED)
        assert await node.store.release([row.delivery_id], node.lease) == 1

        zoo.open_gate("fenced")
        await node.watch.until(lambda: bool(node.watch.unrecorded))

        assert [(row.state, row.attempts) for row in await node.deliveries(to.business_id)] == [("held", 0)]
        assert node.watch.metrics.unrecorded == 1
        await until_at_rest(node)
