"""Charts, read from the rollups: the folded ones in the widest grains that make up the range, and the fresh.

Each statement answers with one row of JSON: a reader that takes thousands of rows one by one waits for the
interpreter between any two of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import add
from typing import Any

import apsw
import msgspec

from ringback.statistics import Attempts, Counts, Deliveries, Range, Span, cover
from ringback.store.port import Asked, AttemptGroup, Statistics
from ringback.store.sqlite.rollups import ATTEMPTS, DELIVERIES, DETAIL, HISTOGRAM, INTAKE, Table

# Counters by what they are counted by.
Sums = dict[Any, list[int]]
# What a statement is asked, by the names of its parameters.
Question = Mapping[str, Any]

_CELLS = """
WITH RECURSIVE cells (grain, start, until) AS (
    SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:spans)
    UNION ALL SELECT grain, start + grain, until FROM cells WHERE start + grain < until)
"""
_FILTERS = {
    "integration_id": " AND (:integration IS NULL OR integration_id = :integration)",
    "event_type": " AND (:type IS NULL OR event_type = :type)",
}
# A business as a whole has rows of its own, first of all of its rows.
_WHOLE = " AND integration_id = 0 AND event_type = ''"
_PARTS = " AND integration_id <> 0"
# Of what is added up, the histogram comes last.
_HISTOGRAM = slice(-len(HISTOGRAM), None)
_PLAIN = slice(None, -len(HISTOGRAM))


class _Reader:
    def __init__(self, table: Table, by: str) -> None:
        """`by`: the columns that the whole range is broken down by."""
        totals = [f"sum({name})" for name in table.sums] + [f"max({name})" for name in table.peaks]
        filters = "".join(_FILTERS.get(key, "") for key in table.keys)
        cell = "s.grain = c.grain AND s.start = c.start AND s.business_id = :business"
        parts = f"{cell}{_PARTS}{filters}" if table.wholes else f"{cell}{filters}"
        sums, counters = ", ".join(totals), ", ".join((*table.sums, *table.peaks))
        self._table = table
        series = (
            f"{_CELLS} SELECT json_group_array(json_array(c.start, json((SELECT json_array({sums})"
            f" FROM {table.name} s WHERE {{}} HAVING count(*))))) FROM cells c"
        )
        self._series = series.format(parts)
        self._whole_series = series.format(f"{cell}{_WHOLE}") if table.wholes else self._series
        self._parts = (
            f"{_CELLS} SELECT json_group_array(json(part)) FROM ("
            f"SELECT json_array(json_array({by}), json_array({sums})) AS part"
            f" FROM cells c CROSS JOIN {table.name} s ON {parts} GROUP BY {by})"
        )
        self._fresh = (
            f"SELECT json_group_array(json_array(start, json_array({by}), json_array({counters})))"
            f" FROM {table.fresh}"
            f" WHERE start >= :since AND start < :until AND business_id = :business{filters}"
        )

    def series(self, db: apsw.Connection, question: Question, wanted: Range) -> Sums:
        """By the start of the bucket."""
        found: Sums = {}
        width = wanted.bucket.ms
        spans = [Span(wanted.bucket.grain, wanted.since, wanted.until)]
        filtered = question["integration"] is not None or question["type"] is not None
        text = self._series if filtered else self._whole_series
        for start, counters in _ask(db, text, question, spans):
            if counters is not None:
                self._add(found, start - start % width, counters)
        for start, _, counters in _ask(db, self._fresh, question):
            self._add(found, start - start % width, counters)
        return found

    def parts(self, db: apsw.Connection, question: Question, wanted: Range) -> Sums:
        """Of the whole range, by what it is broken down by."""
        found: Sums = {}
        for key, counters in _ask(db, self._parts, question, cover(wanted.since, wanted.until)):
            self._add(found, tuple(key), counters)
        for _, key, counters in _ask(db, self._fresh, question):
            self._add(found, tuple(key), counters)
        return found

    def _add(self, to: Sums, key: Any, counters: list[int]) -> None:
        known = to.get(key)
        if known is None:
            to[key] = counters
            return
        sums = len(self._table.sums)
        to[key] = [*map(add, known[:sums], counters[:sums]), *map(max, known[sums:], counters[sums:])]


_INTAKE = _Reader(INTAKE, "event_type")
_DELIVERIES = _Reader(DELIVERIES, "integration_id, event_type")
_ATTEMPTS = _Reader(ATTEMPTS, "integration_id, event_type")
_DETAIL = _Reader(DETAIL, "number, status, failure")


def _ask(db: apsw.Connection, text: str, question: Question, spans: Iterable[Span] = ()) -> list[list[Any]]:
    cells = [(one.grain, one.since, one.until) for one in spans]
    answer = db.execute(text, {**question, "spans": msgspec.json.encode(cells).decode()}).get
    found: list[list[Any]] = msgspec.json.decode(answer)
    return found


def statistics(db: apsw.Connection, business_id: int, asked: Asked) -> Statistics:
    wanted, question = asked.range, _question(business_id, asked)
    deliveries, lanes = (ask(db, question, wanted) for ask in (_DELIVERIES.series, _DELIVERIES.parts))
    if asked.integration_id is None:
        events, types = (ask(db, question, wanted) for ask in (_INTAKE.series, _INTAKE.parts))
    else:
        # Each event that an integration was to get made one delivery.
        events, types = deliveries, {(event_type,): sums for (_, event_type), sums in lanes.items()}
    return Statistics(
        buckets=_counts(events, deliveries, _ATTEMPTS.series(db, question, wanted)),
        lanes=_counts({}, lanes, _ATTEMPTS.parts(db, question, wanted)),
        events={event_type: sums[0] for (event_type,), sums in types.items()},
        groups=_groups(_DETAIL.parts(db, question, wanted)),
    )


def _question(business_id: int, asked: Asked) -> Question:
    return {
        "business": business_id,
        "integration": asked.integration_id,
        "type": asked.event_type,
        "since": asked.range.since,
        "until": asked.range.until,
    }


def _groups(counts: Sums) -> tuple[AttemptGroup, ...]:
    return tuple(AttemptGroup(*key, *sums) for key, sums in sorted(counts.items()))


def _counts(events: Sums, deliveries: Sums, attempts: Sums) -> dict[Any, Counts]:
    return {
        key: Counts(
            events[key][0] if key in events else 0,
            _deliveries_of(deliveries[key]) if key in deliveries else Deliveries(),
            _attempts_of(attempts[key]) if key in attempts else Attempts(),
        )
        for key in sorted({*events, *deliveries, *attempts})
    }


def _deliveries_of(sums: list[Any]) -> Deliveries:
    return Deliveries(*(*sums[_PLAIN], tuple(sums[_HISTOGRAM])))


def _attempts_of(counters: list[Any]) -> Attempts:
    *sums, slowest_ms, last_success = counters
    return Attempts(*(*sums[_PLAIN], tuple(sums[_HISTOGRAM]), slowest_ms, last_success))
