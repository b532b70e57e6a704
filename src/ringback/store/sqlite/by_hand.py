"""What people do to deliveries of their choice: one more attempt now, or none any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import apsw

from ringback import ids
from ringback.errors import Conflict, NotFound
from ringback.model import EXHAUSTED, WAITING, DeliveryState
from ringback.store.port import Change, DeliveryRow, Retried
from ringback.store.sqlite import audit
from ringback.store.sqlite.delivery_rows import delivery_rows
from ringback.store.sqlite.lanes import id_list, lower_to
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

_FACTS = """
SELECT d.id, d.business_id, d.integration_id, d.event_type, d.state, d.attempts, d.replayed, d.created_at,
    d.finished_at, d.test, ifnull(l.deleted, 1), e.data IS NULL
FROM deliveries d JOIN events e ON e.id = d.event_row LEFT JOIN lanes l USING (integration_id)
WHERE d.id IN (SELECT value FROM json_each(?)) AND d.business_id = ?
"""
_QUEUE_AGAIN = """
UPDATE deliveries SET state = 'queued', manual = 1, due_at = ?,
    tries = iif(finished_at IS NULL, tries, max(tries, ?)), finished_at = NULL
WHERE id IN (SELECT value FROM json_each(?))
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
    (retried,) = retry_deliveries(tx, business_id, [delivery_id], change)
    if retried.row is None:
        raise NotFound("there is no such delivery")
    if retried.obstacle is not None:
        raise Conflict(retried.obstacle)
    return retried.row


def retry_deliveries(
    tx: Transaction, business_id: int, delivery_ids: Sequence[int], change: Change
) -> tuple[Retried, ...]:
    found = _facts(tx.db, business_id, delivery_ids)
    obstacles = {delivery_id: _obstacle_to_retry(facts) for delivery_id, facts in found.items()}
    _queue_again(tx, [facts for facts in found.values() if obstacles[facts.delivery_id] is None], change)
    rows = {row.delivery_id: row for row in delivery_rows(tx.db, found)}
    return tuple(
        Retried(delivery_id=one, row=rows.get(one), obstacle=obstacles.get(one)) for one in delivery_ids
    )


def _queue_again(tx: Transaction, chosen: Sequence[_Facts], change: Change) -> None:
    if not chosen:
        return
    for facts in chosen:
        _count(tx, facts, -1)
    fetch(tx.db, _QUEUE_AGAIN, (change.at, EXHAUSTED, id_list([facts.delivery_id for facts in chosen])))
    lower_to(tx.db, [(lane, change.at) for lane in {facts.integration_id for facts in chosen}])
    things = [ids.public(ids.DELIVERY, facts.delivery_id) for facts in chosen]
    audit.note_each(tx.db, change, things, chosen[0].business_id)


def cancel_delivery(tx: Transaction, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
    facts = _facts_of_one(tx.db, business_id, delivery_id)
    if facts.state not in WAITING or facts.deleted:
        shown = DeliveryState.CANCELLED if facts.state in WAITING else facts.state
        raise Conflict(f"the delivery is {shown}; only one that waits can be cancelled")
    fetch(tx.db, _CANCEL, (change.at, delivery_id))
    _count(tx, _facts_of_one(tx.db, business_id, delivery_id), 1)
    audit.note(tx.db, change, ids.public(ids.DELIVERY, delivery_id), business_id)
    return delivery_rows(tx.db, [delivery_id])[0]


def _obstacle_to_retry(facts: _Facts) -> str | None:
    if facts.state in (DeliveryState.SENDING, DeliveryState.QUEUED):
        return f"the delivery is {facts.state} already"
    if facts.test:
        return "a test is not sent again; send another one"
    if facts.deleted:
        return "its integration is deleted"
    return "its payload is past retention" if facts.without_payload else None


def _facts(db: apsw.Connection, business_id: int, delivery_ids: Sequence[int]) -> dict[int, _Facts]:
    """By the ids of those that are there."""
    rows = fetch(db, _FACTS, (id_list(delivery_ids), business_id))
    return {row[0]: _Facts(*row) for row in rows}


def _facts_of_one(db: apsw.Connection, business_id: int, delivery_id: int) -> _Facts:
    facts = _facts(db, business_id, [delivery_id]).get(delivery_id)
    if facts is None:
        raise NotFound("there is no such delivery")
    return facts


def _count(tx: Transaction, facts: _Facts, amount: int) -> None:
    if facts.test or facts.finished_at is None:
        return
    tx.rollups.finished(
        (facts.business_id, facts.integration_id, facts.event_type),
        DeliveryState(facts.state),
        facts.created_at,
        facts.finished_at,
        first_try=facts.attempts == 1 and not facts.replayed,
        by_hand=bool(facts.replayed),
        amount=amount,
    )
