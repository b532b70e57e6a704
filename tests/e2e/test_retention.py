"""A server that starts with what is long over deletes it by itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ringback import ids
from ringback.model import DeliveryState
from ringback.statistics import DAY_MS
from ringback.store.sqlite import SqliteStore
from tests.builders import Clock, a_tenant, change, integration
from tests.e2e.processes import Server, wait_until


async def forty_days_ago(database: Path) -> tuple[int, str]:
    """A business, and the id of a delivery that was dead then."""
    clock = Clock(time.time_ns() // 1_000_000 - 40 * DAY_MS)
    store = await SqliteStore.open(database, clock=clock)
    tenant = await a_tenant(store, clock, integrations=0)
    bare = integration(tenant.id, at=clock(), secrets=())
    tenant.integrations.append(await store.create_integration(bare, change(at=clock())))
    await tenant.refresh()
    delivery_id = await tenant.in_state(DeliveryState.DEAD)
    await store.close()
    return tenant.id, ids.public(ids.DELIVERY, delivery_id)


def test_what_is_past_its_time_goes_while_the_server_runs(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    server.folder.mkdir()
    business_id, delivery_id = asyncio.run(forty_days_ago(server.folder / "ringback.db"))
    path = f"/api/v1/business/{business_id}"
    server.start()
    try:
        delivery = server.call("GET", f"{path}/deliveries/{delivery_id}")
        event = f"{path}/events/{delivery['EventId']}"
        wait_until("the payload is gone", lambda: server.call("GET", event)["Data"] is None, 20)

        assert server.call("POST", f"{path}/events", again(delivery))["Duplicate"] is True
        with pytest.raises(AssertionError, match=r"409 .*past retention"):
            server.call("POST", f"{path}/deliveries/{delivery_id}/retry")
        # Told when the chore is through, after a rest.
        wait_until("nothing is late", lambda: server.metrics()["ringback_retention_behind_seconds"] == 0, 20)
    finally:
        assert server.drain() == 0


def again(delivery: dict[str, str]) -> dict[str, object]:
    return {"EventId": delivery["EventId"], "EventType": delivery["EventType"], "Data": {}}
