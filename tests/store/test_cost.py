"""What a verb costs does not depend on how much is stored: steps of SQLite's machine, counted on a small file
and on one with 100,000 deliveries waiting in an open lane, 100,000 in a held one and 100,000 finished."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from ringback import ids
from ringback.failures import FailureClass
from ringback.model import IntegrationState
from ringback.store.port import DeliveryFilter, EventFilter
from ringback.store.sqlite.pages import MOST_ROWS_SCANNED
from tests.builders import NOON, Tenant, change, delivered, direct
from tests.store.full import APART_MS, FINISHED, HELD, LARGE, OPEN, Full


async def publish_and_deliver(tenant: Tenant) -> None:
    leased = await tenant.sending(tenant.lanes[FINISHED])
    await tenant.record(delivered(leased, tenant.clock()))


async def claim_and_release(tenant: Tenant) -> None:
    claimed = await tenant.store.claim(dict.fromkeys(tenant.lanes, 5), tenant.node, tenant.clock())
    assert [one.integration_id for one in claimed.leased] == [tenant.lanes[OPEN]] * 5
    await tenant.store.release([one.delivery_id for one in claimed.leased], tenant.node)


async def pause_and_resume(tenant: Tenant) -> None:
    await tenant.set_state(IntegrationState.PAUSED, OPEN)
    await tenant.set_state(IntegrationState.ACTIVE, OPEN)


async def disable_and_enable_the_business(tenant: Tenant) -> None:
    for enabled in (False, True):
        await tenant.store.save_business(replace(tenant.business, enabled=enabled), change(at=tenant.clock()))
    await tenant.refresh()


async def retry_and_cancel(tenant: Tenant) -> None:
    page = await tenant.store.list_deliveries(tenant.id, DeliveryFilter(state="cancelled"), 1, None)
    delivery_id = page.items[0].delivery_id
    await tenant.store.retry_delivery(tenant.id, delivery_id, change(at=tenant.clock()))
    await tenant.store.cancel_delivery(tenant.id, delivery_id, change(at=tenant.clock()))


def listing(**wanted: Any) -> Callable[[Tenant], Awaitable[Any]]:
    async def list_a_page(tenant: Tenant) -> None:
        lane = wanted.get("integration_id")
        chosen = {**wanted, "integration_id": None if lane is None else tenant.lanes[lane]}
        await tenant.store.list_deliveries(tenant.id, DeliveryFilter(**chosen), 20, None)

    return list_a_page


def ids_of_each_kind() -> list[int]:
    born = [NOON + APART_MS * (place + 1) for place in (OPEN, HELD, FINISHED)]
    return [ids.first_id(moment) + 1 + 2 * row for moment in born for row in range(30)]


async def list_events(tenant: Tenant) -> None:
    await tenant.store.list_events(tenant.id, EventFilter(), 20, None)


async def tell_who_got_nothing(tenant: Tenant) -> None:
    page = await tenant.store.list_events(tenant.id, EventFilter(), 1, None)
    await tenant.store.not_sent(page.items[0])


async def retry_many_and_cancel(tenant: Tenant) -> None:
    page = await tenant.store.list_deliveries(tenant.id, DeliveryFilter(state="cancelled"), 5, None)
    given = [row.delivery_id for row in page.items]
    retried = await tenant.store.retry_deliveries(tenant.id, given, change(at=tenant.clock()))
    assert len(retried) == 5
    assert not any(one.obstacle for one in retried)
    for delivery_id in given:
        await tenant.store.cancel_delivery(tenant.id, delivery_id, change(at=tenant.clock()))


async def rescue_nothing(tenant: Tenant) -> None:
    assert await tenant.store.rescue(100) == 0
    assert await tenant.store.finish_cancellations(100, tenant.clock()) == 0


FLAT: dict[str, Callable[[Tenant], Awaitable[Any]]] = {
    "publish and deliver": publish_and_deliver,
    "claim and release": claim_and_release,
    "due lanes": lambda tenant: tenant.store.due_lanes(tenant.clock(), 100),
    "own sending": lambda tenant: tenant.store.own_sending(tenant.node),
    "rescue": rescue_nothing,
    "pause and resume": pause_and_resume,
    "disable and enable the business": disable_and_enable_the_business,
    "retry and cancel": retry_and_cancel,
    "retry many and cancel": retry_many_and_cancel,
    "who got nothing": tell_who_got_nothing,
    "events": list_events,
    "deliveries by id": lambda tenant: tenant.store.deliveries(tenant.id, ids_of_each_kind()),
    "all deliveries": listing(),
    "retrying": listing(state="retrying"),
    "queued": listing(state="queued"),
    "held": listing(state="held"),
    "sending": listing(state="sending"),
    "dead": listing(state="dead"),
    "cancelled": listing(state="cancelled"),
    "tests": listing(test=True),
    "a rare failure": listing(failure_class=FailureClass.UNAVAILABLE_503),
    "a rare status": listing(status=503),
    "no such status": listing(status=404),
    "of a lane": listing(integration_id=FINISHED),
    "a status of a lane": listing(integration_id=FINISHED, status=200),
    "until a time long ago": listing(until=NOON + APART_MS * 3 // 2),
}


@pytest.mark.parametrize("verb", FLAT)
async def test_costs_the_same_however_much_is_stored(small: Full, large: Full, verb: str) -> None:
    few, many = await small.steps(FLAT[verb]), await large.steps(FLAT[verb])
    assert many < few * 1.5 + 200


async def test_the_depth_of_the_queue_is_counted_in_an_index(large: Full) -> None:
    assert await large.steps(lambda tenant: tenant.store.queue_depth(tenant.clock())) < 20 * LARGE


@pytest.mark.parametrize(
    "verb",
    [
        listing(event_type="call.failed"),
        listing(event_type="call.failed", state="retrying"),
        listing(event_type="call.failed", state="held"),
        listing(status=200, failure_class=FailureClass.SERVER_500),
    ],
)
async def test_a_filter_that_nothing_passes_looks_at_a_bounded_number_of_rows(
    large: Full, verb: Callable[[Tenant], Awaitable[Any]]
) -> None:
    assert await large.steps(verb) < 20 * MOST_ROWS_SCANNED


async def test_recording_costs_the_same_however_much_is_leased(small: Full) -> None:
    tenant = small.tenant
    few = await _record_twenty(small)
    for _ in range(10):
        await tenant.accept(*(tenant.new(direct(tenant.lane)) for _ in range(100)))
    assert await _record_twenty(small) < few * 1.2


async def _record_twenty(full: Full) -> int:
    results = [delivered(await full.tenant.sending(), full.tenant.clock()) for _ in range(20)]
    return await full.steps(lambda tenant: tenant.record(*results))
