"""Slots on a whole node: whatever goes wrong, each one comes back, and never sooner than it may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ringback.engine.lanes import Lanes
from ringback.errors import StoreUnavailable, Unavailable
from ringback.model import IntegrationState, Outcome
from ringback.send import Request, Sender
from ringback.store.sqlite.transaction import Transaction
from tests.engine.node import WholeNode, a_node, requests, until_at_rest
from tests.engine.staged import PATIENCE
from tests.zoo import Zoo


def test_a_claim_asks_for_no_more_than_the_window_has_left() -> None:
    now, lanes = 1_000_000, Lanes(window=10)
    lanes.know_backlogs(())
    assert all(lanes.take(9, 4, now) for _ in range(4))
    for lane_id in (1, 2, 3):
        lanes.queue_behind(lane_id)

    grant = lanes.grant(lambda _: 10, now)

    assert grant is not None
    assert sum(grant.quotas.values()) == 6
    assert lanes.window_in_use == 10


@pytest.mark.parametrize("error", [StoreUnavailable("the database is away"), RuntimeError("on purpose")])
async def test_a_commit_that_fails_keeps_no_slot(node: WholeNode, zoo: Zoo, error: Exception) -> None:
    to = await node.integration(zoo.url("ok"), max_concurrency=1)

    async def fail() -> None:
        raise error

    node.store.before["accept"] = fail
    with pytest.raises(Unavailable):
        await node.publish(to, "evt_1")

    assert node.at_rest
    await node.publish(to, "evt_1")
    await node.watch.recorded(1)
    await until_at_rest(node)


async def test_a_claim_that_fails_keeps_no_slot(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok"))
    paused = await node.set_state(to, IntegrationState.PAUSED)
    for number in range(3):
        await node.publish(to, f"evt_{number}")

    async def fail() -> None:
        raise StoreUnavailable("the database is away")

    node.store.before["claim"] = fail
    await node.set_state(paused, IntegrationState.ACTIVE)
    await node.watch.recorded(3)

    assert [what for what, _ in node.watch.troubles] == ["store"]
    await until_at_rest(node)


async def test_a_lease_is_given_back_once_the_database_is_there_again(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("ok"))

    async def hold() -> None:
        await node.set_state(to, IntegrationState.PAUSED)

    async def fail() -> None:
        raise StoreUnavailable("the database is away")

    node.store.after["accept"] = hold
    node.store.before["release"] = fail
    await node.publish(to)
    await node.watch.until(lambda: node.watch.metrics.released == 1)

    assert [row.state for row in await node.deliveries(to.business_id)] == ["held"]
    await until_at_rest(node)


class Answers:
    """Stands before the real sender and tells of the first answer."""

    def __init__(self) -> None:
        self.first = asyncio.Event()

    def before(self, sender: Sender) -> Answers:
        self._sender = sender
        return self

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        def answered(outcome: Outcome) -> None:
            done(outcome)
            self.first.set()

        self._sender.send(request, answered)


async def test_a_lane_may_send_again_at_the_answer_while_its_result_waits_for_the_disk(
    tmp_path: Path, zoo: Zoo
) -> None:
    answers, entered, go_on = Answers(), threading.Event(), threading.Event()

    def keep_the_writer(_: Transaction) -> None:
        entered.set()
        go_on.wait(PATIENCE)

    async with a_node(tmp_path / "ringback.db", sender=answers.before, window=2) as node:
        to = await node.integration(zoo.url("gate/a"), max_concurrency=1)
        await node.publish(to)
        await requests(zoo, 1, "gate/a")
        keeping = asyncio.create_task(node.store._db.write(keep_the_writer))
        await asyncio.to_thread(entered.wait)
        zoo.open_gate("a")
        await answers.first.wait()

        assert node.engine.lanes.window_in_use == 1, "the window's slot waits for the record"
        assert node.engine.take(to, node.store.now()), "the lane's is free"
        node.engine.give_back(to.integration_id)
        go_on.set()
        await keeping
        await node.watch.recorded(1)
        await until_at_rest(node)


async def test_a_drain_waits_for_what_is_under_way(node: WholeNode, zoo: Zoo) -> None:
    to = await node.integration(zoo.url("gate/slow"))
    await node.publish(to)
    await requests(zoo, 1, "gate/slow")

    draining = asyncio.create_task(node.engine.drain(PATIENCE))
    for _ in range(100):
        await node.store.own_sending(node.lease)
    assert not draining.done()
    zoo.open_gate("slow")
    await draining

    assert [row.state for row in await node.deliveries(to.business_id)] == ["delivered"]
