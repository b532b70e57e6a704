"""What people set: businesses, integrations, API keys. Every change names who makes it."""

from __future__ import annotations

from typing import Protocol

from ringback.catalog import EventType
from ringback.match import Snapshot
from ringback.model import ApiKey, Business, Integration, PayloadValidation, Value
from ringback.store.port.paging import Page


class Change(Value, frozen=True, kw_only=True):
    """Who changes what, for the audit log: `key:ops`, `integration.pause`, now."""

    actor: str
    action: str
    at: int
    detail: str | None = None


class NewBusiness(Value, frozen=True, kw_only=True):
    name: str
    external_id: str | None = None
    enabled: bool = True
    payload_validation: PayloadValidation = PayloadValidation.WARN


class Configuration(Protocol):
    """Changes, each with its line in the audit log, and the newest state of it all."""

    async def snapshot(self, previous: Snapshot) -> Snapshot:
        """The newest configuration; `previous` itself where nothing changed. Shares unchanged businesses."""
        ...

    async def create_business(self, new: NewBusiness, change: Change) -> Business:
        """Raises Conflict where the external id is taken."""
        ...

    async def save_business(
        self, business: Business, change: Change, *, read: Business | None = None
    ) -> Business:
        """Write a changed business; its lanes are held while it is disabled. Raises NotFound, Conflict.

        Where `read` is given and it is another one by now, nothing is written: StaleSnapshot.
        """
        ...

    async def delete_business(self, business_id: int, change: Change) -> None:
        """Hide it and its integrations; what waits is cancelled step by step. Raises NotFound."""
        ...

    async def get_business(self, business_id: int) -> Business:
        """Raises NotFound."""
        ...

    async def list_businesses(self, limit: int, before: int | None) -> Page[Business]: ...

    async def create_integration(self, integration: Integration, change: Change) -> Integration:
        """Raises NotFound where the business is not there."""
        ...

    async def save_integration(self, integration: Integration, change: Change) -> Integration:
        """Write a changed integration (state and secrets too) over the version it was read at.

        Returns it with the next version. Raises Conflict where the stored version is another, NotFound.
        The lane is held or let go in the same transaction, and the history gets its row.
        """
        ...

    async def delete_integration(self, business_id: int, integration_id: int, change: Change) -> None:
        """Raises NotFound."""
        ...

    async def get_integration(self, business_id: int, integration_id: int) -> Integration:
        """Raises NotFound, for a deleted one too."""
        ...

    async def list_integrations(
        self, business_id: int, limit: int, before: int | None
    ) -> Page[Integration]: ...

    async def save_event_type(self, business_id: int, event_type: EventType, change: Change) -> None:
        """Register one of the business' own, or replace it. Raises NotFound where the business is not there,
        Conflict where it has as many, or as much, as it may.
        """
        ...

    async def delete_event_type(self, business_id: int, name: str, change: Change) -> None:
        """Raises NotFound."""
        ...

    async def create_key(self, key: ApiKey, change: Change) -> None:
        """Raises Conflict where that very key exists."""
        ...

    async def list_keys(self, limit: int, before: int | None) -> Page[ApiKey]: ...

    async def revoke_key(self, key_id: int, change: Change) -> None:
        """Raises NotFound."""
        ...
