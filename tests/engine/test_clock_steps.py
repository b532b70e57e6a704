"""The machine's clock is set back while a node runs: it goes on looking for work."""

from __future__ import annotations

from pathlib import Path

from ringback.clock import wall_ms
from ringback.match import EMPTY
from ringback.store.sqlite import SqliteStore
from tests.builders import event, queued
from tests.engine.node import a_node
from tests.zoo import Zoo

HOUR_MS = 3_600_000


class SteppedClock:
    """Goes as the machine's does, apart from the steps it is given."""

    def __init__(self) -> None:
        self.step_ms = 0

    def __call__(self) -> int:
        return wall_ms() + self.step_ms


async def test_work_of_another_process_is_found_though_the_clock_was_set_back(
    tmp_path: Path, zoo: Zoo
) -> None:
    database, clock = tmp_path / "ringback.db", SteppedClock()
    async with a_node(database, store={"clock": clock}) as node:
        to = await node.integration(zoo.url("ok"))
        other = await SqliteStore.open(database, clock=clock)
        there, version = await other.join(clock()), (await other.snapshot(EMPTY)).version

        clock.step_ms = -HOUR_MS
        new = event("evt_1", queued(to.integration_id), business_id=to.business_id)
        await other.accept([(new,)], version, there, clock())

        (result,) = await node.watch.recorded(1)
        assert result.leased.message.event_id == "evt_1"
        await other.close()
