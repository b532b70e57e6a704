"""What people set."""

from __future__ import annotations

from ringback.catalog import EventType
from ringback.match import Snapshot
from ringback.model import ApiKey, Business, Integration
from ringback.store.port import Change, NewBusiness, Page
from ringback.store.sqlite import businesses, event_types, integrations, keys, snapshots
from ringback.store.sqlite.verbs.database import Verbs


class ConfigurationVerbs(Verbs):
    async def snapshot(self, previous: Snapshot) -> Snapshot:
        return await self._db.read(lambda db: snapshots.snapshot(db, previous))

    async def create_business(self, new: NewBusiness, change: Change) -> Business:
        return await self._db.write(lambda tx: businesses.create_business(tx, new, change))

    async def save_business(
        self, business: Business, change: Change, *, read: Business | None = None
    ) -> Business:
        return await self._db.write(lambda tx: businesses.save_business(tx, business, change, read))

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

    async def save_event_type(self, business_id: int, event_type: EventType, change: Change) -> None:
        await self._db.write(lambda tx: event_types.save_event_type(tx, business_id, event_type, change))

    async def delete_event_type(self, business_id: int, name: str, change: Change) -> None:
        await self._db.write(lambda tx: event_types.delete_event_type(tx, business_id, name, change))

    async def create_key(self, key: ApiKey, change: Change) -> None:
        await self._db.write(lambda tx: keys.create_key(tx, key, change))

    async def list_keys(self, limit: int, before: int | None) -> Page[ApiKey]:
        return await self._db.read(lambda db: keys.list_keys(db, limit, before))

    async def revoke_key(self, key_id: int, change: Change) -> None:
        await self._db.write(lambda tx: keys.revoke_key(tx, key_id, change))
