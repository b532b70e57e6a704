"""How long a batch of publishes gathers: a moment under load, not at all otherwise."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ringback.admit import Draft
from ringback.ingest import BUSY_REQUESTS, GATHER_SECONDS, Ingest
from ringback.observe import Metrics, Observer
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Accepted
from ringback.store.sqlite import SqliteStore
from tests.builders import Clock, Tenant, a_tenant
from tests.engine.virtual import VirtualLoop, run_virtually
from tests.unit.test_ingest import NoSlots


@pytest.mark.parametrize(("before", "batches"), [(BUSY_REQUESTS, 1), (BUSY_REQUESTS - 1, 2)])
def test_who_comes_a_moment_later_shares_the_commit_under_load_only(
    tmp_path: Path, before: int, batches: int
) -> None:
    async def run(loop: VirtualLoop) -> int:
        clock, metrics = Clock(), Metrics()
        store = await SqliteStore.open(tmp_path / "ringback.db", clock=clock, inline=True)
        acme = await a_tenant(store, clock)
        live = LiveSnapshot(store)
        await live.refresh()
        ingest = Ingest(store, acme.node, live, NoSlots(), Observer(metrics, None), 1_000)
        running = loop.create_task(ingest.run())
        await asyncio.gather(*(_publish(ingest, acme) for _ in range(before)))
        already = sum(metrics.accept_batch.counts)
        first = _publish(ingest, acme)
        await asyncio.sleep(GATHER_SECONDS / 2)
        await asyncio.gather(first, _publish(ingest, acme))
        running.cancel()
        await store.close()
        return sum(metrics.accept_batch.counts) - already

    assert run_virtually(1, run) == batches


def _publish(ingest: Ingest, acme: Tenant) -> asyncio.Future[list[Accepted]]:
    return ingest.publish(acme.id, [Draft(message=acme.new().message, generated=True)])
