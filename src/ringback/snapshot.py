"""The newest configuration, kept in memory and followed: matching and sending read it, never the database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ringback.errors import StoreUnavailable
from ringback.match import EMPTY, Snapshot
from ringback.store.port import Store


class LiveSnapshot:
    """`current` is replaced whole. Listeners hear of each new one, on the loop.

    `elsewhere` is awaited with the version that has to be in force in the processes beside this one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._refreshing = asyncio.Lock()
        self.elsewhere: Callable[[int], Awaitable[None]] | None = None
        self.current: Snapshot = EMPTY

    def listen(self, listener: Callable[[Snapshot], None]) -> None:
        self._listeners.append(listener)

    async def refresh(self) -> Snapshot:
        """After a change: it is in force here, and beside this process where that does not take long."""
        newest = await self.catch_up()
        if self.elsewhere is not None:
            await self.elsewhere(newest.version)
        return newest

    async def catch_up(self) -> Snapshot:
        """The configuration as committed when this was called, or newer."""
        async with self._refreshing:
            newest = await self._store.snapshot(self.current)
            if newest is not self.current:
                self.current = newest
                for listener in self._listeners:
                    listener(newest)
            return newest

    async def follow(self, every_seconds: float, on_error: Callable[[StoreUnavailable], None]) -> None:
        """Other processes' changes, within `every_seconds`."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                await self.catch_up()
            except StoreUnavailable as error:
                on_error(error)
