"""Deliveries as they are shown: with their event, their integration's name, and the state of their lane."""

from __future__ import annotations

from collections.abc import Collection

import apsw

from ringback.store.port import DeliveryRow
from ringback.store.sqlite.lanes import id_list
from ringback.store.sqlite.rows import fetch, value_of

_SHOWN_STATE = """
CASE WHEN d.state NOT IN ('queued', 'retrying') THEN d.state
    WHEN l.deleted THEN 'cancelled' WHEN l.held THEN 'held' ELSE d.state END
"""
_ROWS = f"""
SELECT d.id, e.event_id, d.event_type, d.business_id, d.integration_id,
    ifnull(i.friendly_name, ''), {_SHOWN_STATE}, d.attempts, d.tries,
    iif(l.deleted AND d.state <> 'sending', NULL, d.due_at), d.last_status, d.last_failure, d.test,
    d.replayed OR d.manual, d.created_at, d.finished_at, ifnull(i.settings ->> '$.format', 'iqra')
FROM deliveries d JOIN events e ON e.id = d.event_row
    LEFT JOIN lanes l USING (integration_id) LEFT JOIN integrations i USING (integration_id)
WHERE d.id IN (SELECT value FROM json_each(?))
ORDER BY d.id DESC
"""


def delivery_rows(db: apsw.Connection, delivery_ids: Collection[int]) -> tuple[DeliveryRow, ...]:
    """Newest first; ids that are not there are left out."""
    return tuple(value_of(DeliveryRow, row) for row in fetch(db, _ROWS, (id_list(delivery_ids),)))


def deliveries_of(db: apsw.Connection, business_id: int, event_id: str) -> range:
    """The ids of an event's deliveries; none where there is no such event."""
    rows = fetch(
        db, "SELECT id, fanout FROM events WHERE business_id = ? AND event_id = ?", (business_id, event_id)
    )
    return range(rows[0][0] + 1, rows[0][0] + 1 + rows[0][1]) if rows else range(0)
