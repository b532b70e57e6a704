"""What a node does on the side: prove that it lives, rescue the dead's work, find its own lost leases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Set

from ringback.engine.pace import Pace
from ringback.errors import RingbackError, StoreBroken
from ringback.model import Node
from ringback.store.port import Change, QueueDepth, Store

STEP = 500
# Of each of four tables, in three grains: a few ms of the writer's time.
FOLD_STEP = 100


class Upkeep:
    """`failed` hears of every step that did not work, with its name; the next one tries again."""

    def __init__(
        self,
        store: Store,
        node: Node,
        known: Callable[[], Set[int]],
        freed: Callable[[], None],
        depth: Callable[[QueueDepth], None],
        away: Callable[[], None],
        failed: Callable[[str, RingbackError], None],
        pace: Pace,
    ) -> None:
        self._store = store
        self._node = node
        self._known = known
        self._freed = freed
        self._depth = depth
        self._away = away
        self._failed = failed
        self._pace = pace
        self._suspects: frozenset[int] = frozenset()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            pace = self._pace
            group.create_task(self._repeat("heartbeat", self.heartbeat, pace.heartbeat))
            group.create_task(self._repeat("rescue", self.rescue, pace.rescue))
            group.create_task(self._repeat("orphans", self.send_back_orphans, pace.orphans))
            group.create_task(self._repeat("cancellations", self.finish_cancellations, pace.cancellations))
            group.create_task(self._repeat("depth", self.measure_depth, pace.depth))
            group.create_task(self._repeat("statistics", self.fold_statistics, pace.statistics))
            group.create_task(self._repeat("secrets", self.expire_secrets, pace.secrets))
            group.create_task(self._repeat("sessions", self.forget_sessions, pace.sessions))

    async def _repeat(self, name: str, step: Callable[[], Awaitable[None]], seconds: float) -> None:
        while True:
            try:
                await step()
            except StoreBroken:
                raise
            except RingbackError as error:
                self._failed(name, error)
            await asyncio.sleep(seconds)

    async def heartbeat(self) -> None:
        try:
            await self._store.heartbeat(self._node, self._store.now())
        except RingbackError:
            self._away()
            raise

    async def rescue(self) -> None:
        while await self._store.rescue(STEP):
            self._freed()

    async def send_back_orphans(self) -> None:
        """Release own leases that memory does not know. Seen twice, since a commit may be under way."""
        unknown = await self._store.own_sending(self._node) - self._known()
        orphans = unknown & self._suspects
        self._suspects = unknown - orphans
        if orphans:
            await self._store.release(sorted(orphans), self._node)
            self._freed()

    async def finish_cancellations(self) -> None:
        while await self._store.finish_cancellations(STEP, self._store.now()):
            pass

    async def expire_secrets(self) -> None:
        """They sign nothing from their time on; this only takes them away."""
        change = Change(actor="system", action="secret.expire", at=self._store.now())
        while await self._store.expire_secrets(STEP, change):
            pass

    async def forget_sessions(self) -> None:
        """Those that have ended, and wrong passwords of long ago: neither is looked at any more."""
        while await self._store.forget_expired(self._store.now(), STEP):
            pass

    async def fold_statistics(self) -> None:
        while await self._store.fold_statistics(FOLD_STEP, self._store.now()):
            pass

    async def measure_depth(self) -> None:
        self._depth(await self._store.queue_depth(self._store.now()))
