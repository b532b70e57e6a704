"""What is in the database, read from its tables into the reference's words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeVar

import apsw
import msgspec

from ringback.model import Value
from ringback.statistics import GRAINS_MS
from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.rollups import TABLES, Table
from ringback.store.sqlite.rows import fetch
from tests.model.contents import Attempt, Delivery, Endpoint, Event, Owner
from tests.model.counts import KEYS, Counts
from tests.model.reference import Reference

T = TypeVar("T")
_MESSAGE = ("event_id", "event_type", "business_id", "timestamp", "data")
_DELIVERY = (
    *("event_row", "business_id", "integration_id", "event_type", "state", "created_at", "due_at"),
    *("finished_at", "attempts", "tries", "manual", "replayed", "test", "last_status", "last_failure"),
)


class Lane(Value, frozen=True, kw_only=True):
    held: bool
    deleted: bool
    due_at: int | None


class Found(Value, frozen=True, kw_only=True):
    reference: Reference
    lanes: dict[int, Lane]
    counts: Counts


async def look(store: SqliteStore) -> Found:
    return await store._db.read(_found)


async def health(store: SqliteStore) -> str:
    """`ok`, or what is damaged."""
    return str(await store._db.read(lambda db: db.pragma("integrity_check")))


def _found(db: apsw.Connection) -> Found:
    lanes = _select(db, "lanes", "integration_id", "held", "deleted", "due_at")
    return Found(
        reference=_reference(db),
        lanes={row["integration_id"]: _convert(row, Lane) for row in lanes},
        counts=_counts(db),
    )


def _reference(db: apsw.Connection) -> Reference:
    ((configuration, audited),) = fetch(db, "SELECT configuration, (SELECT count(*) FROM audit) FROM meta")
    owners = _select(db, "businesses", "business_id", "enabled", "deleted_at")
    endpoints = _select(db, "integrations", "integration_id", "business_id", "state", "version", "deleted_at")
    return Reference(
        configuration=configuration,
        audited=audited,
        businesses={row["business_id"]: _configured(row, Owner) for row in owners},
        integrations={row["integration_id"]: _configured(row, Endpoint) for row in endpoints},
        events=dict(_events(db)),
        deliveries=dict(_deliveries(db)),
        attempts=dict(_attempts(db)),
    )


def _events(db: apsw.Connection) -> Iterator[tuple[int, Event]]:
    for row in _select(db, "events", "id", "accepted_at", "fanout", "test", *_MESSAGE):
        message = {name: row[name] for name in _MESSAGE}
        # Past retention there is no payload.
        message["data"] = row["data"] or b""
        yield row["id"], _convert({**row, "message": message}, Event)


def _deliveries(db: apsw.Connection) -> Iterator[tuple[int, Delivery]]:
    for row in _select(db, "deliveries", "id", "node_id", "epoch", *_DELIVERY):
        lease = None if row["node_id"] is None else {"node_id": row["node_id"], "epoch": row["epoch"]}
        yield row["id"], _convert({**row, "lease": lease}, Delivery)


def _attempts(db: apsw.Connection) -> Iterator[tuple[tuple[int, int], Attempt]]:
    names = ("delivery_id", "number", "ended_at", "total_ms", "status", "failure", "replay")
    for row in _select(db, "attempts", *names):
        yield (row["delivery_id"], row["number"]), _convert(row, Attempt)


def _counts(db: apsw.Connection) -> Counts:
    """What is folded already and what is still fresh, added up; without what is no sum."""
    found: Counts = Counter()
    for table in TABLES:
        keys = KEYS[table.name]
        for row in _select(db, table.name, "grain", "start", *keys, *table.sums):
            if not table.wholes or row["integration_id"]:
                _add(found, table, row, row["grain"])
        for row in _select(db, table.fresh, "start", *keys, *table.sums):
            for grain in GRAINS_MS:
                _add(found, table, row, grain)
    return Counter({cell: count for cell, count in found.items() if count})


def _add(found: Counts, table: Table, row: dict[str, Any], grain: int) -> None:
    start, key = row["start"] - row["start"] % grain, tuple(row[name] for name in KEYS[table.name])
    for column in table.sums:
        found[grain, start, (table.name, key, column)] += row[column]


def _select(db: apsw.Connection, table: str, *columns: str) -> list[dict[str, Any]]:
    rows = fetch(db, f"SELECT {', '.join(columns)} FROM {table}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _configured(row: dict[str, Any], kind: type[T]) -> T:
    return _convert({**row, "deleted": row["deleted_at"] is not None}, kind)


def _convert(row: dict[str, Any], kind: type[T]) -> T:
    """SQLite's 0 and 1 become booleans."""
    return msgspec.convert(row, kind, strict=False)
