"""Counts for the charts, written by the transactions that change what they count.

They go to the fresh tables, by the minute, and are folded into the charts' tables later: by the minute, the
hour and the day. Both together say what the rows say, at every moment. Tests count nowhere, attempts by hand
in no count of attempts; a delivery counts by its state, however it came to it.
"""

from __future__ import annotations

from math import ceil
from operator import add
from typing import Any

import apsw

from ringback.model import AttemptResult, DeliveryState
from ringback.statistics import BOUNDS_MS, GRAINS_MS, MINUTE_MS, bucket_of
from ringback.store.sqlite.rows import RowStatement, fetch

HISTOGRAM = (*(f"le_{bound}" for bound in BOUNDS_MS), "beyond")
LAST_NUMBER = 21

_LANE_KEY = ("integration_id", "event_type")
_FINISHED = {DeliveryState.DELIVERED: 0, DeliveryState.DEAD: 2, DeliveryState.CANCELLED: 3}
_FIRST_TRY, _FIRST_ENDED, _FIRST_SUCCEEDED, _DELIVERY_HISTOGRAM = 1, 4, 5, 6
_SUCCEEDED, _FAILED, _ANSWERS, _NO_ANSWER, _ATTEMPT_HISTOGRAM = 0, 1, 2, 6, 7
_SLOWEST, _LAST_SUCCESS = -2, -1


# Of the key of a row for all of a business: no integration has this id and no event type this name.
WHOLE = {"integration_id": "0", "event_type": "''"}


class Table:
    """A table of the charts and its fresh one: keys, what is added up, and what only rises.

    `wholes`: what is folded is there a second time, for all of a business.
    """

    def __init__(
        self,
        name: str,
        fresh: str,
        keys: tuple[str, ...],
        sums: tuple[str, ...],
        peaks: tuple[str, ...] = (),
        *,
        wholes: bool = False,
    ) -> None:
        self.name = name
        self.fresh = fresh
        self.keys = keys
        self.sums = sums
        self.peaks = peaks
        self.wholes = wholes


INTAKE = Table("intake_stats", "intake_fresh", ("event_type",), ("events",))
DELIVERIES = Table(
    "delivery_stats",
    "delivery_fresh",
    _LANE_KEY,
    (
        *("created", "delivered", "first_try", "dead", "cancelled", "first_ended", "first_succeeded"),
        *HISTOGRAM,
    ),
    wholes=True,
)
ATTEMPTS = Table(
    "attempt_stats",
    "attempt_fresh",
    _LANE_KEY,
    (
        *("succeeded", "failed"),
        *(f"answers_{group}" for group in ("2xx", "3xx", "4xx", "5xx", "none")),
        *HISTOGRAM,
    ),
    ("slowest_ms", "last_success"),
    wholes=True,
)
DETAIL = Table("attempt_detail", "detail_fresh", (*_LANE_KEY, "number", "status", "failure"), ("attempts",))
TABLES = (INTAKE, DELIVERIES, ATTEMPTS, DETAIL)


# ---------------------------------------------------------------- counting


class Shape:
    """Some counters of one table, always written together: sums, then peaks."""

    def __init__(self, table: Table, sums: tuple[str, ...]) -> None:
        keys = ("start", "business_id", *table.keys)
        peaks = table.peaks if sums == table.sums else ()
        self.sums = len(sums)
        self.width = len(sums) + len(peaks)
        self.upsert = RowStatement(
            f"INSERT INTO {table.fresh} ({', '.join((*keys, *sums, *peaks))})"
            " SELECT * FROM {rows} WHERE column1 IS NOT NULL"
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {_merged(sums, peaks)}",
            len(keys) + self.width,
        )


def _merged(sums: tuple[str, ...], peaks: tuple[str, ...]) -> str:
    added = [f"{name} = {name} + excluded.{name}" for name in sums]
    raised = [f"{name} = max({name}, excluded.{name})" for name in peaks]
    return ", ".join(added + raised)


_INTAKE = Shape(INTAKE, INTAKE.sums)
_CREATED = Shape(DELIVERIES, ("created",))
_FINISHES = Shape(DELIVERIES, DELIVERIES.sums[1:])
_ATTEMPTS = Shape(ATTEMPTS, ATTEMPTS.sums)
_DETAIL = Shape(DETAIL, DETAIL.sums)
_SHAPES = (_INTAKE, _CREATED, _FINISHES, _ATTEMPTS, _DETAIL)

# Minute, business, then what the shape adds.
Key = tuple[Any, ...]


