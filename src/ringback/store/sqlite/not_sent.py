"""Why integrations got nothing of an event, from what each of them was when it was accepted."""

from __future__ import annotations

import apsw
import msgspec

from ringback.match import Standing, why_not
from ringback.store.port import EventRow, NotSent
from ringback.store.sqlite.rows import fetch

MOST_LOOKED_AT = 1_000

# An integration's standing is its last row of history up to the event's own id.
_OTHERS = """
SELECT i.integration_id, h.events, h.deleted
FROM integrations i INDEXED BY integrations_by_business LEFT JOIN integration_history h
    ON h.integration_id = i.integration_id AND h.since_id = (
        SELECT max(since_id) FROM integration_history
        WHERE integration_id = i.integration_id AND since_id <= ?2)
WHERE i.business_id = ?1
    AND i.integration_id NOT IN (SELECT integration_id FROM deliveries WHERE id > ?2 AND id <= ?2 + ?3)
ORDER BY i.integration_id DESC LIMIT ?4
"""


def not_sent(db: apsw.Connection, event: EventRow) -> tuple[NotSent, ...]:
    others = fetch(db, _OTHERS, (event.business_id, event.row_id, event.deliveries, MOST_LOOKED_AT))
    reasons = [
        (integration_id, why_not(_standing(events, deleted), event.event_type, test=event.test))
        for integration_id, events, deleted in others
    ]
    return tuple(
        NotSent(integration_id=integration_id, reason=reason)
        for integration_id, reason in reasons
        if reason is not None
    )


def _standing(events: str | None, deleted: int | None) -> Standing | None:
    if events is None:
        return None
    return Standing(events=msgspec.json.decode(events, type=tuple[str, ...]), deleted=bool(deleted))
