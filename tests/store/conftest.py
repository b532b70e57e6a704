"""Every test of the port's behaviour runs on every store: there is one now, and its name is the parameter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
import pytest_asyncio

from ringback.store.port import Store
from ringback.store.sqlite import SqliteStore
from tests.builders import Clock, Tenant, a_tenant
from tests.store.full import LARGE, SMALL, Full, filled


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "ringback.db"


@pytest.fixture(params=["sqlite"])
async def store(request: pytest.FixtureRequest, database: Path, clock: Clock) -> AsyncIterator[Store]:
    assert request.param == "sqlite"
    opened = await SqliteStore.open(database, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def acme(store: Store, clock: Clock) -> Tenant:
    """A business with two active integrations, and the node that serves it."""
    return await a_tenant(store, clock)


# SQL and the values to bind; the rows.
Look = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def look(database: Path) -> Look:
    """The file as another program sees it, for what no verb shows."""

    def rows(text: str, *bound: Any) -> list[tuple[Any, ...]]:
        other = apsw.Connection(str(database))
        try:
            return other.execute(text, bound).fetchall()
        finally:
            other.close()

    return rows


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Full]:
    full = await filled(tmp_path_factory.mktemp("small") / "ringback.db", SMALL)
    yield full
    await full.tenant.store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Full]:
    full = await filled(tmp_path_factory.mktemp("large") / "ringback.db", LARGE)
    yield full
    await full.tenant.store.close()
