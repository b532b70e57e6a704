"""What a node opens before it can begin: its database, and the master keys that fit it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from ringback.config import Settings
from ringback.errors import StoreBroken
from ringback.keyring import KeyRing
from ringback.masterkey import proven_keyring
from ringback.match import EMPTY
from ringback.service.first_start import make_data_directory
from ringback.store.port import Store
from ringback.store.sqlite import SqliteStore


@contextlib.asynccontextmanager
async def opened_store(
    settings: Settings, on_broken: Callable[[StoreBroken], None] | None
) -> AsyncIterator[SqliteStore]:
    make_data_directory(settings.data)
    store = await SqliteStore.open(settings.database_path, on_broken=on_broken)
    try:
        yield store
    finally:
        await store.close()


async def proven_keys(settings: Settings, store: Store) -> KeyRing:
    """Raises ConfigurationError where they do not open what is sealed."""
    snapshot = await store.snapshot(EMPTY)
    return proven_keyring(settings.master_key_text, settings.key_file, snapshot)
