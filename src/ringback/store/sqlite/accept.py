"""Transaction 1: events, their deliveries, and what they count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from ringback import failpoint
from ringback.errors import Poisoned, StaleSnapshot
from ringback.model import Message, Node
from ringback.store.port import Accepted, NewEvent, Publish
from ringback.store.sqlite.connection import DATA_ERRORS
from ringback.store.sqlite.lanes import lower_to
from ringback.store.sqlite.rows import RowStatement
from ringback.store.sqlite.sequence import next_id
from ringback.store.sqlite.transaction import Transaction

Answers = list[list[Accepted] | Poisoned]
Known = dict[tuple[int, str], Accepted]

_KNOWN = RowStatement(
    "SELECT e.business_id, e.event_id, e.id, e.fanout FROM {rows} r CROSS JOIN events e "
    "WHERE e.business_id = r.column1 AND e.event_id = r.column2",
    2,
)
_EVENTS = RowStatement(
    "INSERT INTO events (id, business_id, event_id, event_type, timestamp, fanout, schema_errors, data,"
    " accepted_at, test) SELECT *, ?, 0 FROM {rows} WHERE column1 IS NOT NULL",
    8,
)
_DELIVERIES = RowStatement(
    "INSERT INTO deliveries (id, event_row, business_id, integration_id, event_type, state, node_id, epoch,"
    " due_at, created_at, attempts, tries, test, manual, replayed)"
    " SELECT column1, column2, column3, column4, column5, iif(column6, 'sending', 'queued'),"
    " iif(column6, ?, NULL), iif(column6, ?, NULL), ?, ?, 0, 0, 0, 0, 0"
    " FROM {rows} WHERE column1 IS NOT NULL",
    6,
)


def accept(
    tx: Transaction, publishes: Sequence[Publish], snapshot_version: int, node: Node, now: int
) -> Answers:
    _check_version(tx.db, snapshot_version)
    if tx.alone:
        return _accept_what_can_be(tx, publishes, node, now)
    return _accept_all(tx, publishes, node, now)


def _check_version(db: apsw.Connection, snapshot_version: int) -> None:
    current = db.execute("SELECT configuration FROM meta").get
    if current != snapshot_version:
        raise StaleSnapshot(f"matched on version {snapshot_version}, the configuration is at {current}")


def _accept_what_can_be(tx: Transaction, publishes: Sequence[Publish], node: Node, now: int) -> Answers:
    """Halve until the publish whose own data breaks the statement stands alone."""
    try:
        with tx.savepoint():
            return _accept_all(tx, publishes, node, now)
    except DATA_ERRORS as error:
        if len(publishes) == 1:
            return [Poisoned(f"the database refuses this data ({type(error).__name__})")]
    middle = len(publishes) // 2
    first = _accept_what_can_be(tx, publishes[:middle], node, now)
    return first + _accept_what_can_be(tx, publishes[middle:], node, now)


def _accept_all(tx: Transaction, publishes: Sequence[Publish], node: Node, now: int) -> Answers:
    known = _known_events(tx.db, publishes)
    batch = _Batch(next_id(tx.db, now))
    answers: Answers = [[batch.place(event, known) for event in publish] for publish in publishes]
    _EVENTS.run(tx.db, batch.events, before=(now,))
    failpoint.reach("in_accept")
    _DELIVERIES.run(tx.db, batch.deliveries, before=(node.node_id, node.epoch, now, now))
    lower_to(tx.db, [(lane, now) for lane in batch.queued_lanes])
    batch.count(tx, now)
    return answers


def _known_events(db: apsw.Connection, publishes: Sequence[Publish]) -> Known:
    asked = [
        (event.message.business_id, event.message.event_id)
        for publish in publishes
        for event in publish
        if not event.generated
    ]
    return {
        (business_id, event_id): Accepted(row_id=row_id, deliveries=fanout, duplicate=True)
        for business_id, event_id, row_id, fanout in _KNOWN.run(db, asked)
    }


class _Batch:
    """The rows of one batch; ids are given out as events are placed."""

    def __init__(self, first_id: int) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.deliveries: list[tuple[int, int, int, int, str, bool]] = []
        self.queued_lanes: set[int] = set()
        self._next_id = first_id

    def place(self, event: NewEvent, known: Known) -> Accepted:
        message, row_id = event.message, self._next_id
        key = (message.business_id, message.event_id)
        first = known.get(key)
        if first is not None:
            return first
        fanout = len(event.targets)
        known[key] = Accepted(row_id=row_id, deliveries=fanout, duplicate=True)
        self.events.append(_event_row(row_id, message, fanout, event.schema_errors))
        for place, target in enumerate(event.targets, row_id + 1):
            lane = target.integration_id
            self.deliveries.append(
                (place, row_id, message.business_id, lane, message.event_type, target.direct)
            )
            if not target.direct:
                self.queued_lanes.add(lane)
        self._next_id += 1 + fanout
        return Accepted(row_id=row_id, deliveries=fanout, duplicate=False)

    def count(self, tx: Transaction, now: int) -> None:
        for row in self.events:
            tx.rollups.accepted(row[1], row[3], now)
        for _, _, business_id, integration_id, event_type, _ in self.deliveries:
            tx.rollups.created(business_id, integration_id, event_type, now)


def _event_row(row_id: int, message: Message, fanout: int, schema_errors: str | None) -> tuple[Any, ...]:
    return (
        row_id,
        message.business_id,
        message.event_id,
        message.event_type,
        message.timestamp,
        fanout,
        schema_errors,
        message.data,
    )
