"""The write-ahead log is brought back into the file, and no reader can hold up the writer meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import apsw

from ringback.store.sqlite.connection import BUSY_MS
from tests.builders import Tenant

MIB = 1024 * 1024
LONG = 70 * MIB


async def write_a_lot(acme: Tenant) -> None:
    await acme.accept(*(acme.new(data=b"x" * 60_000) for _ in range(60)))


async def test_a_log_that_a_reader_kept_long_is_short_once_the_reader_has_left(
    acme: Tenant, database: Path
) -> None:
    log = database.with_name("ringback.db-wal")
    staying = apsw.Connection(str(database))
    staying.execute("BEGIN")
    assert staying.execute("SELECT count(*) FROM events").get == 0
    while log.stat().st_size < LONG:
        await write_a_lot(acme)
    staying.close()

    for _ in range(12):
        await write_a_lot(acme)

    assert log.stat().st_size < LONG // 2


async def test_the_writer_does_not_wait_for_a_reader_that_stays(acme: Tenant, database: Path) -> None:
    staying = apsw.Connection(str(database))
    staying.execute("BEGIN")
    assert staying.execute("SELECT count(*) FROM events").get == 0

    # Long enough for the log to want bringing back, and to be refused.
    async with asyncio.timeout(0.9 * BUSY_MS / 1000):
        for _ in range(8):
            await write_a_lot(acme)

    staying.close()
