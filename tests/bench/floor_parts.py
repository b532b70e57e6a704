"""The parts of the floor that need no server, each measured in a process of its own on the server's core.

`python -m tests.bench.floor_parts commit DATABASE EVENTS`, `… post URL EVENTS`, `… hmac EVENTS`: prints
µs of CPU per event.
"""

from __future__ import annotations

import asyncio
import hmac
import sys
import time
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from tests.bench.poster import Poster
from tests.bench.traffic import EVENT_TYPE, delivered_body

EVENTS_PER_COMMIT = 100
POSTS_IN_FLIGHT = 100
WARM_UP_SHARE = 10
LANES = 20
CHECKPOINT_PAGES = 4_096
SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ANSWER_HEADERS = '[["content-type","text/plain"],["content-length","2"]]'

# What must be stored of an event and its delivery, and the one index that idempotency needs.
SCHEMA = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY, business_id INTEGER NOT NULL, event_id TEXT NOT NULL, event_type TEXT NOT NULL,
    timestamp INTEGER NOT NULL, accepted_at INTEGER NOT NULL, fanout INTEGER NOT NULL, test INTEGER NOT NULL,
    schema_errors TEXT, data BLOB) STRICT;
CREATE UNIQUE INDEX events_by_event_id ON events (business_id, event_id);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, event_row INTEGER NOT NULL, business_id INTEGER NOT NULL,
    integration_id INTEGER NOT NULL, event_type TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    due_at INTEGER, node_id INTEGER, epoch INTEGER, last_status INTEGER, last_failure TEXT,
    created_at INTEGER NOT NULL, finished_at INTEGER) STRICT;
CREATE INDEX deliveries_waiting ON deliveries (integration_id, due_at, id)
    WHERE state IN ('queued', 'retrying');
CREATE TABLE attempts (
    delivery_id INTEGER NOT NULL, number INTEGER NOT NULL, started_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    dns_ms REAL, connect_ms REAL, tls_ms REAL, first_byte_ms REAL, total_ms REAL NOT NULL, status INTEGER,
    failure TEXT, detail TEXT, truncated INTEGER NOT NULL, remote_address TEXT, http_version TEXT,
    signatures INTEGER NOT NULL, header_names TEXT NOT NULL, replay INTEGER NOT NULL,
    response_headers TEXT NOT NULL, response_body BLOB NOT NULL, PRIMARY KEY (delivery_id, number))
    STRICT, WITHOUT ROWID;
"""

Row = tuple[Any, ...]


def cpu_us_per_event(work: Callable[[int], None], events: int) -> float:
    """After a warm-up. Of all threads of this process."""
    work(events // WARM_UP_SHARE)
    before = time.process_time()
    work(events)
    return (time.process_time() - before) / events * 1e6


# ---------------------------------------------------------------- one commit per 100 events


class Committing:
    """Both transactions' rows of 100 events in a single commit, one prepared statement per table."""

    def __init__(self, path: str) -> None:
        import apsw

        self._db = apsw.Connection(path)
        self._db.pragma("journal_mode", "wal")
        self._db.pragma("synchronous", "full")
        self._db.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        self._db.pragma("cache_size", -65_536)
        self._db.execute(SCHEMA)
        self._data = delivered_body().partition(b'"Data":')[2][:-1]
        self._next_id = 1

    def __call__(self, events: int) -> None:
        for _ in range(max(events // EVENTS_PER_COMMIT, 1)):
            self._commit(range(self._next_id, self._next_id + 2 * EVENTS_PER_COMMIT, 2))
            self._next_id += 2 * EVENTS_PER_COMMIT

    def _commit(self, ids: range) -> None:
        now = int(time.time() * 1000)
        run = self._db.execute
        run("BEGIN IMMEDIATE")
        run(_INSERT_EVENTS, _flat(self._event(one, now) for one in ids))
        run(_INSERT_DELIVERIES, _flat(_delivery(one, now) for one in ids))
        run(_DELIVERED, _flat((one + 1, 1, now + 3) for one in ids))
        run(_INSERT_ATTEMPTS, _flat(_attempt(one, now) for one in ids))
        run("COMMIT")

    def _event(self, one: int, now: int) -> Row:
        business = one % LANES
        return (one, business, f"evt_{one:026d}", EVENT_TYPE, now, now, 1, 0, None, self._data)


def _delivery(one: int, now: int) -> Row:
    lane = one % LANES
    return (one + 1, one, lane, lane, EVENT_TYPE, "sending", 0, now, 1, 1, None, None, now, None)


def _attempt(one: int, now: int) -> Row:
    timings = (0.0, 0.0, 0.0, 1.25, 1.5)
    answer = (200, None, None, 0, "127.0.0.1:9000", "1.1", 1, "[]", 0, ANSWER_HEADERS, b"ok")
    return (one + 1, 1, now, now + 3, *timings, *answer)


def _values(width: int) -> str:
    return "(VALUES " + ",".join(["(" + ",".join("?" * width) + ")"] * EVENTS_PER_COMMIT) + ")"


_INSERT_EVENTS = f"INSERT INTO events SELECT * FROM {_values(10)}"
_INSERT_DELIVERIES = f"INSERT INTO deliveries SELECT * FROM {_values(14)}"
_INSERT_ATTEMPTS = f"INSERT INTO attempts SELECT * FROM {_values(20)}"
_DELIVERED = (
    "UPDATE deliveries SET state = 'delivered', attempts = r.column2, due_at = NULL, node_id = NULL,"
    f" epoch = NULL, last_status = 200, finished_at = r.column3 FROM {_values(3)} r"
    " WHERE id = r.column1 AND state = 'sending'"
)


def _flat(rows: Iterable[Row]) -> Row:
    return tuple(chain.from_iterable(rows))


# ---------------------------------------------------------------- one POST, one HMAC


class Posting:
    """POSTs with so many in flight all the time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._body = delivered_body()

    async def measure(self, events: int) -> float:
        self._poster = Poster(self._url, self._answered)
        await self._post(events // WARM_UP_SHARE)
        before = time.process_time()
        await self._post(events)
        return (time.process_time() - before) / events * 1e6

    async def _post(self, events: int) -> None:
        self._unsent = self._open = events
        self._over = asyncio.get_running_loop().create_future()
        for _ in range(min(POSTS_IN_FLIGHT, events)):
            self._send()
        await self._over

    def _send(self) -> None:
        self._unsent -= 1
        self._poster.post(self._body)

    def _answered(self) -> None:
        self._open -= 1
        if self._unsent:
            self._send()
        elif not self._open:
            self._over.set_result(None)


def post(url: str, events: int) -> float:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Posting(url).measure(events))


def sign(events: int) -> None:
    body = delivered_body()
    for _ in range(events):
        hmac.digest(SECRET, body, "sha256")


def main() -> None:
    part, place, events = sys.argv[1], sys.argv[2], int(sys.argv[-1])
    if part == "commit":
        print(cpu_us_per_event(Committing(place), events))
    elif part == "post":
        print(post(place, events))
    else:
        print(cpu_us_per_event(sign, events))


if __name__ == "__main__":
    main()
