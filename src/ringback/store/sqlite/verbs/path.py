"""The path of an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ringback.errors import Poisoned
from ringback.model import AttemptResult, Message, Node
from ringback.store.port import Accepted, Claimed, DueLanes, Publish, QueueDepth
from ringback.store.sqlite import accept, cancellations, claim, lanes, lifecycle, record
from ringback.store.sqlite.verbs.database import Verbs


class PathVerbs(Verbs):
    async def accept(
        self, publishes: Sequence[Publish], snapshot_version: int, node: Node, now: int
    ) -> list[list[Accepted] | Poisoned]:
        return await self._db.write(lambda tx: accept.accept(tx, publishes, snapshot_version, node, now))

    async def record(self, results: Sequence[AttemptResult], node: Node) -> frozenset[int]:
        return await self._db.write(lambda tx: record.record(tx, results, node))

    async def record_test(self, message: Message, result: AttemptResult, now: int) -> int:
        return await self._db.write(lambda tx: record.record_test(tx, message, result, now))

    async def claim(self, quotas: Mapping[int, int], node: Node, now: int) -> Claimed:
        return await self._db.write(lambda tx: claim.claim(tx, quotas, node, now))

    async def due_lanes(self, now: int, limit: int) -> DueLanes:
        return await self._db.read(lambda db: lanes.due_lanes(db, now, limit))

    async def release(self, delivery_ids: Sequence[int], node: Node) -> int:
        return await self._db.write(lambda tx: claim.release(tx, delivery_ids, node))

    async def own_sending(self, node: Node) -> frozenset[int]:
        return await self._db.read(lambda db: lifecycle.own_sending(db, node))

    async def rescue(self, limit: int) -> int:
        dead = await self._db.read(lambda db: lifecycle.dead_lives(db, self._locks))
        if not dead:
            return 0
        return await self._db.write(lambda tx: lifecycle.rescue(tx, dead, limit))

    async def finish_cancellations(self, limit: int, now: int) -> int:
        if not await self._db.read(lambda db: lanes.lanes_to_cancel(db, 1)):
            return 0
        return await self._db.write(lambda tx: cancellations.finish_cancellations(tx, limit, now))

    async def queue_depth(self, now: int) -> QueueDepth:
        return await self._db.read(lambda db: lanes.queue_depth(db, now))
