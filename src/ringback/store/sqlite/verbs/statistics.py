"""What was counted, what waits, and how the system does."""

from __future__ import annotations

from ringback.store.port import Asked, Statistics, SystemState, WaitingNow
from ringback.store.sqlite import rollups, statistics, system, waiting
from ringback.store.sqlite.verbs.database import Verbs


class MonitoringVerbs(Verbs):
    async def statistics(self, business_id: int, asked: Asked) -> Statistics:
        return await self._db.read(lambda db: statistics.statistics(db, business_id, asked))

    async def waiting_now(self, business_id: int, now: int) -> WaitingNow:
        return await self._db.read(lambda db: waiting.waiting_now(db, business_id, now))

    async def system_state(self, now: int) -> SystemState:
        return await self._db.read(lambda db: system.system_state(db, self._locks, now))

    async def fold_statistics(self, limit: int, now: int) -> int:
        if not await self._db.read(lambda db: rollups.can_fold(db, now)):
            return 0
        return await self._db.write(lambda tx: rollups.fold(tx.db, limit, now))
