"""The log, for people. Its queries are loaded when first asked for: a start need not wait for SQLAlchemy."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ringback.store.port import (
    AttemptRow,
    Change,
    DeliveryFilter,
    DeliveryRow,
    EventFilter,
    EventRow,
    NotSent,
    Page,
    Retried,
)
from ringback.store.sqlite import by_hand, not_sent
from ringback.store.sqlite.delivery_rows import delivery_rows
from ringback.store.sqlite.verbs.database import Verbs


class LogVerbs(Verbs):
    async def list_events(
        self, business_id: int, wanted: EventFilter, limit: int, before: int | None
    ) -> Page[EventRow]:
        from ringback.store.sqlite import event_log

        return await self._db.read(lambda db: event_log.list_events(db, business_id, wanted, limit, before))

    async def get_event(self, business_id: int, event_id: str) -> tuple[EventRow, tuple[DeliveryRow, ...]]:
        from ringback.store.sqlite import event_log

        return await self._db.read(lambda db: event_log.get_event(db, business_id, event_id))

    async def not_sent(self, event: EventRow) -> tuple[NotSent, ...]:
        return await self._db.read(lambda db: not_sent.not_sent(db, event))

    async def list_deliveries(
        self, business_id: int, wanted: DeliveryFilter, limit: int, before: int | None
    ) -> Page[DeliveryRow]:
        from ringback.store.sqlite import delivery_log

        return await self._db.read(
            lambda db: delivery_log.list_deliveries(db, business_id, wanted, limit, before)
        )

    async def deliveries(self, business_id: int, delivery_ids: Collection[int]) -> tuple[DeliveryRow, ...]:
        rows = await self._db.read(lambda db: delivery_rows(db, delivery_ids))
        return tuple(row for row in rows if row.business_id == business_id)

    async def get_delivery(
        self, business_id: int, delivery_id: int
    ) -> tuple[DeliveryRow, tuple[AttemptRow, ...]]:
        from ringback.store.sqlite import delivery_log

        return await self._db.read(lambda db: delivery_log.get_delivery(db, business_id, delivery_id))

    async def retry_delivery(self, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
        return await self._db.write(lambda tx: by_hand.retry_delivery(tx, business_id, delivery_id, change))

    async def retry_deliveries(
        self, business_id: int, delivery_ids: Sequence[int], change: Change
    ) -> tuple[Retried, ...]:
        return await self._db.write(
            lambda tx: by_hand.retry_deliveries(tx, business_id, delivery_ids, change)
        )

    async def cancel_delivery(self, business_id: int, delivery_id: int, change: Change) -> DeliveryRow:
        return await self._db.write(lambda tx: by_hand.cancel_delivery(tx, business_id, delivery_id, change))
