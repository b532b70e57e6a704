"""The one growing sequence that rows of the log take their ids from, read inside the transaction."""

from __future__ import annotations

import apsw

from ringback.ids import born_ms, first_id
from ringback.store.sqlite.rows import fetch

_LAST = """
SELECT clock_lead, max(events_reached,
    ifnull((SELECT max(id) FROM events), 0),
    ifnull((SELECT max(id) FROM deliveries), 0),
    ifnull((SELECT max(since_id) FROM integration_history), 0))
FROM meta
"""


def next_id(db: apsw.Connection, now: int) -> int:
    """The first id not yet taken. Where the clock stepped back, ids go on from where they were."""
    clock_lead, last = fetch(db, _LAST)[0]
    return following(db, last, clock_lead, now)


def following(db: apsw.Connection, last: int, clock_lead: int, now: int) -> int:
    found: int = max(last + 1, first_id(now))
    lead = born_ms(found) - now
    if lead > clock_lead:
        # Lists by time look this much further; doubled, so that it is seldom written.
        db.execute("UPDATE meta SET clock_lead = ?", (2 * lead,))
    return found
