"""The ends that the machine does not come to: while a file is made, and with a disk that is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import apsw
import pytest

from ringback.errors import ConfigurationError, StoreError
from ringback.store.port import EventFilter, Store
from ringback.store.sqlite import SqliteStore
from tests.builders import Clock, Tenant, a_tenant
from tests.model.power_cut import Disk, Moment
from tests.model.rows import health

NAME = "ending-disk"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ringback.db"


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk(NAME)
    yield disk
    disk.unregister()


async def opened(database: Path) -> SqliteStore:
    return await SqliteStore.open(database, clock=Clock(), inline=True, vfs=NAME)


async def end(store: Store) -> None:
    with suppress(apsw.IOError):
        await store.close()


@pytest.fixture
async def acme(disk: Disk, database: Path) -> AsyncIterator[Tenant]:
    store = await opened(database)
    yield await a_tenant(store, Clock())
    disk.switch_off()
    await end(store)


async def open_until_it_works(disk: Disk, database: Path, dice: Random) -> tuple[SqliteStore, int]:
    """Each time the power goes one change later; the store, and how often it went."""
    for cuts in range(1_000):
        disk.switch_off_at(Moment.AFTER_CHANGE, cuts + 1)
        with suppress(ConfigurationError):
            store = await opened(database)
            if not disk.is_off:
                disk.keep_on()
                return store, cuts
            await end(store)
        disk.lose_power(dice)
        disk.switch_on()
    raise AssertionError("it never came up")


@pytest.mark.parametrize("seed", range(5))
async def test_a_file_can_be_opened_whenever_the_power_went_while_it_was_made(
    disk: Disk, database: Path, seed: int
) -> None:
    store, cuts = await open_until_it_works(disk, database, Random(seed))
    assert cuts > 3
    assert await health(store) == "ok"
    acme = await a_tenant(store, Clock())
    await acme.waiting()
    await store.close()


async def test_a_read_from_a_disk_that_is_gone_fails_in_the_store_s_words(
    disk: Disk, database: Path, acme: Tenant
) -> None:
    await acme.waiting()
    await acme.store.close()
    with_nothing_in_memory = await opened(database)
    disk.switch_off()
    with pytest.raises(StoreError):
        await with_nothing_in_memory.list_events(acme.id, EventFilter(), 10, None)
    await end(with_nothing_in_memory)


async def test_a_store_that_cannot_be_closed_well_still_lets_go_of_its_nodes(
    disk: Disk, database: Path, acme: Tenant
) -> None:
    await acme.waiting()
    disk.switch_off()
    await end(acme.store)
    disk.switch_on()
    again = await opened(database)
    node = await again.join(acme.clock())
    assert node.node_id == acme.node.node_id
    assert node.epoch == acme.node.epoch + 1
    assert await again.rescue(10) == 0
    await again.close()
