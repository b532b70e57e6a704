"""How the whole system does: its nodes, its traffic, its room."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

import apsw

from ringback.statistics import MINUTE_MS
from ringback.store.port import NodeRow, NodeState, SystemState, Traffic
from ringback.store.sqlite.node_locks import NodeLocks
from ringback.store.sqlite.rollups import ATTEMPTS, INTAKE, Table
from ringback.store.sqlite.rows import fetch

_NODES = "SELECT node_id, joined_at, seen_at, left_at FROM nodes ORDER BY node_id"
_MINUTES = 60


def system_state(db: apsw.Connection, locks: NodeLocks, now: int) -> SystemState:
    return SystemState(
        nodes=tuple(_node(locks, *row) for row in fetch(db, _NODES)),
        last_minute=_traffic(db, now, 1),
        last_hour=_traffic(db, now, _MINUTES),
        database_bytes=_bytes(db),
        disk_free_bytes=shutil.disk_usage(os.path.dirname(db.filename)).free,
    )


def _node(locks: NodeLocks, node_id: int, joined_at: int, seen_at: int, left_at: int | None) -> NodeRow:
    return NodeRow(
        node_id=node_id,
        state=_state(locks, node_id) if left_at is None else NodeState.LEFT,
        joined_at=joined_at,
        seen_at=seen_at,
        left_at=left_at,
    )


def _state(locks: NodeLocks, node_id: int) -> NodeState:
    return NodeState.DEAD if locks.is_free(node_id) else NodeState.ALIVE


def _traffic(db: apsw.Connection, now: int, minutes: int) -> Traffic:
    """In the last whole minutes."""
    until = now - now % MINUTE_MS
    since = until - minutes * MINUTE_MS
    events = _counted(db, INTAKE, "events", since, until)
    return Traffic(events, _counted(db, ATTEMPTS, "succeeded + failed", since, until))


def _counted(db: apsw.Connection, table: Table, counter: str, since: int, until: int) -> int:
    whole = " AND integration_id = 0" if table.wholes else ""
    (found,) = fetch(
        db,
        f"SELECT (SELECT total({counter}) FROM {table.name}"
        f" WHERE grain = ?1 AND start >= ?2 AND start < ?3{whole})"
        f" + (SELECT total({counter}) FROM {table.fresh} WHERE start >= ?2 AND start < ?3)",
        (MINUTE_MS, since, until),
    )
    return int(found[0])


def _bytes(db: apsw.Connection) -> int:
    """The file, and the log of what is not in it yet."""
    size = 0
    for name in (db.filename, db.filename_wal):
        with suppress(FileNotFoundError):
            size += os.path.getsize(name)
    return size
