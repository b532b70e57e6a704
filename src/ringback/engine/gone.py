"""The end of an integration whose endpoint is gone, where its profile says that 410 means so."""

from __future__ import annotations

from msgspec.structs import replace

from ringback.errors import Conflict, NotFound
from ringback.model import Integration, IntegrationState
from ringback.snapshot import LiveSnapshot
from ringback.store.port import Change, Store


async def end_integration(integration_id: int, store: Store, live: LiveSnapshot) -> None:
    """Disable it, and so hold what waits. Raises StoreUnavailable."""
    integration = live.current.integrations.get(integration_id)
    if integration is None or integration.state is IntegrationState.DISABLED:
        return
    now = store.now()
    change = Change(actor="system", action="integration.disable", at=now, detail="answered 410")
    try:
        await store.save_integration(_disabled(integration, now), change)
    except (Conflict, NotFound):
        # Somebody has just changed it: another 410 would say so again.
        return
    await live.catch_up()


def _disabled(integration: Integration, now: int) -> Integration:
    return replace(
        integration,
        state=IntegrationState.DISABLED,
        state_reason="the endpoint answered 410 Gone",
        state_since=now,
        updated_at=now,
    )
