"""The audit log at any size: old files are brought up, and a page costs the same however long the log is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import apsw
import pytest
import pytest_asyncio

from ringback import ids
from ringback.store.port import AuditFilter, AuditRow
from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.pages import MOST_ROWS_SCANNED
from tests.builders import NOON, Clock

LONG = 60_000
_FILL = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
INSERT INTO audit (id, at, actor, action, object, detail, business_id)
SELECT ?2 + (i << 20), ?3 + i, 'key:often', 'delivery.retry', 'dlv_' || (i % 1000), NULL, i % 2 + 1 FROM n
"""


async def test_lines_of_an_older_file_are_found_by_time(database: Path, clock: Clock) -> None:
    old = apsw.Connection(str(database))
    old.execute((files("ringback.store.migrations.sqlite") / "0001_first.sql").read_text())
    old.execute("CREATE TABLE schema_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT")
    old.execute("INSERT INTO schema_migrations VALUES ('0001_first', 0)")
    for minute in range(3):
        values = (NOON + minute * 60_000, "key:old", "business.create", f"business {minute}", minute)
        old.execute(
            "INSERT INTO audit (at, actor, action, object, business_id) VALUES (?, ?, ?, ?, ?)", values
        )
    old.close()

    store = await SqliteStore.open(database, clock=clock)

    late = await store.list_audit(None, AuditFilter(since=NOON + 60_000), 10, None)
    first = await store.list_audit(None, AuditFilter(), 2, None)
    second = await store.list_audit(None, AuditFilter(), 2, first.next_before)
    assert [row.thing for row in late.items] == ["business 2", "business 1"]
    assert [row.thing for row in (*first.items, *second.items)] == ["business 2", "business 1", "business 0"]
    await store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SqliteStore]:
    """With a long log of two businesses."""
    path = tmp_path_factory.mktemp("audit") / "ringback.db"
    opened = await SqliteStore.open(path, clock=Clock(NOON + LONG), inline=True)
    db = apsw.Connection(str(path))
    db.execute(_FILL, (LONG, ids.first_id(NOON), NOON))
    db.close()
    yield opened
    await opened.close()


class Steps:
    """Steps of SQLite's machine that a page takes."""

    def __init__(self, store: SqliteStore) -> None:
        self._connection = store._db._db
        self.taken = 0

    def __enter__(self) -> Steps:
        def add(event: dict[str, dict[str, int]]) -> None:
            self.taken += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

        self._connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, add)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.trace_v2(0)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("business", [1, None])
@pytest.mark.parametrize(
    "wanted",
    [
        AuditFilter(),
        AuditFilter(action="delivery.retry"),
        AuditFilter(actor="key:often"),
        AuditFilter(since=NOON + LONG - 100),
        AuditFilter(until=NOON + 100),
        AuditFilter(thing="dlv_2"),
    ],
    ids=lambda one: str(one)[11:] if isinstance(one, AuditFilter) else None,
)
async def test_a_page_costs_little_however_long_the_log(
    store: SqliteStore, business: int | None, wanted: AuditFilter
) -> None:
    with Steps(store) as steps:
        page = await store.list_audit(business, wanted, 20, None)

    assert len(page.items) == 20
    # Of one thing among all businesses there is no index, but a bound.
    assert steps.taken < (20 * MOST_ROWS_SCANNED if business is None and wanted.thing else 12_000)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_filter_that_nothing_passes_looks_at_a_bounded_number_of_lines(store: SqliteStore) -> None:
    found: list[AuditRow] = []
    before: int | None = None
    pages = 0
    with Steps(store) as steps:
        while pages == 0 or before is not None:
            page = await store.list_audit(None, AuditFilter(action="key.revoke"), 20, before)
            found += page.items
            before = page.next_before
            pages += 1

    assert found == []
    assert 2 <= pages <= LONG // MOST_ROWS_SCANNED + 1
    assert steps.taken < 20 * LONG
