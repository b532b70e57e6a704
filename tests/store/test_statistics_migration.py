"""What a database of the first schema had counted is there after the migration, with what is counted anew."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import apsw

from ringback.statistics import DAY_MS, HOUR_MS, MINUTE_MS, Bucket, total, widen
from ringback.store.port import Asked
from ringback.store.sqlite import SqliteStore
from tests.builders import NOON, Clock

_LANE = (1, 7, "call.completed")
# Number, replay, failure and end of each attempt: the second delivery came through on the second.
_ATTEMPTS = [
    (11, 1, 0, None, NOON + 40, 39.2),
    (12, 1, 0, "server_500", NOON + 50, 49.1),
    (12, 2, 0, None, NOON + HOUR_MS, 5.0),
    (12, 3, 1, "server_500", NOON + 2 * HOUR_MS, 7_000.0),
]


def _first_schema(path: Path) -> None:
    db = apsw.Connection(str(path))
    db.execute((files("ringback.store.migrations.sqlite") / "0001_first.sql").read_text())
    db.execute("CREATE TABLE schema_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT")
    db.execute("INSERT INTO schema_migrations VALUES ('0001_first', 0)")
    _fill(db)
    db.close()


def _fill(db: apsw.Connection) -> None:
    db.execute(
        "INSERT INTO businesses VALUES (1, 'Acme', NULL, 1, 'warn', ?, NULL, 1)",
        (NOON,),
    )
    db.execute(
        "INSERT INTO events VALUES (10, 1, 'evt_1', 'call.completed', ?1, ?1, 2, 0, NULL, x'')", (NOON,)
    )
    for row in (11, 12):
        db.execute(
            "INSERT INTO deliveries VALUES (?1, 10, 1, 7, 'call.completed', 'delivered', 1, 1, NULL, NULL,"
            " NULL, 200, NULL, 0, 0, 0, ?2, ?2)",
            (row, NOON),
        )
    for delivery, number, replay, failure, ended_at, total_ms in _ATTEMPTS:
        db.execute(
            "INSERT INTO attempts (delivery_id, number, started_at, ended_at, total_ms, status, failure,"
            " truncated, signatures, header_names, replay, response_headers, response_body)"
            " VALUES (?, ?, ?3, ?3, ?, 200, ?, 0, 0, '[]', ?, '[]', x'')",
            (delivery, number, ended_at, total_ms, failure, replay),
        )
    for grain in (MINUTE_MS, HOUR_MS):
        start = NOON - NOON % grain
        later = NOON + HOUR_MS - (NOON + HOUR_MS) % grain
        db.execute("INSERT INTO intake_stats VALUES (1, ?, ?, 'call.completed', 1)", (grain, start))
        db.execute(
            "INSERT INTO delivery_stats (grain, start, business_id, integration_id, event_type, created,"
            " delivered, first_try, le_50) VALUES (?, ?, ?, ?, ?, 2, 2, 1, 2)",
            (grain, start, *_LANE),
        )
        for bucket, failed in ((start, 1), (later, 0)):
            db.execute(
                "INSERT INTO attempt_stats (grain, start, business_id, integration_id, event_type, succeeded,"
                " failed, answers_2xx, le_50) VALUES (?, ?, ?, ?, ?, 1, ?, 2, 1)",
                (grain, bucket, *_LANE, failed),
            )


async def test_days_and_first_attempts_are_counted_from_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "ringback.db"
    _first_schema(path)
    store = await SqliteStore.open(path, clock=Clock())

    for bucket in Bucket:
        asked = Asked(range=widen(NOON - HOUR_MS, NOON + 2 * HOUR_MS, bucket))
        found = await store.statistics(1, asked)
        counts = total(found.buckets.values())
        made, attempts = counts.deliveries, counts.attempts
        assert (counts.events, made.created, made.delivered, made.first_try) == (1, 2, 2, 1)
        assert (made.first_ended, made.first_succeeded) == (2, 1)
        assert (attempts.succeeded, attempts.failed, sum(attempts.took)) == (2, 1, 2)
        assert (attempts.slowest_ms, attempts.last_success) == (50, NOON + HOUR_MS)
    days = await store.statistics(1, Asked(range=widen(NOON - DAY_MS, NOON + DAY_MS, Bucket.DAY)))
    assert list(days.buckets) == [NOON - NOON % DAY_MS]
    await store.close()
