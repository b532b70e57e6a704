"""Within a lane nothing new goes before what waits: each way in which it could is tried on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ringback.engine import claims
from ringback.errors import StoreUnavailable
from ringback.model import IntegrationSettings, IntegrationState, Outcome
from ringback.send import Request, Sender
from tests.engine.node import a_node, requests, until_at_rest
from tests.engine.staged import PATIENCE, Gate
from tests.engine.test_virtual_time import always, publish, set_state, until_settled, with_integrations
from tests.engine.virtual import Rig, VirtualLoop, run_virtually
from tests.zoo import Zoo


class Outbox:
    """Stands before the real sender and remembers in which order events left."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._left = asyncio.Event()

    def before(self, sender: Sender) -> Outbox:
        self._sender = sender
        return self

    def send(self, request: Request, done: Callable[[Outcome], None]) -> None:
        self.order.append(dict(request.headers)["webhook-id"])
        self._left.set()
        self._sender.send(request, done)

    async def holds(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.order) < count:
                self._left.clear()
                await self._left.wait()


async def away() -> None:
    raise StoreUnavailable("the database cannot be used now")


async def test_what_could_not_be_claimed_goes_before_what_comes_next(database: Path, zoo: Zoo) -> None:
    outbox = Outbox()
    async with a_node(database, sender=outbox.before) as node:
        to = await node.integration(zoo.url("gate/a"), max_concurrency=1)
        for number in (1, 2):
            await node.publish(to, f"evt_{number}")
        node.store.before["claim"] = away
        zoo.open_gate("a")
        await node.watch.trouble_with("store")
        gate = node.store.before["claim"] = Gate()

        await node.publish(to, "evt_3")
        gate.open.set()
        await node.watch.recorded(3)

        assert outbox.order == ["evt_1", "evt_2", "evt_3"]
        await until_at_rest(node)


async def test_what_queued_during_a_claim_goes_before_what_comes_next(database: Path, zoo: Zoo) -> None:
    outbox = Outbox()
    async with a_node(database, sender=outbox.before) as node:
        to = await node.integration(zoo.url("gate/b"), max_concurrency=2)
        for number in (1, 2, 3):
            await node.publish(to, f"evt_{number}")
        await requests(zoo, 2, "gate/b")
        gate = node.store.after["claim"] = Gate()
        zoo.open_gate("b")
        await gate.reached.wait()

        await node.publish(to, "evt_4")
        gate.open.set()
        await outbox.holds(3)
        await node.publish(to, "evt_5")
        await node.watch.recorded(5)

        assert outbox.order == ["evt_1", "evt_2", "evt_3", "evt_4", "evt_5"]
        await until_at_rest(node)


async def test_a_start_knows_in_which_lanes_work_waits(database: Path, zoo: Zoo) -> None:
    async with a_node(database) as first:
        busy = await first.integration(zoo.url("gate/busy"), max_concurrency=1)
        idle = await first.integration(zoo.url("ok"))
        for number in (1, 2):
            await first.publish(busy, f"evt_{number}")
    async with a_node(database) as later:
        now = later.store.now()

        assert not later.engine.take(busy, now)
        assert later.engine.take(idle, now), "an empty lane's first event goes the direct way"
        later.engine.give_back(idle.integration_id)


async def test_lanes_that_a_start_could_not_list_are_taken_to_have_work(
    database: Path, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "MAX_DUE_LANES", 1)
    async with a_node(database) as first:
        made = [await first.integration(zoo.url(f"gate/{name}"), max_concurrency=1) for name in "cd"]
        for number in range(4):
            await first.publish(made[number % 2], f"evt_{number}")
    async with a_node(database) as later:
        assert [later.engine.take(one, later.store.now()) for one in made] == [False, False]


async def test_what_was_held_over_a_restart_goes_before_what_comes_next(database: Path, zoo: Zoo) -> None:
    outbox = Outbox()
    async with a_node(database) as first:
        to = await first.integration(zoo.url("ok"), max_concurrency=1)
        await first.set_state(to, IntegrationState.PAUSED)
        for number in range(3):
            await first.publish(to, f"evt_{number}")
    async with a_node(database, sender=outbox.before) as later:
        paused = await later.store.get_integration(to.business_id, to.integration_id)
        await later.set_state(paused, IntegrationState.ACTIVE)

        await later.publish(to, "evt_3")
        await later.watch.recorded(4)

        assert outbox.order == [f"evt_{number}" for number in range(4)]


@pytest.mark.parametrize("seed", range(3))
def test_a_resumed_lane_starts_at_once(tmp_path: Path, seed: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(tmp_path / "db", loop, always(0.1, 200))
        (to,) = await with_integrations(rig, 1, IntegrationSettings(max_concurrency=2))
        await rig.start()
        paused = await set_state(rig, to, IntegrationState.PAUSED)
        await publish(rig, to, range(10))
        await asyncio.sleep(60)
        assert rig.receiver.seen == []
        resumed_at = loop.wall_ms()
        await set_state(rig, paused, IntegrationState.ACTIVE)
        await until_settled(rig)
        assert len(rig.receiver.seen) == 10
        assert rig.receiver.seen[0].at_ms - resumed_at <= 10, "nobody waited for the next look"
        await rig.close()

    run_virtually(seed, main)
