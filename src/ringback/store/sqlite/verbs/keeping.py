"""What is kept, and for how long."""

from __future__ import annotations

from ringback.store.port import Chore, Keep, Swept
from ringback.store.sqlite import retention
from ringback.store.sqlite.verbs.database import Verbs


class KeepingVerbs(Verbs):
    async def sweep(self, chore: Chore, keep: Keep, now: int, limit: int) -> Swept | None:
        """A reader looks first: mostly nothing is due, and what is old is fetched from the disk by it."""
        behind_ms = await self._db.read(lambda db: retention.behind(db, chore, keep, now, limit))
        if behind_ms is None:
            return None
        removed = await self._db.write(lambda tx: retention.sweep(tx, chore, keep, now, limit))
        return Swept(removed=removed, behind_ms=behind_ms)
