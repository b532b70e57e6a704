"""Walking a log backwards by row id, a page at a time, however much of it does not match.

A page looks at so many rows and no more: a filter that few rows pass gives short pages, not slow ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
from sqlalchemy import Select, TableClause, bindparam, select

from ringback.ids import first_id
from ringback.store.sqlite.rows import fetch
from ringback.store.tables import Condition, Written

MOST_ROWS_SCANNED = 20_000
_FIRST_LOOK = 500


@dataclass(frozen=True, slots=True)
class Source:
    """Rows that one index has in the order of their ids, where `keys` choose them; None: the table itself.

    It is walked once for each of the values `given` for the keys' parameters.
    """

    index: str | None
    keys: tuple[Condition, ...]
    given: tuple[Mapping[str, Any], ...] = ({},)


@dataclass(frozen=True, slots=True)
class Walk:
    """`conditions` are looked at row by row; `lowest` and `below` bound the ids from the start."""

    table: TableClause
    conditions: tuple[Condition, ...]
    limit: int
    lowest: int | None
    below: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """Ids of one source, newest first. Below `floor` nothing was looked at; None: it was looked through."""

    ids: tuple[int, ...]
    floor: int | None


def page_of_ids(db: apsw.Connection, walk: Walk, sources: Sequence[Source]) -> tuple[list[int], int | None]:
    """The page's ids, newest first, and where the next one continues."""
    walks = sum(len(source.given) for source in sources)
    share = max(walk.limit + 1, MOST_ROWS_SCANNED // max(walks, 1))
    found = [one for source in sources for one in _scan(db, walk, source, share)]
    return merged(found, walk.limit)


def merged(found: Sequence[Found], limit: int) -> tuple[list[int], int | None]:
    """Nothing below the highest floor is shown: one of the sources has not been looked at there."""
    floor = max((one.floor for one in found if one.floor is not None), default=None)
    ids = sorted((i for one in found for i in one.ids if floor is None or i >= floor), reverse=True)
    if len(ids) > limit:
        return ids[:limit], ids[limit - 1]
    return ids, floor


def time_bounds(
    db: apsw.Connection, since: int | None, until: int | None, before: int | None
) -> tuple[int | None, int | None]:
    """Ids that may have been born in the time: the lowest, and the one that all are below.

    Ids never lag behind the clock, but run ahead of it after it was set back.
    """
    lowest = None if since is None else first_id(since)
    if until is None:
        return lowest, before
    ((lead,),) = fetch(db, "SELECT clock_lead FROM meta")
    below = first_id(until + lead + 1)
    return lowest, below if before is None else min(before, below)


def _scan(db: apsw.Connection, walk: Walk, source: Source, share: int) -> Iterator[Found]:
    row_id, rows = walk.table.c.id, _rows(walk, source)
    last = Written(rows.limit(1).offset(bindparam("skipped")))
    wanted = Written(rows.where(*walk.conditions, row_id >= bindparam("floor")).limit(walk.limit + 1))
    # Most filters find enough in a first look.
    looks = sorted({min(_FIRST_LOOK, share), share}) if walk.conditions else [None]
    for given in source.given:
        found = Found((), None)
        for look in looks:
            found = _look(db, last, wanted, given, look)
            if found.floor is None or len(found.ids) > walk.limit:
                break
        yield found


def _look(
    db: apsw.Connection, last: Written, wanted: Written, given: Mapping[str, Any], rows: int | None
) -> Found:
    """What passes among so many rows, or among all of them."""
    floor = None
    if rows is not None:
        ((floor,),) = fetch(db, last.text, last.bound({**given, "skipped": rows - 1})) or ((None,),)
    ids = fetch(db, wanted.text, wanted.bound({**given, "floor": floor or 0}))
    return Found(tuple(row_id for (row_id,) in ids), floor)


def _rows(walk: Walk, source: Source) -> Select[Any]:
    row_id = walk.table.c.id
    hint = f"INDEXED BY {source.index}" if source.index else "NOT INDEXED"
    query = select(row_id).with_hint(walk.table, hint, "sqlite")
    query = query.where(*source.keys).order_by(row_id.desc())
    if walk.lowest is not None:
        query = query.where(row_id >= walk.lowest)
    return query if walk.below is None else query.where(row_id < walk.below)
