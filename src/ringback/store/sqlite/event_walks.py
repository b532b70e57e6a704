"""Two walks over the events, oldest first: one takes their payloads, a later one all that is left of them.

An event counts from the end of its last delivery, and what has not ended counts as ending now. So a look at
an event says when the next one can come to anything: whatever has to stay is noted in `kept_events` for then,
and neither a held backlog nor a late retry is looked at over and over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import apsw

from ringback.ids import born_ms, first_id
from ringback.store.sqlite.lanes import id_list
from ringback.store.sqlite.rows import RowStatement, fetch
from ringback.store.sqlite.transaction import Transaction

Removed = dict[str, int]
_PAGE_BYTES = 4_096
# Of an event with more deliveries than a step may remove, some go at a time: each may have many attempts.
_DELIVERIES_SHARE = 20

_OF_EVENT = "d.id > e.id AND d.id <= e.id + e.fanout"
_LOOK = f"""
SELECT j.value, ifnull(max(e.accepted_at,
        ifnull((SELECT max(ifnull(d.finished_at, ?2)) FROM deliveries d WHERE {_OF_EVENT}), 0)), 0),
    1 + ifnull({{weight}}, 0)
FROM json_each(?1) j LEFT JOIN events e ON e.id = j.value
ORDER BY j.key
"""
_PAGES_OF_DATA = f"ifnull(length(e.data), 0) / {_PAGE_BYTES}"
_PAYLOAD_WEIGHT = f"e.fanout + {_PAGES_OF_DATA}"
_EVENT_WEIGHT = f"""
{_PAGES_OF_DATA} + (SELECT count(*) FROM deliveries d WHERE {_OF_EVENT})
    + (SELECT count(*) + ifnull(sum(length(a.response_body) / {_PAGE_BYTES}), 0) FROM attempts a
        WHERE a.delivery_id > e.id AND a.delivery_id <= e.id + e.fanout)
"""
_DELIVERIES = f"""
SELECT d.id FROM json_each(?1) j CROSS JOIN events e ON e.id = j.value CROSS JOIN deliveries d ON {_OF_EVENT}
LIMIT ?2
"""
_LEFT = """
SELECT since, event_row FROM kept_events WHERE walk = ? AND since <= ? ORDER BY since, event_row LIMIT ?
"""
_NEW = """
SELECT id FROM events WHERE id > (SELECT {reached} FROM meta) AND id < ? ORDER BY id LIMIT ?
"""
_KEEP = RowStatement(
    "INSERT INTO kept_events SELECT ?, column1, column2 FROM {rows} WHERE column1 IS NOT NULL", 2
)
_FORGET = RowStatement(
    "DELETE FROM kept_events WHERE (walk, since, event_row) IN (SELECT ?, column1, column2 FROM {rows})", 2
)


class Look(NamedTuple):
    """`weight`: about how many rows and pages go with it."""

    event_row: int
    since: int
    weight: int


# Removes what is due of these events, within the limit; those of which something is left come back.
Remove = Callable[[apsw.Connection, Sequence[Look], int], tuple[Removed, Sequence[Look]]]


class EventWalk:
    """`reached` names the column of `meta` that says how far it has come."""

    def __init__(self, name: str, reached: str, weight: str, remove: Remove) -> None:
        self._name = name
        self._look = _LOOK.format(weight=weight)
        self._new = _NEW.format(reached=reached)
        self._reach = f"UPDATE meta SET {reached} = ?"
        self._remove = remove

    def behind(self, db: apsw.Connection, cutoff: int, now: int, limit: int) -> int | None:
        left, new = self._next(db, cutoff, limit)
        if not left and not new:
            return None
        self._looks(db, [row for _, row in left] or new, now, limit)
        return cutoff - (left[0][0] if left else born_ms(new[0]))

    def step(self, tx: Transaction, cutoff: int, now: int, limit: int) -> Removed:
        left, new = self._next(tx.db, cutoff, limit)
        looks = self._looks(tx.db, [row for _, row in left] or new, now, limit)
        if not looks:
            return {}
        removed, unfinished = self._remove(tx.db, [one for one in looks if one.since <= cutoff], limit)
        if left:
            _FORGET.run(tx.db, left[: len(looks)], before=(self._name,))
        else:
            tx.db.execute(self._reach, (looks[-1].event_row,))
        kept = [*unfinished, *(one for one in looks if one.since > cutoff)]
        _KEEP.run(tx.db, [(one.since, one.event_row) for one in kept], before=(self._name,))
        return removed

    def _next(self, db: apsw.Connection, cutoff: int, limit: int) -> tuple[list[tuple[int, int]], list[int]]:
        """What was kept until now, with its time; where there is none, what comes next in the walk."""
        left = fetch(db, _LEFT, (self._name, cutoff, limit))
        new = [] if left else fetch(db, self._new, (first_id(cutoff + 1), limit))
        return [(since, row) for since, row in left], [row for (row,) in new]

    def _looks(self, db: apsw.Connection, rows: Sequence[int], now: int, limit: int) -> list[Look]:
        """As many from the start as weigh no more than the limit together, and one at least."""
        looks: list[Look] = []
        for row in db.execute(self._look, (id_list(rows), now)):
            limit -= row[2]
            if limit < 0 and looks:
                break
            looks.append(Look(*row))
        return looks


def _remove_payloads(db: apsw.Connection, due: Sequence[Look], _: int) -> tuple[Removed, Sequence[Look]]:
    db.execute(
        "UPDATE events SET data = NULL WHERE id IN (SELECT value FROM json_each(?)) AND data IS NOT NULL",
        (_rows_of(due),),
    )
    return {"payloads": db.changes()}, ()


def _remove_events(db: apsw.Connection, due: Sequence[Look], limit: int) -> tuple[Removed, Sequence[Look]]:
    if due and due[0].weight > limit:
        return _remove_deliveries(db, due, max(limit // _DELIVERIES_SHARE, 1)), due
    removed = _remove_deliveries(db, due, -1)
    db.execute("DELETE FROM events WHERE id IN (SELECT value FROM json_each(?))", (_rows_of(due),))
    return {**removed, "events": db.changes()}, ()


def _remove_deliveries(db: apsw.Connection, events: Sequence[Look], most: int) -> Removed:
    """With their attempts; -1: all."""
    bound = (_rows_of(events), most)
    db.execute(f"DELETE FROM attempts WHERE delivery_id IN ({_DELIVERIES})", bound)
    attempts = db.changes()
    db.execute(f"DELETE FROM deliveries WHERE id IN ({_DELIVERIES})", bound)
    return {"attempts": attempts, "deliveries": db.changes()}


def _rows_of(looks: Sequence[Look]) -> str:
    return id_list([one.event_row for one in looks])


PAYLOADS = EventWalk("payloads", "payloads_reached", _PAYLOAD_WEIGHT, _remove_payloads)
EVENTS = EventWalk("events", "events_reached", _EVENT_WEIGHT, _remove_events)
