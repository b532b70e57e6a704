"""What is sealed at rest."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ringback.model import Node, Secret
from ringback.store.port import Change, Resealed
from ringback.store.sqlite import master_keys, secrets
from ringback.store.sqlite.verbs.database import Verbs


class SealingVerbs(Verbs):
    async def reveal_secrets(
        self, business_id: int, integration_id: int, change: Change
    ) -> tuple[Secret, ...]:
        return await self._db.write(
            lambda tx: secrets.reveal_secrets(tx, business_id, integration_id, change)
        )

    async def expire_secrets(self, limit: int, change: Change) -> int:
        if not await self._db.read(lambda db: secrets.any_expired(db, change.at)):
            return 0
        return await self._db.write(lambda tx: secrets.expire_secrets(tx, limit, change))

    async def announce_keys(self, node: Node, key_ids: Sequence[bytes]) -> None:
        await self._db.write(lambda tx: master_keys.announce_keys(tx, node, key_ids))

    async def retire_keys(self, sealing: bytes, retired: Collection[bytes], change: Change) -> None:
        await self._db.write(
            lambda tx: master_keys.retire_keys(
                tx, sealing, retired, change, lambda node_id: not self._locks.is_free(node_id)
            )
        )

    async def reseal(self, values: Sequence[Resealed], change: Change) -> int:
        return await self._db.write(lambda tx: master_keys.reseal(tx, values, change))
