"""The whole service without HTTP: what makes it unready, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from ringback.config import Settings, load
from ringback.errors import StoreBroken, StoreUnavailable
from ringback.service import Service, open_service
from ringback.service.ended import Ended
from ringback.store.port import NewBusiness
from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.transaction import Transaction
from tests.builders import change

PATIENCE = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load({"data": str(tmp_path / "data"), "api_key": "k" * 32}, {}, None)


@pytest.fixture
async def ended() -> Ended:
    return Ended()


@pytest.fixture
async def service(settings: Settings, ended: Ended) -> AsyncIterator[Service]:
    async with open_service(settings, ended, None) as service:
        service.unready = None
        yield service


async def test_a_node_is_unready_while_the_database_cannot_commit(service: Service) -> None:
    assert service.why_unready() is None

    service.engine.store_unavailable(StoreUnavailable("the disk is full"))

    assert service.why_unready() == "the database cannot commit"


async def test_a_change_of_another_process_is_in_force_soon(service: Service, settings: Settings) -> None:
    heard = asyncio.Event()
    service.live.listen(lambda _: heard.set())
    other = await SqliteStore.open(settings.database_path)

    made = await other.create_business(NewBusiness(name="Acme"), change(at=other.now()))
    async with asyncio.timeout(PATIENCE):
        await heard.wait()

    assert made.business_id in service.live.current.businesses
    await other.close()


async def test_a_broken_store_ends_the_service(service: Service, ended: Ended) -> None:
    def damaged(_: Transaction) -> None:
        raise apsw.CorruptError("database disk image is malformed")

    assert isinstance(service.store, SqliteStore)
    with pytest.raises(StoreBroken):
        await service.store._db.write(damaged)
    async with asyncio.timeout(PATIENCE):
        await ended.wait()

    assert isinstance(ended.broken, StoreBroken)
