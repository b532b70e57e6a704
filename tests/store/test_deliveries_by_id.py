"""Deliveries that somebody knows by their ids: as every list shows them."""

from __future__ import annotations

from ringback.model import IntegrationState
from ringback.store.port import DeliveryFilter, Store
from tests.builders import Clock, Tenant, a_tenant


async def test_they_are_those_of_the_list_newest_first(acme: Tenant) -> None:
    first, second = await acme.waiting(), await acme.waiting(acme.lanes[1])
    await acme.set_state(IntegrationState.PAUSED)

    found = await acme.store.deliveries(acme.id, {first, second})

    page = await acme.store.list_deliveries(acme.id, DeliveryFilter(), 10, None)
    assert found == page.items
    assert [row.state for row in found] == ["queued", "held"]


async def test_what_is_not_there_or_anothers_is_left_out(acme: Tenant, store: Store, clock: Clock) -> None:
    other = await a_tenant(store, clock, name="Other", node=acme.node)
    await acme.refresh()
    ours, theirs = await acme.waiting(), await other.waiting()

    found = await acme.store.deliveries(acme.id, [ours, theirs, ours + 1_000])

    assert [row.delivery_id for row in found] == [ours]
    assert await acme.store.deliveries(acme.id, []) == ()
