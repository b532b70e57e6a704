"""`SqliteStore`: the port's verbs, each one job for the writer or one query for a reader."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ringback.errors import Poisoned, StoreBroken
from ringback.match import Snapshot
from ringback.model import ApiKey, AttemptResult, Business, Integration, Message, Node
from ringback.store.port import (
    Accepted,
    AttemptRow,
    Change,
    Claimed,
    DeliveryFilter,
    DeliveryRow,
    DueLanes,
    EventFilter,
    EventRow,
    NewBusiness,
    Page,
    Publish,
    QueueDepth,
)
from ringback.store.sqlite import (
    accept,
    businesses,
    by_hand,
    cancellations,
    claim,
    integrations,
    keys,
    lanes,
    lifecycle,
    record,
    snapshots,
)
from ringback.store.sqlite.identity import FileIdentity
from ringback.store.sqlite.inline import InlineDatabase
from ringback.store.sqlite.node_locks import NodeLocks
from ringback.store.sqlite.schema import open_migrated
from ringback.store.sqlite.threads import READERS, ThreadedDatabase
from ringback.store.sqlite.transaction import Transaction


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


class SqliteStore:
    """A database file with `<file>-nodes/` beside it. Made by `open`."""

    def __init__(
        self,
        database: ThreadedDatabase | InlineDatabase,
        file: FileIdentity | None,
        locks: NodeLocks,
        clock: Callable[[], int],
    ) -> None:
        self._db = database
        self._file = file
        self._locks = locks
        self._clock = clock

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], int] = wall_ms,
        inline: bool = False,
        vfs: str | None = None,
        on_broken: Callable[[StoreBroken], None] | None = None,
    ) -> SqliteStore:
        """Open the file, made and migrated where needed. Raises ConfigurationError.

        `inline` runs everything in the calling thread. With a `vfs` of one's own the file is locked for
        this store alone, and `inline` must be chosen. `on_broken` hears of a StoreBroken once, on the loop.
        """
        if vfs is not None and not inline:
            raise ValueError("a vfs of one's own goes with inline only")
        db, readers = open_migrated(path, clock, vfs, 0 if inline else READERS)
        file = FileIdentity(path) if vfs is None else None
        database = InlineDatabase(db, on_broken) if inline else ThreadedDatabase(db, readers, on_broken)
        return cls(database, file, NodeLocks(path.with_name(f"{path.name}-nodes")), clock)

    # -- life

    def now(self) -> int:
        return self._clock()

    async def join(self, now: int) -> Node:
        node_id = self._locks.take_free()
        try:
            return await self._db.write(lambda tx: lifecycle.begin_life(tx, node_id, now))
        except BaseException:
            self._locks.let_go(node_id)
            raise

    async def heartbeat(self, node: Node, now: int) -> None:
        """Raises StoreBroken, told to `on_broken` too, where the path names another file than the opened."""

        def beat(tx: Transaction) -> None:
            if self._file is not None:
                self._file.check()
            lifecycle.show_life(tx, node, now)

        await self._db.write(beat)

    async def leave(self, node: Node) -> None:
        now = self.now()
        try:
            await self._db.write(lambda tx: lifecycle.end_life(tx, node, now))
        finally:
            self._locks.let_go(node.node_id)

    async def close(self) -> None:
        try:
            await self._db.close()
        finally:
            self._locks.let_go_of_all()

    # -- the path of an event

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

    # -- the configuration

    async def snapshot(self, previous: Snapshot) -> Snapshot:
        return await self._db.read(lambda db: snapshots.snapshot(db, previous))

    async def create_business(self, new: NewBusiness, change: Change) -> Business:
        return await self._db.write(lambda tx: businesses.create_business(tx, new, change))

    async def save_business(self, business: Business, change: Change) -> Business:
        return await self._db.write(lambda tx: businesses.save_business(tx, business, change))

    async def delete_business(self, business_id: int, change: Change) -> None:
        await self._db.write(lambda tx: businesses.delete_business(tx, business_id, change))

    async def get_business(self, business_id: int) -> Business:
        return await self._db.read(lambda db: businesses.get_business(db, business_id))

    async def list_businesses(self, limit: int, before: int | None) -> Page[Business]:
        return await self._db.read(lambda db: businesses.list_businesses(db, limit, before))

    async def create_integration(self, integration: Integration, change: Change) -> Integration:
        return await self._db.write(lambda tx: integrations.create_integration(tx, integration, change))

    async def save_integration(self, integration: Integration, change: Change) -> Integration:
        return await self._db.write(lambda tx: integrations.save_integration(tx, integration, change))

    async def delete_integration(self, business_id: int, integration_id: int, change: Change) -> None:
        await self._db.write(
            lambda tx: integrations.delete_integration(tx, business_id, integration_id, change)
        )

    async def get_integration(self, business_id: int, integration_id: int) -> Integration:
        return await self._db.read(lambda db: integrations.get_integration(db, business_id, integration_id))

    async def list_integrations(self, business_id: int, limit: int, before: int | None) -> Page[Integration]:
        return await self._db.read(lambda db: integrations.list_integrations(db, business_id, limit, before))

    async def create_key(self, key: ApiKey, change: Change) -> None:
        await self._db.write(lambda tx: keys.create_key(tx, key, change))

    async def list_keys(self, limit: int, before: int | None) -> Page[ApiKey]:
        return await self._db.read(lambda db: keys.list_keys(db, limit, before))

    async def revoke_key(self, key_id: int, change: Change) -> None:
        await self._db.write(lambda tx: keys.revoke_key(tx, key_id, change))

    # -- the log

    async def list_events(
        self, business_id: int, wanted: EventFilter, limit: int, before: int | None
    ) -> Page[EventRow]:
        from ringback.store.sqlite import event_log

        return await self._db.read(lambda db: event_log.list_events(db, business_id, wanted, limit, before))

    async def get_event(self, business_id: int, event_id: str) -> tuple[EventRow, tuple[DeliveryRow, ...]]:
        from ringback.store.sqlite import event_log

        return await self._db.read(lambda db: event_log.get_event(db, business_id, event_id))

    async def list_deliveries(
        self, business_id: int, wanted: DeliveryFilter, limit: int, before: int | None
    ) -> Page[DeliveryRow]:
        from ringback.store.sqlite import delivery_log

        return await self._db.read(
            lambda db: delivery_log.list_deliveries(db, business_id, wanted, limit, before)
        )

    async def get_delivery(
        self, business_id: int, delivery_id: int
    ) -> tuple[DeliveryRow, tuple[AttemptRow, ...]]:
        from ringback.store.sqlite import delivery_log

        return await self._db.read(lambda db: delivery_log.get_delivery(db, business_id, delivery_id))

    async def retry_delivery(self, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
        return await self._db.write(lambda tx: by_hand.retry_delivery(tx, business_id, delivery_id, change))

    async def cancel_delivery(self, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
        return await self._db.write(lambda tx: by_hand.cancel_delivery(tx, business_id, delivery_id, change))
