"""Databases that hold much already, written straight to the tables as publishes and attempts leave them."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import apsw

from ringback import ids
from ringback.match import EMPTY
from ringback.model import Integration, IntegrationSettings, IntegrationState
from ringback.store.port import Change, NewBusiness
from ringback.store.sqlite import SqliteStore
from tests.bench.server import BUSINESSES
from tests.bench.traffic import EVENT_TYPE

SPAN_MS = 30 * 24 * 3_600_000
STEP_ROWS = 100_000
# Their numbers begin here, so that the events of a run are told from them.
FIRST_NUMBER = 1_000_000_000

_ROWS = """
WITH RECURSIVE number (i) AS (SELECT :from UNION ALL SELECT i + 1 FROM number WHERE i + 1 < :until),
made AS (
    SELECT i, :since + i * :span / :count AS at, value ->> 0 AS business, value ->> 1 AS lane
    FROM number JOIN json_each(:lanes) ON key = i % json_array_length(:lanes))
"""
# They are further apart than a millisecond.
_ID = "(at << 20)"
_EVENTS = f"""
INSERT INTO events (id, business_id, event_id, event_type, timestamp, accepted_at, fanout, test, data)
SELECT {_ID}, business, printf('evt_filled_%012d', i), :type, at, at, 1, 0,
    CAST(printf('{{"Number":"%012d","Filler":"{"x" * 120}"}}', :first + i) AS BLOB)
FROM made
"""
_DELIVERIES = f"""
INSERT INTO deliveries (id, event_row, business_id, integration_id, event_type, state, attempts, tries,
    due_at, last_status, last_failure, test, manual, replayed, created_at, finished_at)
SELECT {_ID} + 1, {_ID}, business, lane, :type, :state, 1, 1, :due, :status, :failure, 0, 0, 0, at,
    iif(:due IS NULL, at + 5, NULL)
FROM made
"""
_ATTEMPTS = f"""
INSERT INTO attempts (delivery_id, number, started_at, ended_at, first_byte_ms, total_ms, status, failure,
    truncated, remote_address, http_version, signatures, header_names, replay, response_headers,
    response_body)
SELECT {_ID} + 1, 1, at + 1, at + 5, 3.2, 3.4, :status, :failure, 0, '127.0.0.1:9000', '1.1', 1, '[]', 0,
    '[["content-type","text/plain"],["content-length","2"]]', CAST('ok' AS BLOB)
FROM made
"""


def fill(folder: Path, count: int, url: str, *, retrying: bool) -> None:
    """`count` events of the last 30 days with a delivery and an attempt each, in `BUSINESSES` lanes to `url`.

    They are delivered, or waiting for their second attempt, all due at once.
    """
    folder.mkdir(parents=True)
    path = folder / "ringback.db"
    now, lanes = asyncio.run(_lanes(path, url))
    last = {"status": 500, "failure": "server_500"} if retrying else {"status": 200, "failure": None}
    fixed = {
        "since": now - SPAN_MS,
        "span": SPAN_MS,
        "count": count,
        "lanes": lanes,
        "type": EVENT_TYPE,
        "first": FIRST_NUMBER,
        "state": "retrying" if retrying else "delivered",
        "due": now if retrying else None,
        **last,
    }
    with closing(apsw.Connection(str(path))) as db:
        db.pragma("synchronous", "off")
        db.pragma("cache_size", -1_000_000)
        for start in range(0, count, STEP_ROWS):
            step = {**fixed, "from": start, "until": min(start + STEP_ROWS, count)}
            with db:
                for insert in (_EVENTS, _DELIVERIES, _ATTEMPTS):
                    db.execute(_ROWS + insert, step)
        if retrying:
            db.execute("UPDATE lanes SET due_at = ?", (now,))
        db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


async def _lanes(path: Path, url: str) -> tuple[int, str]:
    """Now, and the lanes as a JSON array of business and integration."""
    store = await SqliteStore.open(path)
    try:
        now = store.now()
        for number in range(BUSINESSES):
            business = await store.create_business(
                NewBusiness(name=f"filled {number}"),
                Change(actor="system", action="business.create", at=now),
            )
            await store.create_integration(
                _integration(business.business_id, number, url, now),
                Change(actor="system", action="integration.create", at=now),
            )
        snapshot = await store.snapshot(EMPTY)
        pairs = [f"[{one.business_id},{one.integration_id}]" for one in snapshot.integrations.values()]
        return now, f"[{','.join(pairs)}]"
    finally:
        await store.close()


def _integration(business_id: int, number: int, url: str, now: int) -> Integration:
    """Wants a type that no run publishes: what it has is all it gets."""
    return Integration(
        integration_id=ids.random_id(now, number),
        business_id=business_id,
        type="webhook",
        friendly_name=f"filled {number}",
        url=url,
        events=("agent.left",),
        settings=IntegrationSettings(),
        sealed_headers=None,
        secrets=(),
        state=IntegrationState.ACTIVE,
        state_reason=None,
        state_since=now,
        created_at=now,
        updated_at=now,
        version=1,
    )
