"""Lanes: one row per integration, so that a claim finds work without looking at what it may not send.

A lane's `due_at` is never later than its first waiting delivery's; a claim sets it right.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import apsw
import msgspec

from ringback.model import HELD, DeliveryState
from ringback.store.port import DueLanes, QueueDepth
from ringback.store.sqlite.rows import RowStatement, fetch

_FIRST_DUE = (
    "(SELECT d.due_at FROM deliveries d INDEXED BY deliveries_waiting"
    " WHERE d.integration_id = lanes.integration_id AND d.state IN ('queued', 'retrying')"
    " ORDER BY d.due_at LIMIT 1)"
)
_LOWER = RowStatement(
    "UPDATE lanes SET due_at = r.column2 FROM {rows} r"
    " WHERE integration_id = r.column1 AND (due_at IS NULL OR due_at > r.column2)",
    2,
)
_SET_RIGHT = (
    f"UPDATE lanes SET due_at = {_FIRST_DUE} WHERE integration_id IN (SELECT value FROM json_each(?))"
    " RETURNING integration_id, due_at"
)
_DUE = (
    "SELECT integration_id, due_at FROM lanes INDEXED BY lanes_due"
    " WHERE held = 0 AND due_at IS NOT NULL ORDER BY due_at LIMIT ?"
)
_WAITING_NOW = (
    "(SELECT count(*) FROM deliveries d INDEXED BY deliveries_waiting_by_id"
    " WHERE d.integration_id = lanes.integration_id AND d.state = '{}' AND d.state IN ('queued', 'retrying'))"
)
_DEPTH = (
    f"SELECT held, sum({_WAITING_NOW.format('queued')}), sum({_WAITING_NOW.format('retrying')})"
    " FROM lanes WHERE due_at IS NOT NULL AND NOT deleted GROUP BY held"
)
_SENDING = "SELECT count(*) FROM deliveries INDEXED BY deliveries_leased WHERE state = 'sending'"
_OLDEST_DUE = (
    f"SELECT min({_FIRST_DUE}) FROM lanes INDEXED BY lanes_due"
    " WHERE held = 0 AND due_at IS NOT NULL AND due_at <= ?"
)
_REFRESH_HELD = """
UPDATE lanes SET held = wanted.held, deleted = wanted.deleted,
    held_since = iif(wanted.held, ?2, NULL)
FROM (
    SELECT i.integration_id, i.deleted_at IS NOT NULL AS deleted,
        (i.state <> 'active' OR i.deleted_at IS NOT NULL OR NOT b.enabled OR b.deleted_at IS NOT NULL) AS held
    FROM integrations i JOIN businesses b USING (business_id)
    WHERE i.business_id = ?1
) wanted
WHERE lanes.integration_id = wanted.integration_id
    AND (lanes.held <> wanted.held OR lanes.deleted <> wanted.deleted)
"""


def id_list(ids: Collection[int]) -> str:
    """For `IN (SELECT value FROM json_each(?))`: one text of a statement for any number of ids."""
    return msgspec.json.encode(list(ids)).decode()


def lower_to(db: apsw.Connection, due: Sequence[tuple[int, int]]) -> None:
    """`due`: lane and the time its new waiting delivery is due, the earliest where there are several."""
    _LOWER.run(db, due)


def set_right(db: apsw.Connection, lanes: Collection[int]) -> dict[int, int | None]:
    """Each lane's first waiting time, written and returned."""
    return dict(fetch(db, _SET_RIGHT, (id_list(lanes),)))


def open_lanes(db: apsw.Connection, lanes: Collection[int]) -> list[int]:
    """Those of the lanes that are there and not held."""
    rows = fetch(
        db,
        "SELECT integration_id FROM lanes WHERE held = 0"
        " AND integration_id IN (SELECT value FROM json_each(?))",
        (id_list(lanes),),
    )
    return [lane for (lane,) in rows]


def due_lanes(db: apsw.Connection, now: int, limit: int) -> DueLanes:
    rows = fetch(db, _DUE, (limit + 1,))
    due = tuple(lane for lane, due_at in rows[:limit] if due_at <= now)
    return DueLanes(due=due, next_due=rows[len(due)][1] if len(rows) > len(due) else None)


def waiting_lanes(db: apsw.Connection, business_id: int, shown: str, integration_id: int | None) -> list[int]:
    """The business' lanes with waiting deliveries that are shown in this state."""
    rows = fetch(
        db,
        "SELECT integration_id FROM lanes INDEXED BY lanes_by_business WHERE business_id = ?1"
        " AND due_at IS NOT NULL AND held = ?2 AND deleted = ?3 AND (?4 IS NULL OR integration_id = ?4)",
        (
            business_id,
            shown in (HELD, DeliveryState.CANCELLED),
            shown == DeliveryState.CANCELLED,
            integration_id,
        ),
    )
    return [lane for (lane,) in rows]


def lanes_to_cancel(db: apsw.Connection, limit: int) -> list[int]:
    """Deleted lanes in which deliveries may still wait."""
    rows = fetch(
        db,
        "SELECT integration_id FROM lanes INDEXED BY lanes_to_cancel"
        " WHERE deleted = 1 AND due_at IS NOT NULL LIMIT ?",
        (limit,),
    )
    return [lane for (lane,) in rows]


def queue_depth(db: apsw.Connection, now: int) -> QueueDepth:
    waiting = {held: (queued, retrying) for held, queued, retrying in fetch(db, _DEPTH)}
    queued, retrying = waiting.get(0, (0, 0))
    ((sending,),) = fetch(db, _SENDING)
    ((oldest_due,),) = fetch(db, _OLDEST_DUE, (now,))
    return QueueDepth(
        queued=queued,
        retrying=retrying,
        held=sum(waiting.get(1, (0, 0))),
        sending=sending,
        oldest_due=oldest_due if oldest_due is not None and oldest_due <= now else None,
    )


def add_lane(db: apsw.Connection, integration_id: int, business_id: int) -> None:
    db.execute(
        "INSERT INTO lanes (integration_id, business_id, held, deleted) VALUES (?, ?, 0, 0)",
        (integration_id, business_id),
    )


def refresh_held(db: apsw.Connection, business_id: int, now: int) -> None:
    """Hold or let go the business' lanes as its own and its integrations' states say."""
    db.execute(_REFRESH_HELD, (business_id, now))
