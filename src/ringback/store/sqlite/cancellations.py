"""What a deleted integration left waiting is cancelled step by step, after the request that deleted it."""

from __future__ import annotations

from ringback.model import DeliveryState
from ringback.store.sqlite.lanes import lanes_to_cancel, set_right
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

_CANCEL_WAITING = """
UPDATE deliveries SET state = 'cancelled', manual = 0, due_at = NULL, finished_at = ?
WHERE id IN (
    SELECT id FROM deliveries INDEXED BY deliveries_waiting
    WHERE integration_id = ? AND state IN ('queued', 'retrying') ORDER BY due_at LIMIT ?)
RETURNING business_id, integration_id, event_type, created_at
"""


def finish_cancellations(tx: Transaction, limit: int, now: int) -> int:
    cancelled = 0
    lanes = lanes_to_cancel(tx.db, limit)
    for lane in lanes:
        rows = fetch(tx.db, _CANCEL_WAITING, (now, lane, limit - cancelled))
        cancelled += len(rows)
        for business_id, integration_id, event_type, created_at in rows:
            tx.rollups.finished(
                (business_id, integration_id, event_type), DeliveryState.CANCELLED, created_at, now
            )
    set_right(tx.db, lanes)
    return cancelled
