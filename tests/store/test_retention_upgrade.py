"""A database of a version that did not know since when a lane is held."""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

import apsw

from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.schema import _LEDGER
from tests.builders import Clock


def an_older_database(path: Path) -> None:
    """With one lane that is held and one that is not."""
    migrations = files("ringback.store.migrations.sqlite").iterdir()
    scripts = {one.name: one.read_text("utf-8") for one in migrations if one.name.endswith(".sql")}
    db = apsw.Connection(str(path))
    db.execute(_LEDGER)
    for name in sorted(name for name in scripts if name < "0006"):
        db.execute(scripts[name])
        db.execute("INSERT INTO schema_migrations VALUES (?, 0)", (name.removesuffix(".sql"),))
    db.execute(
        "INSERT INTO lanes (integration_id, business_id, held, deleted) VALUES (1, 1, 1, 0), (2, 1, 0, 0)"
    )
    db.close()


async def test_what_is_held_already_counts_from_the_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "ringback.db"
    an_older_database(path)
    before = time.time_ns() // 1_000_000

    store = await SqliteStore.open(path, clock=Clock(), inline=True)

    lanes = await store._db.read(lambda db: dict(db.execute("SELECT integration_id, held_since FROM lanes")))
    await store.close()
    assert lanes[1] >= before
    assert lanes[2] is None
