"""A node's life in the database: its epochs, its leases, and the rescue of what the dead left behind."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from ringback.model import Node
from ringback.store.sqlite.claim import give_back
from ringback.store.sqlite.node_locks import NodeLocks
from ringback.store.sqlite.rows import fetch
from ringback.store.sqlite.transaction import Transaction

_NEW_LIFE = """
INSERT INTO nodes (node_id, epoch, joined_at, seen_at) VALUES (?, 1, ?, ?)
ON CONFLICT (node_id) DO UPDATE SET epoch = epoch + 1, joined_at = excluded.joined_at,
    seen_at = excluded.seen_at, left_at = NULL
RETURNING epoch
"""
_LEASING_LIVES = """
SELECT DISTINCT d.node_id, d.epoch, d.epoch = n.epoch
FROM deliveries d INDEXED BY deliveries_leased LEFT JOIN nodes n USING (node_id)
WHERE d.state = 'sending'
"""
_LEASED = """
SELECT id FROM deliveries INDEXED BY deliveries_leased
WHERE state = 'sending' AND node_id = ? AND epoch = ? LIMIT ?
"""


def begin_life(tx: Transaction, node_id: int, now: int) -> Node:
    ((epoch,),) = fetch(tx.db, _NEW_LIFE, (node_id, now, now))
    return Node(node_id=node_id, epoch=epoch)


def show_life(tx: Transaction, node: Node, now: int) -> None:
    tx.db.execute(
        "UPDATE nodes SET seen_at = ? WHERE node_id = ? AND epoch = ?", (now, node.node_id, node.epoch)
    )


def end_life(tx: Transaction, node: Node, now: int) -> None:
    tx.db.execute(
        "UPDATE nodes SET left_at = ? WHERE node_id = ? AND epoch = ?", (now, node.node_id, node.epoch)
    )


def own_sending(db: apsw.Connection, node: Node) -> frozenset[int]:
    rows = fetch(db, _LEASED, (node.node_id, node.epoch, -1))
    return frozenset(delivery_id for (delivery_id,) in rows)


def dead_lives(db: apsw.Connection, locks: NodeLocks) -> list[Node]:
    """Lives that hold leases and are over: a later one has begun in their place, or nobody holds the lock."""
    lives = fetch(db, _LEASING_LIVES)
    return [
        Node(node_id=node_id, epoch=epoch)
        for node_id, epoch, newest in lives
        if not newest or locks.is_free(node_id)
    ]


def rescue(tx: Transaction, dead: Iterable[Node], limit: int) -> int:
    rescued = 0
    for node in dead:
        rows = fetch(tx.db, _LEASED, (node.node_id, node.epoch, limit - rescued))
        ids = [delivery_id for (delivery_id,) in rows]
        rescued += len(give_back(tx.db, ids, node.node_id, node.epoch))
    return rescued
