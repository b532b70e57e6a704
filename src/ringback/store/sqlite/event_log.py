"""Events for people to read."""

from __future__ import annotations

import apsw
from sqlalchemy import literal_column

from ringback.errors import NotFound
from ringback.store.port import DeliveryRow, EventFilter, EventRow, Page
from ringback.store.sqlite.delivery_rows import delivery_rows
from ringback.store.sqlite.lanes import id_list
from ringback.store.sqlite.pages import Source, Walk, page_of_ids, time_bounds
from ringback.store.sqlite.rows import fetch, value_of
from ringback.store.tables import Condition, events

_E = events.c
_COLUMNS = "id, event_id, event_type, business_id, timestamp, accepted_at, fanout, data, schema_errors, test"
_ROWS = f"SELECT {_COLUMNS} FROM events WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC"
_ROW = f"SELECT {_COLUMNS} FROM events WHERE business_id = ? AND event_id = ?"


def list_events(
    db: apsw.Connection, business_id: int, wanted: EventFilter, limit: int, before: int | None
) -> Page[EventRow]:
    lowest, below = time_bounds(db, wanted.since, wanted.until, before)
    walk = Walk(events, tuple(_conditions(wanted)), limit, lowest, below)
    found, next_before = page_of_ids(db, walk, [_source(business_id, wanted)])
    rows = fetch(db, _ROWS, (id_list(found),))
    return Page(items=tuple(value_of(EventRow, row) for row in rows), next_before=next_before)


def get_event(
    db: apsw.Connection, business_id: int, event_id: str
) -> tuple[EventRow, tuple[DeliveryRow, ...]]:
    rows = fetch(db, _ROW, (business_id, event_id))
    if not rows:
        raise NotFound("there is no such event")
    event = value_of(EventRow, rows[0])
    first = event.row_id + 1
    return event, delivery_rows(db, range(first, first + event.deliveries))[::-1]


def _source(business_id: int, wanted: EventFilter) -> Source:
    own = _E.business_id == business_id
    if wanted.test:
        return Source("events_tests", (own, _E.test == literal_column("1")))
    return Source("events_by_business", (own,))


def _conditions(wanted: EventFilter) -> list[Condition]:
    found: list[Condition] = []
    if wanted.event_type is not None:
        found.append(_E.event_type == wanted.event_type)
    if wanted.test is False:
        found.append(_E.test == wanted.test)
    if wanted.since is not None:
        found.append(_E.accepted_at >= wanted.since)
    if wanted.until is not None:
        found.append(_E.accepted_at < wanted.until)
    return found
