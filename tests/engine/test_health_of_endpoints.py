"""What counts against an endpoint and what does not: its circuit, and an answer that came too late."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ringback.engine.breaker import FIRST_PAUSE_MS, TRIPS_AFTER
from ringback.failures import FailureClass
from ringback.model import Integration, IntegrationSettings, IntegrationState, Outcome, Profile, Timings
from ringback.send import Request, Sender
from tests.engine.node import a_node, until_at_rest
from tests.engine.test_virtual_time import always, publish, set_state, with_integrations
from tests.engine.virtual import Rig, VirtualLoop, run_virtually

HOUR = 3_600
AT_ONCE = 5


def standard() -> IntegrationSettings:
    return IntegrationSettings(profile=Profile.STANDARD, max_concurrency=AT_ONCE, retry_schedule=(HOUR,))


@pytest.mark.parametrize("seed", range(3))
def test_a_probe_goes_out_as_soon_as_the_first_pause_is_over(tmp_path: Path, seed: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(tmp_path / "db", loop, always(0.05, 500))
        (to,) = await with_integrations(rig, 1, standard())
        await rig.start()
        await publish(rig, to, range(100))
        await asyncio.sleep(FIRST_PAUSE_MS / 1000 - 1)
        during = len(rig.receiver.seen)
        assert TRIPS_AFTER <= during < TRIPS_AFTER + AT_ONCE, "only what had begun already"
        await asyncio.sleep(3)
        assert len(rig.receiver.seen) == during + 1
        await rig.close()

    run_virtually(seed, main)


def test_failures_of_our_own_open_no_circuit(tmp_path: Path) -> None:
    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(tmp_path / "db", loop, always(0.05, FailureClass.SENDER_ERROR))
        (to,) = await with_integrations(rig, 1, standard())
        await rig.start()
        await publish(rig, to, range(100))
        await asyncio.sleep(10)
        assert len(rig.receiver.seen) == 100
        await rig.close()

    run_virtually(0, main)


async def change_it(rig: Rig, to: Integration) -> None:
    await set_state(rig, to, IntegrationState.ACTIVE)


async def ask_for_it(rig: Rig, to: Integration) -> None:
    rig.engine.wake(to.integration_id)


@pytest.mark.parametrize("step", [change_it, ask_for_it])
def test_an_open_circuit_closes_when_somebody_sees_to_the_endpoint(
    tmp_path: Path, step: Callable[[Rig, Integration], Awaitable[None]]
) -> None:
    mended: list[bool] = []

    async def main(loop: VirtualLoop) -> None:
        rig = await Rig.open(tmp_path / "db", loop, lambda _: (0.05, 200 if mended else 500))
        (to,) = await with_integrations(rig, 1, standard())
        await rig.start()
        await publish(rig, to, range(100))
        await asyncio.sleep(2)
        assert len(rig.receiver.seen) < TRIPS_AFTER + AT_ONCE
        mended.append(True)
        await step(rig, to)
        await asyncio.sleep(5)
        assert len(rig.receiver.seen) == 100
        await rig.close()

    run_virtually(0, main)


class AnswersWhenTold:
    """Stands in for the sender and keeps every request open."""

    def __init__(self) -> None:
        self.open: list[Callable[[Outcome], None]] = []

    def instead(self, _: Sender) -> AnswersWhenTold:
        return self

    def send(self, _: Request, done: Callable[[Outcome], None]) -> None:
        self.open.append(done)


async def test_a_410_that_is_fenced_off_disables_nothing(tmp_path: Path) -> None:
    receiver = AnswersWhenTold()
    async with a_node(tmp_path / "ringback.db", sender=receiver.instead) as node:
        to = await node.integration("http://127.0.0.1:9/", profile=Profile.STANDARD)
        await node.publish(to)
        (row,) = await node.deliveries(to.business_id)
        await node.set_state(to, IntegrationState.PAUSED)
        assert await node.store.release([row.delivery_id], node.lease) == 1

        (done,) = receiver.open
        done(Outcome(started_at=1, ended_at=2, timings=Timings(), status=410))
        await node.watch.until(lambda: bool(node.watch.unrecorded))
        await until_at_rest(node)
        # Whatever it led to was written before this.
        await node.store.heartbeat(node.lease, node.store.now())

        stored = await node.store.get_integration(to.business_id, to.integration_id)
        assert stored.state is IntegrationState.PAUSED
        assert node.live.current.integrations[to.integration_id].state is IntegrationState.PAUSED
