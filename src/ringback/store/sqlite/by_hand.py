"""What people do to single deliveries: one more attempt now, or none any more."""

from __future__ import annotations

from typing import NamedTuple

import apsw

from ringback import ids
from ringback.errors import Conflict, NotFound
from ringback.model import EXHAUSTED, FINISHED, WAITING, DeliveryState
from ringback.store.port import Change, DeliveryRow
from ringback.store.sqlite import audit
from ringback.store.sqlite.delivery_rows import delivery_rows
from ringback.store.sqlite.lanes import lower_to
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

_FACTS = """
SELECT d.id, d.business_id, d.integration_id, d.event_type, d.state, d.attempts, d.replayed, d.created_at,
    d.finished_at, d.test, ifnull(l.deleted, 1), e.data IS NULL
FROM deliveries d JOIN events e ON e.id = d.event_row LEFT JOIN lanes l USING (integration_id)
WHERE d.id = ? AND d.business_id = ?
"""
_QUEUE_AGAIN = """
UPDATE deliveries SET state = 'queued', manual = 1, due_at = ?, tries = max(tries, ?), finished_at = NULL
WHERE id = ?
"""
_CANCEL = """
UPDATE deliveries SET state = 'cancelled', manual = 0, due_at = NULL, finished_at = ? WHERE id = ?
"""


class _Facts(NamedTuple):
    """What decides whether a delivery may be touched, and how it counts."""

    delivery_id: int
    business_id: int
    integration_id: int
    event_type: str
    state: str
    attempts: int
    replayed: int
    created_at: int
    finished_at: int | None
    test: int
    deleted: int
    without_payload: int


def retry_delivery(tx: Transaction, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
    facts = _facts(tx.db, business_id, delivery_id)
    obstacle = _obstacle_to_retry(facts)
    if obstacle is not None:
        raise Conflict(obstacle)
    over = facts.state in FINISHED
    if over:
        _count(tx, facts, -1)
    fetch(tx.db, _QUEUE_AGAIN, (change.at, EXHAUSTED if over else 0, delivery_id))
    lower_to(tx.db, [(facts.integration_id, change.at)])
    return _changed(tx, facts, change)


def cancel_delivery(tx: Transaction, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
    facts = _facts(tx.db, business_id, delivery_id)
    if facts.state not in WAITING or facts.deleted:
        shown = DeliveryState.CANCELLED if facts.state in WAITING else facts.state
        raise Conflict(f"the delivery is {shown}; only one that waits can be cancelled")
    fetch(tx.db, _CANCEL, (change.at, delivery_id))
    _count(tx, _facts(tx.db, business_id, delivery_id), 1)
    return _changed(tx, facts, change)


def _obstacle_to_retry(facts: _Facts) -> str | None:
    if facts.state in (DeliveryState.SENDING, DeliveryState.QUEUED):
        return f"the delivery is {facts.state} already"
    if facts.test:
        return "a test is not sent again; send another one"
    if facts.deleted:
        return "its integration is deleted"
    return "its payload is past retention" if facts.without_payload else None


def _facts(db: apsw.Connection, business_id: int, delivery_id: int) -> _Facts:
    rows = fetch(db, _FACTS, (delivery_id, business_id))
    if not rows:
        raise NotFound("there is no such delivery")
    return _Facts(*rows[0])


def _count(tx: Transaction, facts: _Facts, amount: int) -> None:
    if facts.test or facts.finished_at is None:
        return
    tx.rollups.finished(
        (facts.business_id, facts.integration_id, facts.event_type),
        DeliveryState(facts.state),
        facts.created_at,
        facts.finished_at,
        first_try=facts.attempts == 1 and not facts.replayed,
        amount=amount,
    )


def _changed(tx: Transaction, facts: _Facts, change: Change) -> DeliveryRow:
    audit.note(tx.db, change, ids.public(ids.DELIVERY, facts.delivery_id), facts.business_id)
    return delivery_rows(tx.db, [facts.delivery_id])[0]
