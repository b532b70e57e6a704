"""The real store, with places where a test can have something happen at just that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ringback.model import Node
from ringback.store.port import Claimed, Publish
from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.transaction import Transaction

PATIENCE = 20.0

Step = Callable[[], Awaitable[None]]


class StagedStore(SqliteStore):
    """The real store; a test can have something happen just before or after a verb's transaction, once."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.before: dict[str, Step] = {}
        self.after: dict[str, Step] = {}
        self.batch_sizes: list[int] = []

    async def accept(
        self, publishes: Sequence[Publish], snapshot_version: int, node: Node, now: int
    ) -> list[Any]:
        await _take(self.before, "accept")
        answers = await super().accept(publishes, snapshot_version, node, now)
        self.batch_sizes.append(len(publishes))
        await _take(self.after, "accept")
        return answers

    async def claim(self, quotas: Mapping[int, int], node: Node, now: int) -> Claimed:
        await _take(self.before, "claim")
        claimed = await super().claim(quotas, node, now)
        if claimed.leased:
            await _take(self.after, "claim")
        return claimed

    async def release(self, delivery_ids: Sequence[int], node: Node) -> int:
        await _take(self.before, "release")
        return await super().release(delivery_ids, node)

    async def fill_up(self) -> None:
        """From now on the database may not grow by a single page."""
        await self._limit(0)

    async def make_room(self) -> None:
        await self._limit(100_000)

    async def _limit(self, spare_pages: int) -> None:
        def limit(tx: Transaction) -> None:
            tx.db.pragma("max_page_count", tx.db.pragma("page_count") + spare_pages)

        await self._db.write(limit)


async def _take(steps: dict[str, Step], verb: str) -> None:
    step = steps.pop(verb, None)
    if step is not None:
        await step()


class Gate:
    """Where a verb stops until it is let through."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        async with asyncio.timeout(PATIENCE):
            await self.open.wait()
