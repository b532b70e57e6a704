"""Retention, a step at a time: each step finds what is due by an index and looks at nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import apsw

from ringback.model import DeliveryState
from ringback.statistics import DAY_MS, HOUR_MS, MINUTE_MS
from ringback.store.port import Chore, Keep
from ringback.store.sqlite.event_walks import EVENTS, PAYLOADS, Removed
from ringback.store.sqlite.lanes import set_right
from ringback.store.sqlite.rollups import TABLES, Table
from ringback.store.sqlite.rows import RowStatement, fetch
from ringback.store.sqlite.transaction import Transaction

_HELD_LANES = """
SELECT integration_id, max(held_since, due_at) FROM lanes INDEXED BY lanes_held
WHERE held = 1 AND deleted = 0 AND due_at IS NOT NULL AND held_since <= ?1 AND due_at <= ?1 LIMIT ?2
"""
_GIVE_UP = """
UPDATE deliveries SET state = 'dead', manual = 0, due_at = NULL, finished_at = ?
WHERE id IN (
    SELECT id FROM deliveries INDEXED BY deliveries_waiting
    WHERE integration_id = ? AND state IN ('queued', 'retrying') AND due_at <= ? ORDER BY due_at LIMIT ?)
RETURNING business_id, integration_id, event_type, created_at
"""
_FOLLOWERS = """
SELECT integration_id, since_id FROM integration_history INDEXED BY integration_history_by_id
WHERE since_id > (SELECT history_reached FROM meta)
    AND since_id <= ifnull((SELECT min(id) FROM events), 9223372036854775807)
ORDER BY since_id LIMIT ?
"""
_FOLLOWED = RowStatement(
    "DELETE FROM integration_history WHERE (integration_id, since_id) IN ("
    "SELECT old.integration_id, old.since_id FROM {rows} r CROSS JOIN integration_history old"
    " WHERE old.integration_id = r.column1 AND old.since_id < r.column2) RETURNING 1",
    2,
)
_FIRST_BUCKET = "SELECT start FROM {} WHERE grain = ? AND start <= ? ORDER BY start LIMIT 1"


class Work(Protocol):
    """`cutoff`: what counts from then or earlier is due."""

    def behind(self, db: apsw.Connection, cutoff: int, now: int, limit: int) -> int | None:
        """For how many ms the first has been due; None where nothing is."""
        ...

    def step(self, tx: Transaction, cutoff: int, now: int, limit: int) -> Removed: ...


def behind(db: apsw.Connection, chore: Chore, keep: Keep, now: int, limit: int) -> int | None:
    return _WORK[chore].behind(db, _cutoff(chore, keep, now), now, limit)


def sweep(tx: Transaction, chore: Chore, keep: Keep, now: int, limit: int) -> Removed:
    return _WORK[chore].step(tx, _cutoff(chore, keep, now), now, limit)


def _cutoff(chore: Chore, keep: Keep, now: int) -> int:
    days = {
        Chore.HELD: keep.held,
        Chore.PAYLOADS: keep.payloads,
        Chore.EVENTS: keep.attempts,
        Chore.HISTORY: 0,
        Chore.AUDIT: keep.audit,
        Chore.MINUTE_STATS: keep.minute_stats,
        Chore.HOUR_STATS: keep.hour_stats,
    }
    return now - days[chore] * DAY_MS


class _Held:
    """A delivery is held from when it would have been sent: its due time, or its lane's pause after it."""

    def behind(self, db: apsw.Connection, cutoff: int, _now: int, _limit: int) -> int | None:
        rows = fetch(db, _HELD_LANES, (cutoff, 1))
        return cutoff - rows[0][1] if rows else None

    def step(self, tx: Transaction, cutoff: int, now: int, limit: int) -> Removed:
        lanes = [lane for lane, _ in fetch(tx.db, _HELD_LANES, (cutoff, limit))]
        given_up = 0
        for lane in lanes:
            rows = fetch(tx.db, _GIVE_UP, (now, lane, cutoff, limit - given_up))
            given_up += len(rows)
            for business_id, integration_id, event_type, created_at in rows:
                key = (business_id, integration_id, event_type)
                tx.rollups.finished(key, DeliveryState.DEAD, created_at, now)
        set_right(tx.db, lanes)
        return {"held": given_up}


class _History:
    """What an integration wanted is needed until what it wanted next is older than all events."""

    def behind(self, db: apsw.Connection, _cutoff: int, _now: int, _limit: int) -> int | None:
        return 0 if fetch(db, _FOLLOWERS, (1,)) else None

    def step(self, tx: Transaction, _cutoff: int, _now: int, limit: int) -> Removed:
        rows = fetch(tx.db, _FOLLOWERS, (limit,))
        if not rows:
            return {}
        removed = len(_FOLLOWED.run(tx.db, rows))
        tx.db.execute("UPDATE meta SET history_reached = ?", (rows[-1][1],))
        return {"history": removed}


class _Audit:
    def behind(self, db: apsw.Connection, cutoff: int, _now: int, _limit: int) -> int | None:
        oldest = db.execute("SELECT at FROM audit ORDER BY id LIMIT 1").get
        return None if oldest is None or oldest > cutoff else cutoff - oldest

    def step(self, tx: Transaction, cutoff: int, _now: int, limit: int) -> Removed:
        tx.db.execute(
            "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?) AND at <= ?",
            (limit, cutoff),
        )
        return {"audit": tx.db.changes()}


class _Stats:
    """Buckets of these lengths; each goes when all of it is due."""

    def __init__(self, kind: str, *grains: int) -> None:
        self._kind = kind
        self._parts = [(table, grain) for grain in grains for table in TABLES]

    def behind(self, db: apsw.Connection, cutoff: int, _now: int, _limit: int) -> int | None:
        ends = [
            start + grain
            for table, grain in self._parts
            for (start,) in db.execute(_FIRST_BUCKET.format(table.name), (grain, cutoff - grain))
        ]
        return cutoff - min(ends) if ends else None

    def step(self, tx: Transaction, cutoff: int, _now: int, limit: int) -> Removed:
        removed = 0
        for table, grain in self._parts:
            tx.db.execute(_delete_buckets(table), (grain, cutoff - grain, limit - removed))
            removed += tx.db.changes()
        return {self._kind: removed}


def _delete_buckets(table: Table) -> str:
    key = ", ".join(("grain", "start", "business_id", *table.keys))
    return (
        f"DELETE FROM {table.name} WHERE ({key}) IN"
        f" (SELECT {key} FROM {table.name} WHERE grain = ? AND start <= ? ORDER BY start LIMIT ?)"
    )


_WORK: Mapping[Chore, Work] = {
    Chore.HELD: _Held(),
    Chore.PAYLOADS: PAYLOADS,
    Chore.EVENTS: EVENTS,
    Chore.HISTORY: _History(),
    Chore.AUDIT: _Audit(),
    Chore.MINUTE_STATS: _Stats("minute_stats", MINUTE_MS),
    Chore.HOUR_STATS: _Stats("hour_stats", HOUR_MS, DAY_MS),
}
