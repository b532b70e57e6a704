"""The database that a command worked on, looked at from beside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from ringback.store.sqlite import SqliteStore

DATABASE = Path("ringback-data/ringback.db")
KEY_FILE = Path("ringback-data/master.key")

T = TypeVar("T")


def on(database: Path, work: Callable[[SqliteStore], Awaitable[T]]) -> T:
    async def run() -> T:
        store = await SqliteStore.open(database)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())
