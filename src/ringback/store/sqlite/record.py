"""Transaction 2: attempts, next states, and what they count; and the record of a test send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ringback import failpoint
from ringback.errors import Poisoned
from ringback.failures import FailureClass
from ringback.model import (
    FINISHED,
    LEGAL_MOVES,
    AttemptResult,
    Decision,
    DeliveryState,
    Message,
    Node,
    Outcome,
    Timings,
)
from ringback.store.sqlite.claim import earliest
from ringback.store.sqlite.connection import DATA_ERRORS
from ringback.store.sqlite.lanes import lower_to
from ringback.store.sqlite.rows import RowStatement
from ringback.store.sqlite.sequence import next_id
from ringback.store.sqlite.transaction import Transaction

_NEXT_STATES = RowStatement(
    "UPDATE deliveries NOT INDEXED SET state = r.column3, due_at = r.column4, finished_at = r.column5,"
    " attempts = attempts + 1, tries = tries + r.column6, last_status = r.column7, last_failure = r.column8,"
    " replayed = replayed OR r.column9, manual = 0, node_id = NULL, epoch = NULL"
    " FROM {rows} r WHERE deliveries.id = r.column1 AND deliveries.attempts = r.column2"
    " AND deliveries.state = 'sending' AND deliveries.node_id = ? AND deliveries.epoch = ?"
    " RETURNING id",
    9,
)
_ATTEMPTS = RowStatement("INSERT INTO attempts SELECT * FROM {rows} WHERE column1 IS NOT NULL", 20)
_TEST_EVENT = """
INSERT INTO events (id, business_id, event_id, event_type, timestamp, accepted_at, fanout, test, data)
VALUES (?, ?, ?, ?, ?, ?, 1, 1, ?)
"""
_TEST_DELIVERY = """
INSERT INTO deliveries (id, event_row, business_id, integration_id, event_type, state, attempts, tries,
    last_status, last_failure, test, manual, replayed, created_at, finished_at)
VALUES (?, ?, ?, ?, ?, ?, 1, 1, ?, ?, 1, 0, 0, ?, ?)
"""


def record(tx: Transaction, results: Sequence[AttemptResult], node: Node) -> frozenset[int]:
    if not tx.alone:
        return _record_all(tx, results, node)
    written = _record_what_can_be(tx, results, node)
    if written is None:
        raise Poisoned("the database refuses this result, even without headers, body and detail")
    return written


def _record_what_can_be(
    tx: Transaction, results: Sequence[AttemptResult], node: Node
) -> frozenset[int] | None:
    """None where a single result cannot be written in any form."""
    try:
        with tx.savepoint():
            return _record_all(tx, results, node)
    except DATA_ERRORS:
        if len(results) == 1:
            return _record_bare(tx, results[0], node)
    middle = len(results) // 2
    first = _record_what_can_be(tx, results[:middle], node) or frozenset()
    return first | (_record_what_can_be(tx, results[middle:], node) or frozenset())


def _record_bare(tx: Transaction, result: AttemptResult, node: Node) -> frozenset[int] | None:
    """Without what came from outside: the next state matters more than the evidence. What cannot be
    written even so is set aside as dead, or it would be sent again for ever.
    """
    for form in (_without_evidence(result), _set_aside(result)):
        try:
            with tx.savepoint():
                return _record_all(tx, [form], node)
        except DATA_ERRORS:
            continue
    return None


def _without_evidence(result: AttemptResult) -> AttemptResult:
    outcome = msgspec.structs.replace(
        result.outcome, headers=(), body=b"", detail=None, remote_address=None, http_version=None
    )
    return msgspec.structs.replace(result, outcome=outcome)


def _set_aside(result: AttemptResult) -> AttemptResult:
    outcome = Outcome(
        started_at=result.outcome.started_at,
        ended_at=result.outcome.ended_at,
        timings=Timings(),
        transport=FailureClass.SENDER_ERROR,
        detail="the result of this attempt could not be stored",
    )
    return AttemptResult(
        leased=result.leased,
        outcome=outcome,
        failure=FailureClass.SENDER_ERROR,
        decision=Decision(state=DeliveryState.DEAD),
    )


def _record_all(tx: Transaction, results: Sequence[AttemptResult], node: Node) -> frozenset[int]:
    rows = [_next_state(result) for result in results]
    ours = frozenset(
        delivery_id for (delivery_id,) in _NEXT_STATES.run(tx.db, rows, after=(node.node_id, node.epoch))
    )
    failpoint.reach("in_record")
    written = [result for result in results if result.leased.delivery_id in ours]
    _ATTEMPTS.run(tx.db, [_attempt_row(result.leased.delivery_id, result) for result in written])
    lower_to(tx.db, earliest([_lane_due(result) for result in written if result.decision.due_at is not None]))
    for result in written:
        _count(tx, result)
    return ours


def _next_state(result: AttemptResult) -> tuple[Any, ...]:
    leased, outcome, decision = result.leased, result.outcome, result.decision
    if decision.state not in LEGAL_MOVES[DeliveryState.SENDING]:
        raise TypeError(f"an attempt cannot end as {decision.state}")
    return (
        leased.delivery_id,
        leased.attempts,
        decision.state,
        decision.due_at,
        outcome.ended_at if decision.state in FINISHED else None,
        not leased.replay,
        outcome.status,
        result.failure,
        leased.replay,
    )


def _lane_due(result: AttemptResult) -> tuple[int, int]:
    return result.leased.integration_id, result.decision.due_at or 0


def _attempt_row(delivery_id: int, result: AttemptResult) -> tuple[Any, ...]:
    outcome, timings = result.outcome, result.outcome.timings
    return (
        delivery_id,
        result.leased.number,
        outcome.started_at,
        outcome.ended_at,
        timings.dns_ms,
        timings.connect_ms,
        timings.tls_ms,
        timings.first_byte_ms,
        timings.total_ms,
        outcome.status,
        result.failure,
        outcome.detail,
        outcome.truncated,
        outcome.remote_address,
        outcome.http_version,
        result.signatures,
        msgspec.json.encode(result.header_names).decode(),
        result.leased.replay,
        msgspec.json.encode(outcome.headers).decode(),
        outcome.body,
    )


def _count(tx: Transaction, result: AttemptResult) -> None:
    leased, message = result.leased, result.leased.message
    if not leased.replay:
        tx.rollups.attempted(result)
    if result.decision.state in FINISHED:
        tx.rollups.finished(
            (message.business_id, leased.integration_id, message.event_type),
            result.decision.state,
            leased.created_at,
            result.outcome.ended_at,
            first_try=leased.number == 1 and not leased.replay,
            by_hand=leased.replay or leased.attempts != leased.tries,
        )


def record_test(tx: Transaction, message: Message, result: AttemptResult, now: int) -> int:
    """A test is written when it is over; it counts nowhere and nobody waits for it."""
    row_id = next_id(tx.db, now)
    lane, outcome = result.leased.integration_id, result.outcome
    tx.db.execute(
        _TEST_EVENT,
        (
            row_id,
            message.business_id,
            message.event_id,
            message.event_type,
            message.timestamp,
            now,
            message.data,
        ),
    )
    tx.db.execute(
        _TEST_DELIVERY,
        (row_id + 1, row_id, message.business_id, lane, message.event_type, result.decision.state,
         outcome.status, result.failure, now, outcome.ended_at),
    )  # fmt: skip
    _ATTEMPTS.run(tx.db, [_attempt_row(row_id + 1, result)])
    return row_id + 1