class Rollups:
    """What one transaction adds, gathered in memory and written at its end."""

    def __init__(self) -> None:
        self._counts: dict[Shape, dict[Key, list[int]]] = {}

    def accepted(self, business_id: int, event_type: str, at: int) -> None:
        self._row(_INTAKE, (_minute(at), business_id, event_type))[0] += 1

    def created(self, business_id: int, integration_id: int, event_type: str, at: int) -> None:
        self._row(_CREATED, (_minute(at), business_id, integration_id, event_type))[0] += 1

    def finished(
        self,
        lane: tuple[int, int, str],
        state: DeliveryState,
        created_at: int,
        finished_at: int,
        *,
        first_try: bool = False,
        by_hand: bool = False,
        amount: int = 1,
    ) -> None:
        """A delivery came to a finished state or, with -1, left it. `lane`: business, integration, type.

        `by_hand`: one of its attempts was asked for by hand, so how long it took says nothing.
        """
        row = self._row(_FINISHES, (_minute(created_at), *lane))
        row[_FINISHED[state]] += amount
        if state is DeliveryState.DELIVERED:
            row[_FIRST_TRY] += amount * first_try
            if not by_hand:
                row[_DELIVERY_HISTOGRAM + bucket_of(finished_at - created_at)] += amount

    def attempted(self, result: AttemptResult) -> None:
        """An attempt of the schedule ended."""
        leased, outcome, failure = result.leased, result.outcome, result.failure
        lane = (leased.message.business_id, leased.integration_id, leased.message.event_type)
        key = (_minute(outcome.ended_at), *lane)
        row = self._row(_ATTEMPTS, key)
        row[_SUCCEEDED if failure is None else _FAILED] += 1
        row[_answer_of(outcome.status)] += 1
        row[_ATTEMPT_HISTOGRAM + bucket_of(outcome.timings.total_ms)] += 1
        row[_SLOWEST] = max(row[_SLOWEST], ceil(outcome.timings.total_ms))
        if failure is None:
            row[_LAST_SUCCESS] = max(row[_LAST_SUCCESS], outcome.ended_at)
        number = min(leased.number, LAST_NUMBER)
        self._row(_DETAIL, (*key, number, outcome.status or 0, failure or ""))[0] += 1
        if number == 1:
            first = self._row(_FINISHES, (_minute(leased.created_at), *lane))
            first[_FIRST_ENDED] += 1
            first[_FIRST_SUCCEEDED] += failure is None

    def add(self, others: Rollups) -> None:
        for shape, rows in others._counts.items():
            sums = shape.sums
            for key, counts in rows.items():
                row = self._row(shape, key)
                row[:] = [*map(add, row[:sums], counts), *map(max, row[sums:], counts[sums:])]

    def write(self, db: apsw.Connection) -> None:
        for shape in _SHAPES:
            counts = self._counts.get(shape)
            if counts:
                shape.upsert.run(db, [(*key, *row) for key, row in counts.items()])

    def _row(self, shape: Shape, key: Key) -> list[int]:
        rows = self._counts.get(shape)
        if rows is None:
            rows = self._counts[shape] = {}
        row = rows.get(key)
        if row is None:
            row = rows[key] = [0] * shape.width
        return row


def _minute(at: int) -> int:
    return at - at % MINUTE_MS


def _answer_of(status: int | None) -> int:
    hundreds = 0 if status is None else status // 100
    return _ANSWERS + hundreds - 2 if 2 <= hundreds <= 5 else _NO_ANSWER


# ---------------------------------------------------------------- folding


class _Fold:
    """Moves a table's fresh rows to where charts read them."""

    def __init__(self, table: Table) -> None:
        keys = ("start", "business_id", *table.keys)
        own, fresh = ", ".join(keys), table.fresh
        upto = f"({own}) <= ({', '.join('?' * len(keys))})"
        grains = ", ".join(f"({grain})" for grain in GRAINS_MS)
        kinds = "(0), (1)" if table.wholes else "(0)"
        totals = [f"sum({name})" for name in table.sums] + [f"max({name})" for name in table.peaks]
        counters = (*table.sums, *table.peaks)
        self.last = f"SELECT {own} FROM {fresh} WHERE start < ? ORDER BY {own} LIMIT 1 OFFSET ?"
        self.newest = f"SELECT {own} FROM {fresh} WHERE start < ? ORDER BY {_descending(keys)} LIMIT 1"
        folded = [f"iif(whole, {WHOLE[key]}, {key})" if table.wholes else key for key in table.keys]
        self.move = (
            f"WITH grains (grain) AS (VALUES {grains}), kinds (whole) AS (VALUES {kinds})"
            f" INSERT INTO {table.name} (grain, {own}, {', '.join(counters)})"
            f" SELECT grain, start - start % grain, business_id, {', '.join((*folded, *totals))}"
            f" FROM {fresh} CROSS JOIN grains CROSS JOIN kinds WHERE {upto}"
            f" GROUP BY {', '.join(str(place + 1) for place in range(1 + len(keys)))}"
            f" ON CONFLICT DO UPDATE SET {_merged(table.sums, table.peaks)}"
        )
        self.remove = f"DELETE FROM {fresh} WHERE {upto}"

    def step(self, db: apsw.Connection, before: int, limit: int) -> int:
        last = fetch(db, self.last, (before, limit - 1)) or fetch(db, self.newest, (before,))
        if not last:
            return 0
        db.execute(self.move, last[0])
        db.execute(self.remove, last[0])
        return db.changes()


def _descending(keys: tuple[str, ...]) -> str:
    return ", ".join(f"{key} DESC" for key in keys)


_FOLDS = tuple(_Fold(table) for table in TABLES)


def can_fold(db: apsw.Connection, now: int) -> bool:
    return any(fetch(db, one.newest, (_minute(now),)) for one in _FOLDS)


def fold(db: apsw.Connection, limit: int, now: int) -> int:
    """Fold up to `limit` rows of each table whose minute is over; how many there were."""
    return sum(one.step(db, _minute(now), limit) for one in _FOLDS)
