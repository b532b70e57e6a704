"""A business' own event types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apsw
import msgspec

from ringback.catalog import MAX_OWN_BYTES, MAX_OWN_TYPES, EventType
from ringback.errors import Conflict, NotFound
from ringback.schemas import Cost
from ringback.store.port import Change
from ringback.store.sqlite import audit
from ringback.store.sqlite.businesses import get_business
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

_SAVE = """
INSERT INTO event_types
    (business_id, event_type, changed, deprecated, bytes, cost, description, example, schema)
SELECT business_id, ?2, changed, ?3, ?4, ?5, ?6, ?7, ?8 FROM businesses WHERE business_id = ?1
ON CONFLICT (business_id, event_type) DO UPDATE SET changed = excluded.changed,
    deprecated = excluded.deprecated, bytes = excluded.bytes, cost = excluded.cost,
    description = excluded.description, example = excluded.example, schema = excluded.schema
"""
_OTHERS = """
SELECT count(*), ifnull(sum(bytes), 0) FROM event_types WHERE business_id = ? AND event_type <> ?
"""
_DELETE = "DELETE FROM event_types WHERE business_id = ? AND event_type = ? RETURNING 1"
_NAMES = "SELECT event_type, changed FROM event_types WHERE business_id = ?"
_ROWS = """
SELECT event_type, description, schema, example, deprecated, cost FROM event_types
WHERE business_id = ? AND event_type IN (SELECT value FROM json_each(?))
"""


def save_event_type(tx: Transaction, business_id: int, event_type: EventType, change: Change) -> None:
    get_business(tx.db, business_id)
    schema, example = _json(event_type.schema), _json(event_type.example)
    size = len(schema) + len(example)
    _check_room(tx.db, business_id, event_type.name, size)
    audit.mark_changed(tx.db, business_id)
    tx.db.execute(
        _SAVE,
        (
            business_id,
            event_type.name,
            event_type.deprecated,
            size,
            _json(event_type.cost),
            event_type.description,
            example,
            schema,
        ),
    )
    audit.note(tx.db, change, event_type.name, business_id)


def delete_event_type(tx: Transaction, business_id: int, name: str, change: Change) -> None:
    get_business(tx.db, business_id)
    if not fetch(tx.db, _DELETE, (business_id, name)):
        raise NotFound("this business has no such event type of its own")
    audit.mark_changed(tx.db, business_id)
    audit.note(tx.db, change, name, business_id)


def event_types_of(
    db: apsw.Connection, business_id: int, known: Mapping[str, EventType], known_version: int
) -> dict[str, EventType]:
    """Those in `known`, which were there at that version, are shared where they have not changed: what they
    have compiled is not compiled again."""
    changes = dict(fetch(db, _NAMES, (business_id,)))
    kept = {name for name in known if changes.get(name, known_version + 1) <= known_version}
    fresh = [name for name in changes if name not in kept]
    loaded = fetch(db, _ROWS, (business_id, _json(fresh))) if fresh else []
    return {name: known[name] for name in kept} | {row[0]: _type_of(row) for row in loaded}


def _check_room(db: apsw.Connection, business_id: int, name: str, size: int) -> None:
    ((count, total),) = fetch(db, _OTHERS, (business_id, name))
    if count >= MAX_OWN_TYPES:
        raise Conflict(f"the business has {MAX_OWN_TYPES} event types of its own, which is the most")
    if total + size > MAX_OWN_BYTES:
        raise Conflict(f"schemas and examples of one business may have {MAX_OWN_BYTES:,} bytes together")


def _type_of(row: tuple[Any, ...]) -> EventType:
    name, description, schema, example, deprecated, cost = row
    return EventType(
        name=name,
        description=description,
        schema=msgspec.json.decode(schema),
        example=msgspec.json.decode(example),
        deprecated=bool(deprecated),
        cost=msgspec.json.decode(cost, type=Cost),
    )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
