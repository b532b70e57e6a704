"""The database of the settings, for commands that work on it directly, beside a running server too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from getpass import getuser

from ringback.config import Settings
from ringback.errors import ConfigurationError
from ringback.store.port import Change
from ringback.store.sqlite import SqliteStore


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[SqliteStore]:
    """An existing database; one with older tables is brought up to date. Raises ConfigurationError."""
    path = settings.database_path
    if not path.exists():
        raise ConfigurationError(
            f"there is no database at {path}; `ringback migrate` makes it, and so does the first start"
        )
    store = await SqliteStore.open(path)
    try:
        yield store
    finally:
        await store.close()


def change(action: str, now: int, detail: str | None = None) -> Change:
    """A change made by whoever runs the command."""
    return Change(actor=f"cli:{getuser()}", action=action, at=now, detail=detail)
