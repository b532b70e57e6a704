"""Deliveries for people to read: filtered lists, and one with all its attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec
from sqlalchemy import bindparam, literal_column

from ringback.errors import NotFound
from ringback.model import HELD, DeliveryState, Timings
from ringback.store.port import AttemptRow, DeliveryFilter, DeliveryRow, Page
from ringback.store.sqlite.delivery_rows import deliveries_of, delivery_rows
from ringback.store.sqlite.lanes import waiting_lanes
from ringback.store.sqlite.pages import Source, Walk, page_of_ids, time_bounds
from ringback.store.sqlite.rows import fetch, value_of
from ringback.store.tables import Condition, deliveries

_D = deliveries.c
_WAITING_OF_LANE: tuple[Condition, ...] = (
    _D.integration_id == bindparam("lane"),
    _D.state == bindparam("stored"),
    literal_column("state IN ('queued', 'retrying')"),
)
_STATUS_WITHOUT_INDEX = 200
_STATE_INDEXES: dict[str, str] = {
    DeliveryState.DEAD: "deliveries_dead",
    DeliveryState.CANCELLED: "deliveries_cancelled",
}
_BOTH = (DeliveryState.QUEUED, DeliveryState.RETRYING)
# What waits in lanes is shown by the lane's state: open, held or deleted.
_STATES_OF_LANES: dict[str, tuple[DeliveryState, ...]] = {
    DeliveryState.QUEUED: (DeliveryState.QUEUED,),
    DeliveryState.RETRYING: (DeliveryState.RETRYING,),
    HELD: _BOTH,
    DeliveryState.CANCELLED: _BOTH,
    DeliveryState.DEAD: (),
}
_JSON_COLUMNS = ("response_headers", "header_names")
_ATTEMPTS = """
SELECT delivery_id, number, started_at, status, failure, detail, response_headers, response_body, truncated,
    remote_address, http_version, signatures, header_names, replay,
    dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms
FROM attempts WHERE delivery_id = ? ORDER BY number
"""


def list_deliveries(
    db: apsw.Connection, business_id: int, wanted: DeliveryFilter, limit: int, before: int | None
) -> Page[DeliveryRow]:
    if wanted.event_id is not None:
        return _list_of_event(db, business_id, wanted, limit, before)
    lowest, below = time_bounds(db, wanted.since, wanted.until, before)
    sources, covered = _sources(db, business_id, wanted)
    conditions = tuple(
        condition for name, condition in _conditions(business_id, wanted).items() if name not in covered
    )
    walk = Walk(deliveries, conditions, limit, lowest, below)
    found, next_before = page_of_ids(db, walk, sources)
    return Page(items=delivery_rows(db, found), next_before=next_before)


def get_delivery(
    db: apsw.Connection, business_id: int, delivery_id: int
) -> tuple[DeliveryRow, tuple[AttemptRow, ...]]:
    rows = delivery_rows(db, [delivery_id])
    if not rows or rows[0].business_id != business_id:
        raise NotFound("there is no such delivery")
    return rows[0], tuple(_attempt_of(row) for row in fetch(db, _ATTEMPTS, (delivery_id,)))


def _conditions(business_id: int, wanted: DeliveryFilter) -> dict[str, Condition]:
    """By the filter's names; those that are not None, and the business."""
    columns = {
        "business_id": (_D.business_id, business_id),
        "integration_id": (_D.integration_id, wanted.integration_id),
        "state": (_D.state, wanted.state),
        "event_type": (_D.event_type, wanted.event_type),
        "status": (_D.last_status, wanted.status),
        "failure_class": (_D.last_failure, wanted.failure_class),
        "test": (_D.test, wanted.test),
    }
    found = {name: column == value for name, (column, value) in columns.items() if value is not None}
    if wanted.since is not None:
        found["since"] = _D.created_at >= wanted.since
    if wanted.until is not None:
        found["until"] = _D.created_at < wanted.until
    return found


# The sources, and the filters that they answer by themselves.
Chosen = tuple[list[Source], frozenset[str]]


