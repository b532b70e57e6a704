"""What waits and what is being sent now, of one business: counted in indexes, lane by lane."""

from __future__ import annotations

import apsw

from ringback.store.port import WaitingNow
from ringback.store.sqlite.rows import fetch

_OF_LANE = "d.integration_id = l.integration_id AND d.state IN ('queued', 'retrying')"
_COUNT = (
    "(SELECT count(*) FROM deliveries d INDEXED BY deliveries_waiting_by_id"
    f" WHERE {_OF_LANE} AND d.state = '{{}}')"
)
_FIRST = (
    "(SELECT d.due_at FROM deliveries d INDEXED BY deliveries_waiting"
    f" WHERE {_OF_LANE} AND d.due_at {{}} ?2 ORDER BY d.due_at LIMIT 1)"
)
_WAITING = (
    f"SELECT l.held, sum({_COUNT.format('queued')}), sum({_COUNT.format('retrying')}),"
    f" min({_FIRST.format('>')}), min({_FIRST.format('<=')})"
    " FROM lanes l INDEXED BY lanes_by_business"
    " WHERE l.business_id = ?1 AND l.due_at IS NOT NULL AND NOT l.deleted GROUP BY l.held"
)
_SENDING = (
    "SELECT count(*) FROM deliveries INDEXED BY deliveries_leased WHERE state = 'sending' AND business_id = ?"
)
_Sums = tuple[int, int, int | None, int | None]
_NONE: _Sums = (0, 0, None, None)


def waiting_now(db: apsw.Connection, business_id: int, now: int) -> WaitingNow:
    rows = fetch(db, _WAITING, (business_id, now))
    sums: dict[int, _Sums] = {
        held: (queued, retrying, next_at, oldest) for held, queued, retrying, next_at, oldest in rows
    }
    queued, retrying, next_attempt_at, oldest_due_at = sums.get(0, _NONE)
    ((sending,),) = fetch(db, _SENDING, (business_id,))
    return WaitingNow(
        queued=queued,
        sending=sending,
        retrying=retrying,
        held=sum(sums.get(1, _NONE)[:2]),
        next_attempt_at=next_attempt_at,
        oldest_due_at=oldest_due_at,
    )
