"""Ingest where the database breaks in the middle of a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders import Clock, a_tenant
from tests.store.test_faults import FailingDisk

from ringback.admit import Draft
from ringback.errors import StoreBroken, StoreUnavailable
from ringback.ingest import Ingest
from ringback.model import Integration, Leased
from ringback.observe import Metrics, Observer
from ringback.snapshot import LiveSnapshot
from ringback.store.sqlite import SqliteStore


class NoSlots:
    """An engine that is always full."""

    def take(self, _integration: Integration, _now: int) -> bool:
        return False

    def give_back(self, _integration_id: int) -> None:
        raise AssertionError("nothing was taken")

    def wake(self) -> None: ...

    def store_unavailable(self, error: StoreUnavailable) -> None:
        raise AssertionError("a disk that breaks is not one that is away") from error

    def start(self, _leased: Leased) -> None:
        raise AssertionError("nothing was taken")


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk()
    yield disk
    disk.unregister()


async def test_a_drain_does_not_wait_for_a_commit_that_broke(disk: FailingDisk, tmp_path: Path) -> None:
    clock = Clock()
    store = await SqliteStore.open(tmp_path / "ringback.db", clock=clock, inline=True, vfs="failing-disk")
    acme = await a_tenant(store, clock)
    live = LiveSnapshot(store)
    await live.refresh()
    ingest = Ingest(store, acme.node, live, NoSlots(), Observer(Metrics(), None), 1_000)
    running = asyncio.create_task(ingest.run())
    disk.failing = True
    answer = ingest.publish(acme.id, [Draft(message=acme.new().message, generated=True)])
    async with asyncio.timeout(20):
        await ingest.drain("stopping")
        with pytest.raises(StoreBroken):
            await running
    assert not answer.done(), "committed or not, nobody knows: no answer is the only true one"
    disk.failing = False
    await store.close()
