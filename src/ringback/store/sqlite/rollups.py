"""Counts for the charts, written by the transactions that change what they count.

Every count is kept by the minute and by the hour. Tests count nowhere, attempts by hand in no
attempt table; a delivery counts by its state, however it came to it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import add
from typing import Any

import apsw

from ringback.model import AttemptResult, DeliveryState
from ringback.store.sqlite.rows import RowStatement

GRAINS_MS = (60_000, 3_600_000)
# Upper bounds of the histograms' buckets, in ms; what is beyond the last has a bucket of its own.
BOUNDS_MS = (
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500,
    1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 600_000, 3_600_000,
)  # fmt: skip
HISTOGRAM = (*(f"le_{bound}" for bound in BOUNDS_MS), "beyond")
LAST_NUMBER = 21

_LANE_KEY = ("integration_id", "event_type")
_FINISHED = {DeliveryState.DELIVERED: 0, DeliveryState.DEAD: 2, DeliveryState.CANCELLED: 3}
_FIRST_TRY, _DELIVERY_HISTOGRAM = 1, 4
_SUCCEEDED, _FAILED, _ANSWERS, _NO_ANSWER, _ATTEMPT_HISTOGRAM = 0, 1, 2, 6, 7


class Shape:
    """Some counters of one table, always written together."""

    def __init__(self, table: str, keys: tuple[str, ...], counters: tuple[str, ...]) -> None:
        keys = ("grain", "start", "business_id", *keys)
        columns = ", ".join((*keys, *counters))
        added = ", ".join(f"{name} = {name} + excluded.{name}" for name in counters)
        self.width = len(counters)
        self.upsert = RowStatement(
            f"INSERT INTO {table} ({columns}) SELECT * FROM {{rows}} WHERE column1 IS NOT NULL "
            f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {added}",
            len(keys) + self.width,
        )


_INTAKE = Shape("intake_stats", ("event_type",), ("events",))
_CREATED = Shape("delivery_stats", _LANE_KEY, ("created",))
_FINISHES = Shape("delivery_stats", _LANE_KEY, ("delivered", "first_try", "dead", "cancelled", *HISTOGRAM))
_ATTEMPTS = Shape(
    "attempt_stats",
    _LANE_KEY,
    (
        "succeeded",
        "failed",
        *(f"answers_{group}" for group in ("2xx", "3xx", "4xx", "5xx", "none")),
        *HISTOGRAM,
    ),
)
_DETAIL = Shape("attempt_detail", (*_LANE_KEY, "number", "status", "failure"), ("attempts",))
_SHAPES = (_INTAKE, _CREATED, _FINISHES, _ATTEMPTS, _DETAIL)

# Business, minute, then what the shape adds.
Key = tuple[Any, ...]


class Rollups:
    """What one transaction adds, gathered in memory and written at its end."""

    def __init__(self) -> None:
        self._counts: dict[Shape, dict[Key, list[int]]] = {}

    def accepted(self, business_id: int, event_type: str, at: int) -> None:
        self._row(_INTAKE, (business_id, _minute(at), event_type))[0] += 1

    def created(self, business_id: int, integration_id: int, event_type: str, at: int) -> None:
        self._row(_CREATED, (business_id, _minute(at), integration_id, event_type))[0] += 1

    def finished(
        self,
        lane: tuple[int, int, str],
        state: DeliveryState,
        created_at: int,
        finished_at: int,
        *,
        first_try: bool = False,
        amount: int = 1,
    ) -> None:
        """A delivery came to a finished state or, with -1, left it. `lane`: business, integration, type."""
        business_id, integration_id, event_type = lane
        row = self._row(_FINISHES, (business_id, _minute(created_at), integration_id, event_type))
        row[_FINISHED[state]] += amount
        if state is DeliveryState.DELIVERED:
            row[_FIRST_TRY] += amount * first_try
            row[_DELIVERY_HISTOGRAM + bucket_of(finished_at - created_at)] += amount

    def attempted(self, result: AttemptResult) -> None:
        leased, outcome = result.leased, result.outcome
        key = (
            leased.message.business_id,
            _minute(outcome.ended_at),
            leased.integration_id,
            leased.message.event_type,
        )
        row = self._row(_ATTEMPTS, key)
        row[_SUCCEEDED if result.failure is None else _FAILED] += 1
        row[_answer_of(outcome.status)] += 1
        row[_ATTEMPT_HISTOGRAM + bucket_of(outcome.timings.total_ms)] += 1
        number = min(leased.number, LAST_NUMBER)
        self._row(_DETAIL, (*key, number, outcome.status or 0, result.failure or ""))[0] += 1

    def add(self, others: Rollups) -> None:
        for shape, rows in others._counts.items():
            for key, counts in rows.items():
                row = self._row(shape, key)
                row[:] = map(add, row, counts)

    def write(self, db: apsw.Connection) -> None:
        for shape in _SHAPES:
            counts = self._counts.get(shape)
            if counts:
                shape.upsert.run(db, list(_by_grain(counts)))

    def _row(self, shape: Shape, key: Key) -> list[int]:
        rows = self._counts.get(shape)
        if rows is None:
            rows = self._counts[shape] = {}
        row = rows.get(key)
        if row is None:
            row = rows[key] = [0] * shape.width
        return row


def bucket_of(ms: float) -> int:
    return bisect_left(BOUNDS_MS, ms)


def _minute(at: int) -> int:
    return at - at % GRAINS_MS[0]


def _answer_of(status: int | None) -> int:
    hundreds = 0 if status is None else status // 100
    return _ANSWERS + hundreds - 2 if 2 <= hundreds <= 5 else _NO_ANSWER


def _by_grain(counts: dict[Key, list[int]]) -> Iterator[tuple[Any, ...]]:
    for (business_id, minute, *rest), row in counts.items():
        for grain in GRAINS_MS:
            yield (grain, minute - minute % grain, business_id, *rest, *row)
