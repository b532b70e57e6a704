"""A store with many rows, and the steps of SQLite's machine that a verb takes on it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from ringback import ids
from ringback.model import DeliveryState, IntegrationState
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, Clock, Tenant, a_tenant

SMALL, LARGE = 1_000, 100_000
OPEN, HELD, FINISHED = 0, 1, 2
APART_MS = 1_000_000

_FILL_EVENTS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?3 - 1)
INSERT INTO events (id, business_id, event_id, event_type, timestamp, accepted_at, fanout, test, data)
SELECT ?2 + 2 * i, ?1, 'evt_' || (?2 + 2 * i), 'call.completed', ?4, ?4, 1, 0, x'7b7d' FROM n
"""
_FILL_DELIVERIES = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?3 - 1)
INSERT INTO deliveries (id, event_row, business_id, integration_id, event_type, state, attempts, tries,
    due_at, last_status, last_failure, test, manual, replayed, created_at, finished_at)
SELECT ?2 + 2 * i + 1, ?2 + 2 * i, ?1, ?5, 'call.completed', ?6, 1, 1, iif(?6 = 'retrying', ?4 + i, NULL),
    iif(?6 = 'retrying', 500, 200), iif(?6 = 'retrying', 'server_500', NULL), 0, 0, 0,
    ?4, iif(?6 = 'retrying', NULL, ?4)
FROM n
"""


@dataclass
class Full:
    """A store with so many rows of each kind, and a count of the steps that a verb takes."""

    tenant: Tenant
    rows: int

    async def steps(self, verb: Callable[[Tenant], Awaitable[Any]]) -> int:
        taken: list[int] = []
        connection = self.tenant.store._db._db  # type: ignore[attr-defined]
        connection.trace_v2(
            apsw.SQLITE_TRACE_PROFILE,
            lambda event: taken.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]),
        )
        await verb(self.tenant)
        connection.trace_v2(0)
        assert taken
        return sum(taken)


async def filled(path: Path, rows: int) -> Full:
    clock = Clock()
    store = await SqliteStore.open(path, clock=clock, inline=True)
    tenant = await a_tenant(store, clock, integrations=3)
    _fill(path, tenant, rows)
    clock.pass_ms(4 * APART_MS)
    await tenant.set_state(IntegrationState.PAUSED, HELD)
    for state in ("dead", "cancelled"):
        await _few(tenant, state)
    return Full(tenant, rows)


def _fill(path: Path, tenant: Tenant, rows: int) -> None:
    db = apsw.Connection(str(path))
    with db:
        for place, state in ((OPEN, "retrying"), (HELD, "retrying"), (FINISHED, "delivered")):
            born = NOON + APART_MS * (place + 1)
            db.execute(_FILL_EVENTS, (tenant.id, ids.first_id(born), rows, born))
            db.execute(
                _FILL_DELIVERIES, (tenant.id, ids.first_id(born), rows, born, tenant.lanes[place], state)
            )
        db.execute("UPDATE lanes SET due_at = ? WHERE integration_id <> ?", (NOON, tenant.lanes[FINISHED]))
    db.close()


async def _few(tenant: Tenant, state: str) -> None:
    for _ in range(5):
        await tenant.in_state(DeliveryState(state))
