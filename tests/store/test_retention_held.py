"""What was held too long is dead, visibly, and can be sent again by hand."""

from __future__ import annotations

from msgspec.structs import replace

from ringback.model import DeliveryState, IntegrationState
from ringback.statistics import DAY_MS
from ringback.store.port import Chore
from tests.builders import Tenant, change
from tests.store.conftest import Look
from tests.store.sweeps import swept


async def test_what_was_held_too_long_is_dead(acme: Tenant) -> None:
    delivery_id = await acme.waiting()
    held_at = acme.clock.pass_ms(DAY_MS)
    await acme.set_state(IntegrationState.PAUSED)

    acme.clock.now = held_at + 30 * DAY_MS - 1
    assert await swept(acme, Chore.HELD) == {}
    dead_at = acme.clock.pass_ms(1)
    assert await swept(acme, Chore.HELD) == {"held": 1}

    row = await acme.delivery(delivery_id)
    assert (row.state, row.finished_at, row.due_at, row.last_failure) == ("dead", dead_at, None, None)
    assert await swept(acme, Chore.PAYLOADS) == {}, "its payload counts from now"
    acme.clock.pass_ms(29 * DAY_MS)
    await acme.set_state(IntegrationState.ACTIVE)
    await acme.store.retry_delivery(acme.id, delivery_id, change(at=acme.clock()))
    assert [leased.delivery_id for leased in await acme.claim()] == [delivery_id]


async def test_a_delivery_is_held_from_when_it_would_have_been_sent(acme: Tenant) -> None:
    await acme.set_state(IntegrationState.PAUSED)
    acme.clock.pass_ms(20 * DAY_MS)
    late = await acme.waiting()
    retried = await acme.in_state(DeliveryState.DEAD)
    acme.clock.pass_ms(20 * DAY_MS)
    await acme.store.retry_delivery(acme.id, retried, change(at=acme.clock()))

    acme.clock.pass_ms(10 * DAY_MS - 1)
    assert await swept(acme, Chore.HELD) == {}
    acme.clock.pass_ms(1)
    assert await swept(acme, Chore.HELD) == {"held": 1}
    assert (await acme.state(late), await acme.state(retried)) == ("dead", "held")
    acme.clock.pass_ms(20 * DAY_MS)
    assert await swept(acme, Chore.HELD) == {"held": 1}


async def test_a_pause_in_parts_counts_from_the_last_time_it_was_let_go(acme: Tenant) -> None:
    delivery_id = await acme.waiting()
    for state in (IntegrationState.PAUSED, IntegrationState.ACTIVE, IntegrationState.PAUSED):
        await acme.set_state(state)
        acme.clock.pass_ms(20 * DAY_MS)
    await acme.set_state(IntegrationState.DISABLED)

    assert await swept(acme, Chore.HELD) == {}
    acme.clock.pass_ms(10 * DAY_MS)
    assert await swept(acme, Chore.HELD) == {"held": 1}, "from paused to disabled it was not let go"
    assert await acme.state(delivery_id) == "dead"


async def test_what_a_disabled_business_holds_ends_too(acme: Tenant) -> None:
    delivery_id = await acme.waiting()
    await acme.store.save_business(replace(acme.business, enabled=False), change(at=acme.clock()))

    acme.clock.pass_ms(30 * DAY_MS)
    assert await swept(acme, Chore.HELD) == {"held": 1}
    assert await acme.state(delivery_id) == "dead"


async def test_what_waits_in_an_open_lane_is_never_given_up(acme: Tenant) -> None:
    other = await acme.waiting(acme.lanes[1])
    await acme.set_state(IntegrationState.PAUSED)

    acme.clock.pass_ms(500 * DAY_MS)
    assert await swept(acme, Chore.HELD) == {}
    assert await acme.state(other) == "queued"


async def test_what_is_given_up_counts_as_dead(acme: Tenant, look: Look) -> None:
    await acme.waiting()
    await acme.set_state(IntegrationState.PAUSED)
    acme.clock.pass_ms(30 * DAY_MS)
    await swept(acme, Chore.HELD)
    await acme.store.fold_statistics(1_000, acme.clock())

    hours = "SELECT created, dead, delivered FROM delivery_stats WHERE grain = 3600000 AND integration_id > 0"
    assert look(hours) == [(1, 1, 0)]
