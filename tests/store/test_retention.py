"""Payloads and events go when their time has come, and nothing that waits goes at all."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ringback.errors import Conflict, NotFound
from ringback.model import DeliveryState, IntegrationState
from ringback.statistics import DAY_MS
from ringback.store.port import Chore, DeliveryFilter, EventFilter
from tests.builders import (
    DATA,
    KEEP,
    Clock,
    Tenant,
    change,
    dead,
    delivered,
    direct,
    leased_of,
    queued,
    retrying,
)
from tests.store.sweeps import MINUTE, swept


async def data_of(acme: Tenant, event_id: str) -> bytes | None:
    event, _ = await acme.store.get_event(acme.id, event_id)
    return event.data


async def is_there(acme: Tenant, event_id: str) -> bool:
    try:
        await acme.store.get_event(acme.id, event_id)
    except NotFound:
        return False
    return True


# ---------------------------------------------------------------- payloads


async def test_a_payload_goes_so_many_days_after_the_last_delivery_has_finished(acme: Tenant) -> None:
    early, late = acme.lanes
    new = acme.new(direct(early), direct(late), event_id="evt_1")
    (accepted,) = await acme.accept(new)
    started = acme.clock()
    await acme.record(delivered(leased_of(new, accepted, started, 0), acme.clock.pass_ms(MINUTE)))
    finished = acme.clock.pass_ms(5 * DAY_MS)
    await acme.record(dead(leased_of(new, accepted, started, 1), finished))

    acme.clock.now = finished + 30 * DAY_MS - 1
    assert await swept(acme) == {}
    acme.clock.pass_ms(1)
    assert await swept(acme) == {"payloads": 1}

    assert await data_of(acme, "evt_1") is None
    assert [row.state for row in (await acme.store.get_event(acme.id, "evt_1"))[1]] == ["delivered", "dead"]


async def test_an_event_that_nobody_wanted_counts_from_its_acceptance(acme: Tenant) -> None:
    await acme.accept(acme.new(event_id="evt_1"))

    acme.clock.pass_ms(30 * DAY_MS - 1)
    assert await swept(acme) == {}
    acme.clock.pass_ms(1)
    assert await swept(acme) == {"payloads": 1}
    acme.clock.pass_ms(60 * DAY_MS)
    assert await swept(acme) == {"events": 1}


async def test_a_delivery_whose_payload_is_gone_is_not_sent_again(acme: Tenant) -> None:
    delivery_id = await acme.in_state(DeliveryState.DEAD)
    acme.clock.pass_ms(30 * DAY_MS)
    await swept(acme, Chore.PAYLOADS)

    with pytest.raises(Conflict, match="past retention"):
        await acme.store.retry_delivery(acme.id, delivery_id, change(at=acme.clock()))


async def test_an_event_id_is_known_for_as_long_as_its_event_is_there(acme: Tenant) -> None:
    await acme.record(delivered(await acme.sending(event_id="evt_1"), acme.clock()))

    acme.clock.pass_ms(90 * DAY_MS - 1)
    await swept(acme)
    (again,) = await acme.accept(acme.new(queued(acme.lane), event_id="evt_1"))
    assert (again.duplicate, again.deliveries) == (True, 1)

    acme.clock.pass_ms(1)
    await swept(acme)
    (anew,) = await acme.accept(acme.new(queued(acme.lane), event_id="evt_1"))
    assert (anew.duplicate, await data_of(acme, "evt_1")) == (False, DATA)


async def test_a_retry_by_hand_keeps_the_payload_until_it_has_finished_anew(acme: Tenant) -> None:
    delivery_id = await acme.in_state(DeliveryState.DEAD)
    (event,) = (await acme.store.list_events(acme.id, EventFilter(), 1, None)).items
    acme.clock.pass_ms(29 * DAY_MS)
    await acme.store.retry_delivery(acme.id, delivery_id, change(at=acme.clock()))

    acme.clock.pass_ms(5 * DAY_MS)
    assert await swept(acme, Chore.PAYLOADS) == {}
    (leased,) = await acme.claim()
    assert leased.message.data == event.data
    await acme.record(delivered(leased, acme.clock()))
    acme.clock.pass_ms(30 * DAY_MS - 1)
    assert await swept(acme, Chore.PAYLOADS) == {}
    acme.clock.pass_ms(1)
    assert await swept(acme, Chore.PAYLOADS) == {"payloads": 1}


@pytest.mark.parametrize("state", [DeliveryState.QUEUED, DeliveryState.RETRYING, DeliveryState.SENDING])
async def test_what_is_not_finished_keeps_everything(acme: Tenant, state: DeliveryState) -> None:
    if state is DeliveryState.SENDING:
        delivery_id = (await acme.sending()).delivery_id
    else:
        delivery_id = await acme.in_state(state)

    for _ in range(5):
        acme.clock.pass_ms(100 * DAY_MS)
        assert await swept(acme, Chore.HELD, Chore.PAYLOADS, Chore.EVENTS) == {}

    assert await acme.state(delivery_id) == state
    assert (await acme.store.list_events(acme.id, EventFilter(), 1, None)).items[0].data is not None


async def test_tests_go_like_all_else(acme: Tenant) -> None:
    leased = await acme.sending()
    test = replace(leased, message=replace(leased.message, event_id="evt_test"))
    await acme.store.record_test(test.message, delivered(test, acme.clock()), acme.clock())
    await acme.record(delivered(leased, acme.clock()))

    acme.clock.pass_ms(30 * DAY_MS)
    assert await swept(acme) == {"payloads": 2}
    acme.clock.pass_ms(60 * DAY_MS)
    assert await swept(acme) == {"events": 2, "deliveries": 2, "attempts": 2}


# ---------------------------------------------------------------- events


async def test_an_event_goes_with_its_deliveries_and_their_attempts(acme: Tenant) -> None:
    leased = await acme.sending(event_id="evt_1")
    await acme.record(retrying(leased, acme.clock(), acme.clock()))
    (again,) = await acme.claim()
    await acme.record(delivered(again, acme.clock()))

    acme.clock.pass_ms(90 * DAY_MS - 1)
    assert await swept(acme) == {"payloads": 1}
    assert len((await acme.store.get_delivery(acme.id, leased.delivery_id))[1]) == 2
    acme.clock.pass_ms(1)
    assert await swept(acme) == {"events": 1, "deliveries": 1, "attempts": 2}

    with pytest.raises(NotFound):
        await acme.store.get_delivery(acme.id, leased.delivery_id)
    with pytest.raises(NotFound):
        await acme.store.retry_delivery(acme.id, leased.delivery_id, change(at=acme.clock()))
    assert not await is_there(acme, "evt_1")


async def test_a_walk_through_lists_goes_on_where_its_rows_are_gone(acme: Tenant) -> None:
    old = [await acme.in_state(DeliveryState.DELIVERED) for _ in range(3)]
    acme.clock.pass_ms(80 * DAY_MS)
    new = [await acme.in_state(DeliveryState.DEAD) for _ in range(3)]
    page = await acme.store.list_deliveries(acme.id, DeliveryFilter(), 4, None)
    events = await acme.store.list_events(acme.id, EventFilter(), 4, None)
    assert page.next_before == old[2]

    acme.clock.pass_ms(10 * DAY_MS)
    await swept(acme)

    assert (await acme.store.list_deliveries(acme.id, DeliveryFilter(), 4, page.next_before)).items == ()
    assert (await acme.store.list_events(acme.id, EventFilter(), 4, events.next_before)).items == ()
    left = (await acme.store.list_deliveries(acme.id, DeliveryFilter(), 4, None)).items
    assert [row.delivery_id for row in left] == new[::-1]


async def test_an_event_with_more_deliveries_than_a_step_may_remove_goes_in_parts(acme: Tenant) -> None:
    await acme.accept(acme.new(*(queued(acme.lane) for _ in range(50)), event_id="evt_1"))
    for leased in await acme.claim():
        await acme.record(delivered(leased, acme.clock()))
    await acme.in_state(DeliveryState.DELIVERED)

    acme.clock.pass_ms(90 * DAY_MS)
    step = await acme.store.sweep(Chore.EVENTS, KEEP, acme.clock(), 40)
    assert step is not None
    assert step.removed == {"attempts": 2, "deliveries": 2}
    assert await is_there(acme, "evt_1")
    assert await swept(acme, Chore.EVENTS, limit=40) == {"attempts": 49, "deliveries": 49, "events": 2}


@pytest.mark.parametrize("limit", [1, 2, 7])
async def test_small_steps_come_to_the_same_as_large_ones(acme: Tenant, limit: int) -> None:
    for state in DeliveryState:
        if state is not DeliveryState.SENDING:
            await acme.in_state(state)
    await acme.set_state(IntegrationState.PAUSED)

    acme.clock.pass_ms(31 * DAY_MS)
    assert await swept(acme, limit=limit) == {"held": 2, "payloads": 3}
    acme.clock.pass_ms(90 * DAY_MS)
    assert await swept(acme, limit=limit) == {
        "payloads": 2, "events": 5, "deliveries": 5, "attempts": 3
    }  # fmt: skip


async def test_ids_are_not_used_again_though_all_rows_are_gone_and_the_clock_steps_back(
    acme: Tenant, clock: Clock
) -> None:
    (accepted,) = await acme.accept(acme.new())
    clock.pass_ms(90 * DAY_MS)
    await swept(acme)
    clock.pass_ms(-100 * DAY_MS)

    (again,) = await acme.accept(acme.new())

    assert again.row_id > accepted.row_id
    clock.pass_ms(191 * DAY_MS)
    assert (await swept(acme))["events"] == 1, "or no walk would ever come to it"


async def test_a_shorter_time_takes_what_a_longer_one_had_left(acme: Tenant) -> None:
    leased = await acme.sending()
    acme.clock.pass_ms(31 * DAY_MS)
    assert await swept(acme, Chore.PAYLOADS) == {}
    await acme.record(delivered(leased, acme.clock()))

    acme.clock.pass_ms(2 * DAY_MS)
    assert await swept(acme, Chore.PAYLOADS) == {}
    assert await swept(acme, Chore.PAYLOADS, keep=replace(KEEP, payloads=2)) == {"payloads": 1}


# ---------------------------------------------------------------- behind


async def test_a_step_says_how_long_its_first_row_had_been_due(acme: Tenant) -> None:
    await acme.in_state(DeliveryState.DELIVERED)
    acme.clock.pass_ms(30 * DAY_MS + 12_345)

    step = await acme.store.sweep(Chore.PAYLOADS, KEEP, acme.clock(), 500)

    assert step is not None
    assert step.behind_ms == 12_345
    assert await acme.store.sweep(Chore.PAYLOADS, KEEP, acme.clock(), 500) is None
