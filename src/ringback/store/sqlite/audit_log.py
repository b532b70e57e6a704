"""Who did what, for people to read."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
from sqlalchemy import column, table

from ringback.store.port import AuditFilter, AuditRow, Page
from ringback.store.sqlite.lanes import id_list
from ringback.store.sqlite.pages import Source, Walk, page_of_ids, time_bounds
from ringback.store.sqlite.rows import fetch, value_of
from ringback.store.tables import Condition

_TABLE = table("audit", *map(column, ("id", "business_id", "at", "actor", "action", "object")))
_A = _TABLE.c
_ROWS = """
SELECT id, at, actor, action, object, detail, business_id FROM audit
WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC
"""


def list_audit(
    db: apsw.Connection, business_id: int | None, wanted: AuditFilter, limit: int, before: int | None
) -> Page[AuditRow]:
    lowest, below = time_bounds(db, wanted.since, wanted.until, before)
    walk = Walk(_TABLE, tuple(_conditions(business_id, wanted)), limit, lowest, below)
    found, next_before = page_of_ids(db, walk, [_source(business_id, wanted)])
    rows = fetch(db, _ROWS, (id_list(found),))
    return Page(items=tuple(value_of(AuditRow, row) for row in rows), next_before=next_before)


def _source(business_id: int | None, wanted: AuditFilter) -> Source:
    if business_id is None:
        return Source(None, ())
    own = _A.business_id == business_id
    if wanted.thing is None:
        return Source("audit_by_business", (own,))
    return Source("audit_by_object", (own, _A.object == wanted.thing))


def _conditions(business_id: int | None, wanted: AuditFilter) -> Iterator[Condition]:
    if wanted.actor is not None:
        yield _A.actor == wanted.actor
    if wanted.action is not None:
        yield _A.action == wanted.action
    if wanted.thing is not None and business_id is None:
        yield _A.object == wanted.thing
    if wanted.since is not None:
        yield _A.at >= wanted.since
    if wanted.until is not None:
        yield _A.at < wanted.until
