"""Leasing what is due, a few deliveries of each lane, and giving leases back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw

from ringback.model import Leased, Message, Node
from ringback.store.port import Claimed
from ringback.store.sqlite.lanes import id_list, lower_to, open_lanes, set_right
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

_DUE_OF_LANE = """
SELECT d.id, d.integration_id, d.attempts, d.tries, d.due_at, d.created_at, d.manual,
    e.event_id, e.event_type, e.business_id, e.timestamp, e.data
FROM deliveries d INDEXED BY deliveries_waiting CROSS JOIN events e ON e.id = d.event_row
WHERE d.integration_id = ? AND d.state IN ('queued', 'retrying') AND d.due_at <= ?
ORDER BY d.due_at, d.id LIMIT ?
"""
_LEASE = """
UPDATE deliveries SET state = 'sending', node_id = ?, epoch = ?
WHERE id IN (SELECT value FROM json_each(?))
"""
_GIVE_BACK = """
UPDATE deliveries
SET state = iif(manual OR attempts = 0, 'queued', 'retrying'), node_id = NULL, epoch = NULL
WHERE id IN (SELECT value FROM json_each(?)) AND state = 'sending' AND node_id = ? AND epoch = ?
RETURNING integration_id, due_at
"""


def claim(tx: Transaction, quotas: Mapping[int, int], node: Node, now: int) -> Claimed:
    lanes = open_lanes(tx.db, quotas)
    leased = tuple(
        _leased(*row) for lane in lanes for row in fetch(tx.db, _DUE_OF_LANE, (lane, now, quotas[lane]))
    )
    if leased:
        ids = id_list([one.delivery_id for one in leased])
        tx.db.execute(_LEASE, (node.node_id, node.epoch, ids))
    found = set_right(tx.db, lanes) if lanes else {}
    return Claimed(leased=leased, next_due={lane: found.get(lane) for lane in quotas})


def release(tx: Transaction, delivery_ids: Sequence[int], node: Node) -> int:
    given_back = give_back(tx.db, delivery_ids, node.node_id, node.epoch)
    return len(given_back)


def give_back(
    db: apsw.Connection, delivery_ids: Sequence[int], node_id: int, epoch: int
) -> list[tuple[int, int]]:
    """Lane and due time of each delivery that this life of the node had leased and that waits again."""
    waiting = fetch(db, _GIVE_BACK, (id_list(delivery_ids), node_id, epoch))
    lower_to(db, earliest(waiting))
    return waiting


def earliest(due: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """One entry a lane: the earliest time."""
    return list(dict(sorted(due, key=lambda one: one[1], reverse=True)).items())


def _leased(
    delivery_id: int,
    integration_id: int,
    attempts: int,
    tries: int,
    due_at: int,
    created_at: int,
    manual: int,
    event_id: str,
    event_type: str,
    business_id: int,
    timestamp: int,
    data: bytes,
) -> Leased:
    return Leased(
        delivery_id=delivery_id,
        integration_id=integration_id,
        message=Message(
            event_id=event_id,
            event_type=event_type,
            business_id=business_id,
            timestamp=timestamp,
            data=data,
        ),
        attempts=attempts,
        tries=tries,
        due_at=due_at,
        created_at=created_at,
        replay=bool(manual),
    )
