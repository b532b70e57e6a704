"""Looking for work costs what there is to send, not how many lanes are held or have nothing to do."""

from __future__ import annotations

from pathlib import Path

import apsw

from ringback.store.port import DueLanes
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, Clock, Tenant, a_tenant
from tests.store.full import Full

OTHERS = 5_000
_HELD, _IDLE = 1, 0
_FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
INSERT INTO lanes (integration_id, business_id, held, deleted, due_at) SELECT ?2 + i, 1, ?3, 0, ?4 FROM n
"""


async def look_for_work(tenant: Tenant) -> None:
    found = await tenant.store.due_lanes(tenant.clock(), 100)
    assert found == DueLanes(due=(tenant.lane,), next_due=None)
    assert await tenant.store.finish_cancellations(100, tenant.clock()) == 0


async def test_lanes_without_work_to_send_are_not_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "ringback.db"
    store = await SqliteStore.open(path, clock=Clock(), inline=True)
    tenant = await a_tenant(store, Clock())
    await tenant.waiting()
    full = Full(tenant, OTHERS)
    before = await full.steps(look_for_work)
    other = apsw.Connection(str(path))
    other.execute(_FILL, (OTHERS, 1_000_000, _HELD, NOON - 1))
    other.execute(_FILL, (OTHERS, 2_000_000, _IDLE, None))
    other.close()

    assert await full.steps(look_for_work) <= before + 20
    await store.close()
