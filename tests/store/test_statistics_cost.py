"""What statistics cost does not depend on how much is stored, by this business or by others: steps of
SQLite's machine, counted on small files and on such with 50,000 deliveries or the counts of 60 businesses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from ringback.statistics import DAY_MS, GRAINS_MS, HOUR_MS, MINUTE_MS, Bucket, widen
from ringback.store.port import Asked
from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.rollups import TABLES
from tests.builders import NOON, Clock, Tenant, a_tenant, change, delivered
from tests.store.full import FINISHED, Full, filled

OTHERS = 60
HOURS = 72
_FILL = """
WITH RECURSIVE time (start) AS (SELECT ?1 UNION ALL SELECT start + ?2 FROM time WHERE start + ?2 < ?3),
business (id) AS (SELECT 100 UNION ALL SELECT id + 1 FROM business WHERE id < 100 + ?4)
"""


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Tenant]:
    tenant = await busy(tmp_path / "alone.db")
    yield tenant
    await tenant.store.close()


@pytest.fixture
async def among_many(tmp_path: Path) -> AsyncIterator[Tenant]:
    path = tmp_path / "many.db"
    tenant = await busy(path)
    _count_for_others(path)
    yield tenant
    await tenant.store.close()


async def busy(path: Path) -> Tenant:
    """With something in each of the last hours, folded but for the last."""
    clock = Clock(NOON - HOURS * HOUR_MS)
    store = await SqliteStore.open(path, clock=clock, inline=True)
    tenant = await a_tenant(store, clock)
    for _ in range(HOURS):
        await tenant.record(delivered(await tenant.sending(), clock()))
        clock.pass_ms(HOUR_MS)
    while await store.fold_statistics(50, clock() - HOUR_MS):
        pass
    return tenant


def _count_for_others(path: Path) -> None:
    db = apsw.Connection(str(path))
    with db:
        for table in TABLES:
            for grain in GRAINS_MS:
                keys = ", ".join(table.keys)
                since = NOON - NOON % grain - (HOURS * HOUR_MS if grain > MINUTE_MS else HOUR_MS)
                values = ", ".join("7" if key == "integration_id" else "1" for key in table.keys)
                db.execute(
                    f"INSERT INTO {table.name} (grain, start, business_id, {keys}, {table.sums[0]})"
                    f" {_FILL} SELECT ?2, start, id, {values}, 1 FROM time CROSS JOIN business",
                    (since, grain, NOON, OTHERS),
                )
    db.close()


async def steps(tenant: Tenant, verb: Callable[[Tenant], Awaitable[Any]]) -> int:
    return await Full(tenant, 0).steps(verb)


def charts(bucket: Bucket, ms: int, **wanted: Any) -> Callable[[Tenant], Awaitable[Any]]:
    async def ask(tenant: Tenant) -> None:
        asked = Asked(range=widen(NOON - ms, NOON, bucket), **wanted)
        await tenant.store.statistics(tenant.id, asked)

    return ask


async def what_waits(tenant: Tenant) -> None:
    await tenant.store.waiting_now(tenant.id, tenant.clock())


@pytest.mark.parametrize(
    "verb",
    [
        charts(Bucket.MINUTE, HOUR_MS),
        charts(Bucket.HOUR, DAY_MS),
        charts(Bucket.DAY, 3 * DAY_MS),
        charts(Bucket.HOUR, DAY_MS, event_type="call.completed"),
        charts(Bucket.HOUR, DAY_MS, integration_id=1),
        what_waits,
    ],
)
async def test_other_businesses_cost_nothing(
    alone: Tenant, among_many: Tenant, verb: Callable[[Tenant], Awaitable[Any]]
) -> None:
    assert await steps(among_many, verb) < await steps(alone, verb) * 1.1 + 50


async def test_a_range_costs_what_it_shows(alone: Tenant) -> None:
    """A month by the day is made of days, whatever its hours hold."""
    whole = NOON - NOON % DAY_MS
    by_day = Asked(range=widen(whole - 30 * DAY_MS, whole, Bucket.DAY))
    by_hour = Asked(range=widen(whole - 30 * DAY_MS, whole, Bucket.HOUR))

    async def asked(tenant: Tenant, question: Asked) -> int:
        return await steps(tenant, lambda one: one.store.statistics(one.id, question))

    assert 4 * await asked(alone, by_day) < await asked(alone, by_hour)


async def test_folding_costs_what_it_folds(alone: Tenant, among_many: Tenant) -> None:
    async def fold(tenant: Tenant) -> None:
        assert await tenant.store.fold_statistics(2, NOON + HOUR_MS) > 0

    assert await steps(among_many, fold) < await steps(alone, fold) * 1.1 + 50


async def test_what_is_finished_is_not_counted_again(tmp_path: Path) -> None:
    few, many = await filled(tmp_path / "few.db", 500), await filled(tmp_path / "many.db", 50_000)
    for full in (few, many):
        for place in range(FINISHED):
            await full.tenant.store.delete_integration(full.tenant.id, full.tenant.lanes[place], change())
    assert await many.steps(what_waits) < await few.steps(what_waits) * 1.1 + 50
    for full in (few, many):
        await full.tenant.store.close()


async def test_what_waits_is_counted_in_an_index(tmp_path: Path) -> None:
    full = await filled(tmp_path / "many.db", 20_000)
    assert await full.steps(what_waits) < 15 * 2 * 20_000
    await full.tenant.store.close()
