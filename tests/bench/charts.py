"""A database with the counts of a month, written to where transactions and folding would bring them."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import apsw
import msgspec

from ringback.catalog import BUILT_IN
from ringback.model import Integration, IntegrationSettings, IntegrationState
from ringback.statistics import DAY_MS, GRAINS_MS, HOUR_MS, MINUTE_MS
from ringback.store.port import Change, NewBusiness
from ringback.store.sqlite import SqliteStore, rollups

DAYS, MINUTE_DAYS = 30, 8
INTEGRATIONS = 5
# Each business' attempts in the month: of 20 businesses, 10,000,000.
ATTEMPTS = 500_000
CELL_HOURS = DAYS * 24 * INTEGRATIONS * len(BUILT_IN)

# Of 16 attempts, the share that ends so: number, status, failure, count.
_ENDS = (
    (1, 200, "", 11),
    (1, 500, "server_500", 1),
    (1, 0, "response_timeout", 1),
    (2, 200, "", 1),
    (2, 503, "unavailable_503", 1),
    (3, 200, "", 1),
)
_CELLS = """
WITH RECURSIVE time (start) AS (
    SELECT :since UNION ALL SELECT start + :grain FROM time WHERE start + :grain < :until),
cells AS (
    SELECT start, lane.value ->> 0 AS business, lane.value ->> 1 AS lane, sort.value AS type, :many AS n
    FROM time CROSS JOIN json_each(:lanes) lane CROSS JOIN json_each(:types) sort
    WHERE abs(random() % 1000) < :thousandths)
"""
_KEY = "grain, start, business_id, integration_id, event_type"
_INTAKE = f"""
INSERT INTO intake_stats (grain, start, business_id, event_type, events) {_CELLS}
SELECT :grain, start, business, cells.type, max(n * 3 / 4, 1) FROM cells GROUP BY start, business, cells.type
"""
_DELIVERIES = f"""
INSERT INTO delivery_stats ({_KEY}, created, delivered, first_try, dead, first_ended, first_succeeded,
    le_7, le_10, le_20, le_100, le_60000, le_600000) {_CELLS}
SELECT :grain, start, business, lane, type, max(n * 13 / 16, 1), n * 12 / 16, n * 11 / 16, n / 64,
    n * 13 / 16, n * 11 / 16, n / 8, n * 3 / 8, n / 8, n / 16, 0, n / 16
FROM cells
"""
_ATTEMPTS = f"""
INSERT INTO attempt_stats ({_KEY}, succeeded, failed, answers_2xx, answers_5xx, answers_none,
    le_7, le_10, le_20, le_100, le_1000, le_10000, slowest_ms, last_success) {_CELLS}
SELECT :grain, start, business, lane, type, max(n * 13 / 16, 1), n * 3 / 16, n * 13 / 16, n / 8, n / 16,
    n / 8, n / 2, n / 8, n / 16, n / 16, n / 16, 5003, start
FROM cells
"""
_WHOLES = [
    f"INSERT INTO {table.name} ({_KEY}, {', '.join((*table.sums, *table.peaks))})"
    f" SELECT grain, start, business_id, 0, '', {', '.join(f'sum({name})' for name in table.sums)}"
    f" {''.join(f', max({name})' for name in table.peaks)}"
    f" FROM {table.name} WHERE grain = ? GROUP BY start, business_id"
    for table in rollups.TABLES
    if table.wholes
]
_DETAIL = f"""
INSERT INTO attempt_detail ({_KEY}, number, status, failure, attempts) {_CELLS}
SELECT :grain, start, business, lane, cells.type, one.value ->> 0, one.value ->> 1, one.value ->> 2,
    max(n * (one.value ->> 3) / 16, 1)
FROM cells CROSS JOIN json_each(:ends) one WHERE n > 1 OR one.key = 0
"""
_WAITING_EVENT = """
INSERT INTO events (id, business_id, event_id, event_type, timestamp, accepted_at, fanout, test, data)
VALUES (1, :business, 'evt_waiting', 'call.completed', :now, :now, 0, 0, x'7b7d')
"""
_WAITING = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many)
INSERT INTO deliveries (id, event_row, business_id, integration_id, event_type, state, attempts, tries,
    due_at, test, manual, replayed, created_at)
SELECT 1 + i, 1, :business, :integration, 'call.completed', iif(i % 2, 'queued', 'retrying'), 0, 0,
    :now + i, 0, 0, 0, :now
FROM n
"""
_WAITING_LANE = "UPDATE lanes SET due_at = :now WHERE integration_id = :integration"


@dataclass(frozen=True)
class Month:
    """`lanes`: business and integration. The last business has what waits and nothing else."""

    lanes: list[tuple[int, int]]
    until: int


def month(path: Path, businesses: int, waiting: int) -> Month:
    """Make the database. Minutes are there for the last days only, as retention leaves them."""
    now = time.time_ns() // 1_000_000
    lanes = asyncio.run(_furnish(path, businesses + 1, now))
    made = Month(lanes, now - now % DAY_MS + DAY_MS)
    with closing(apsw.Connection(str(path))) as db:
        db.pragma("synchronous", "off")
        for grain in GRAINS_MS:
            with db:
                _count(db, Month(lanes[:-INTEGRATIONS], made.until), grain)
        with db:
            _wait(db, *lanes[-1], waiting, now)
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    return made


async def _furnish(path: Path, businesses: int, now: int) -> list[tuple[int, int]]:
    store = await SqliteStore.open(path)
    change = Change(actor="bench", action="bench.fill", at=now)
    lanes: list[tuple[int, int]] = []
    for _ in range(businesses):
        business = await store.create_business(NewBusiness(name="bench"), change)
        for _ in range(INTEGRATIONS):
            new = _integration(business.business_id, 1_000 + len(lanes), now)
            lanes.append((new.business_id, new.integration_id))
            await store.create_integration(new, change)
    await store.close()
    return lanes


def _integration(business_id: int, integration_id: int, now: int) -> Integration:
    """Paused: nothing is sent while it is measured."""
    return Integration(
        integration_id=integration_id,
        business_id=business_id,
        type="webhook",
        friendly_name="bench",
        url="https://example.com/",
        events=("*",),
        settings=IntegrationSettings(),
        sealed_headers=None,
        secrets=(),
        state=IntegrationState.PAUSED,
        state_reason=None,
        state_since=now,
        created_at=now,
        updated_at=now,
        version=1,
    )


def _count(db: apsw.Connection, made: Month, grain: int) -> None:
    """Where a bucket is too short for an attempt of each kind, only some buckets have one at all."""
    many = ATTEMPTS * grain / HOUR_MS / CELL_HOURS
    bound = {
        "grain": grain,
        "since": made.until - (MINUTE_DAYS if grain == MINUTE_MS else DAYS) * DAY_MS,
        "until": made.until,
        "lanes": msgspec.json.encode(made.lanes).decode(),
        "types": msgspec.json.encode(sorted(BUILT_IN)).decode(),
        "ends": msgspec.json.encode(_ENDS).decode(),
        "many": max(round(many), 1),
        "thousandths": min(round(many * 1_000), 1_000),
    }
    for table in (_INTAKE, _DELIVERIES, _ATTEMPTS, _DETAIL):
        db.execute(table, bound)
    for table in _WHOLES:
        db.execute(table, (grain,))


def _wait(db: apsw.Connection, business: int, integration: int, many: int, now: int) -> None:
    bound = {"business": business, "integration": integration, "many": many, "now": now}
    for text in (_WAITING_EVENT, _WAITING, _WAITING_LANE):
        db.execute(text, bound)