def _sources(db: apsw.Connection, business_id: int, wanted: DeliveryFilter) -> Chosen:
    """What leaves the least to look through."""
    if wanted.state in _STATE_INDEXES or wanted.state in _STATES_OF_LANES:
        return _of_state(db, business_id, wanted.state, wanted.integration_id)
    if wanted.state == DeliveryState.SENDING:
        keys = (_D.state == literal_column("'sending'"), _D.business_id == business_id)
        return [Source("deliveries_leased", keys)], frozenset({"business_id", "state"})
    return _of_columns(business_id, wanted)


def _of_state(db: apsw.Connection, business_id: int, state: str, integration_id: int | None) -> Chosen:
    """Waiting deliveries are walked lane by lane, so that held ones are never in the way."""
    given = tuple(
        {"lane": lane, "stored": stored}
        for lane in waiting_lanes(db, business_id, state, integration_id)
        for stored in _STATES_OF_LANES[state]
    )
    waiting = Source("deliveries_waiting_by_id", _WAITING_OF_LANE, given)
    if state not in _STATE_INDEXES:
        return [waiting], frozenset({"business_id", "state", "integration_id"})
    keys = (_D.business_id == business_id, _D.state == literal_column(f"'{state}'"))
    return [Source(_STATE_INDEXES[state], keys), waiting], frozenset({"business_id", "state"})


def _of_columns(business_id: int, wanted: DeliveryFilter) -> Chosen:
    own = _D.business_id == business_id
    keys: tuple[Condition, ...]
    if wanted.failure_class is not None:
        keys = (own, _D.last_failure == wanted.failure_class)
        return [Source("deliveries_by_failure", keys)], frozenset({"business_id", "failure_class"})
    if wanted.status is not None and wanted.status != _STATUS_WITHOUT_INDEX:
        keys = (own, _D.last_status == wanted.status, _D.last_status != literal_column("200"))
        return [Source("deliveries_by_status", keys)], frozenset({"business_id", "status"})
    if wanted.test:
        keys = (own, _D.test == literal_column("1"))
        return [Source("deliveries_tests", keys)], frozenset({"business_id", "test"})
    if wanted.integration_id is not None:
        keys = (_D.integration_id == wanted.integration_id,)
        return [Source("deliveries_by_integration", keys)], frozenset({"integration_id"})
    return [Source("deliveries_by_business", (own,))], frozenset({"business_id"})


def _list_of_event(
    db: apsw.Connection, business_id: int, wanted: DeliveryFilter, limit: int, before: int | None
) -> Page[DeliveryRow]:
    """An event has as many deliveries as integrations wanted it: few enough to look at each."""
    rows = [
        row
        for row in delivery_rows(db, deliveries_of(db, business_id, wanted.event_id or ""))
        if _matches(row, wanted) and (before is None or row.delivery_id < before)
    ]
    items = tuple(rows[:limit])
    return Page(items=items, next_before=items[-1].delivery_id if len(rows) > limit else None)


def _matches(row: DeliveryRow, wanted: DeliveryFilter) -> bool:
    pairs = (
        (wanted.integration_id, row.integration_id),
        (wanted.state, row.state),
        (wanted.event_type, row.event_type),
        (wanted.status, row.last_status),
        (wanted.failure_class, row.last_failure),
        (wanted.test, row.test),
    )
    return (
        all(value is None or value == found for value, found in pairs)
        and (wanted.since is None or row.created_at >= wanted.since)
        and (wanted.until is None or row.created_at < wanted.until)
    )


def _attempt_of(row: Sequence[Any]) -> AttemptRow:
    """The columns are the value's fields, but for the timings, which come last."""
    names = [name for name in AttemptRow.__struct_fields__ if name != "timings"]
    plain, timings = row[: len(names)], value_of(Timings, row[len(names) :])
    found = {
        name: msgspec.json.decode(value) if name in _JSON_COLUMNS else value
        for name, value in zip(names, plain, strict=True)
    }
    return msgspec.convert({**found, "timings": timings}, AttemptRow, strict=False)
