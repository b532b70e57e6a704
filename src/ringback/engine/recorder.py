"""Writes results in batches: while one batch commits, the next gathers. Nothing is dropped.

The window bounds what waits here: its slots are given back only when a result is recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from ringback import failpoint
from ringback.errors import Poisoned, StoreUnavailable
from ringback.model import AttemptResult, Node
from ringback.store.port import Store

RETRY_SECONDS = 0.5
MAX_BATCH = 1_000

# The results of a batch, and the ids of the deliveries whose result was written.
Recorded = Callable[[Sequence[AttemptResult], frozenset[int]], None]


class Recorder:
    def __init__(
        self, store: Store, node: Node, recorded: Recorded, unavailable: Callable[[StoreUnavailable], None]
    ) -> None:
        self._store = store
        self._node = node
        self._recorded = recorded
        self._unavailable = unavailable
        self._waiting: list[AttemptResult] = []
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, result: AttemptResult) -> None:
        self._waiting.append(result)
        self._some.set()
        self._idle.clear()

    async def flushed(self) -> None:
        """Until everything added so far is recorded."""
        await self._idle.wait()

    async def run(self) -> None:
        while True:
            await self._some.wait()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            await self._write(batch)
            if not self._waiting:
                self._some.clear()
                self._idle.set()

    async def _write(self, batch: Sequence[AttemptResult]) -> None:
        failpoint.reach("before_record")
        written = await self._record_until_done(batch)
        failpoint.reach("after_record")
        self._recorded(batch, written)

    async def _record_until_done(self, batch: Sequence[AttemptResult]) -> frozenset[int]:
        while True:
            try:
                return await self._store.record(batch, self._node)
            except StoreUnavailable as error:
                self._unavailable(error)
                await asyncio.sleep(RETRY_SECONDS)
            except Poisoned:
                return frozenset()
