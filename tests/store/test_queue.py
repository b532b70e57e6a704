"""Leases: claimed fairly and in order, given back in their place, written only by who holds them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ringback.model import EXHAUSTED, DeliveryState, IntegrationState, Node
from ringback.store.port import Store
from tests.builders import NOON, Tenant, a_tenant, change, delivered, direct, queued, retrying
from tests.store.conftest import Look


async def test_a_claim_takes_the_oldest_due_first_then_the_order_of_acceptance(acme: Tenant) -> None:
    late = await acme.sending()
    await acme.record(retrying(late, NOON, NOON + 500))
    first, second = await acme.waiting(), await acme.waiting()
    acme.clock.pass_ms(1_000)
    third = await acme.waiting()
    leased = await acme.claim({acme.lane: 10})
    assert [one.delivery_id for one in leased] == [first, second, late.delivery_id, third]


async def test_a_claim_carries_all_that_an_attempt_needs(acme: Tenant) -> None:
    leased = await acme.sending()
    await acme.record(retrying(leased, NOON, NOON + 500))
    acme.clock.pass_ms(500)
    (again,) = await acme.claim()
    assert again.message == leased.message
    assert (again.delivery_id, again.integration_id) == (leased.delivery_id, acme.lane)
    assert (again.attempts, again.tries, again.number) == (1, 1, 2)
    assert (again.due_at, again.created_at, again.replay) == (NOON + 500, NOON, False)


async def test_a_claim_takes_no_more_of_a_lane_than_its_quota(store: Store, acme: Tenant) -> None:
    for _ in range(5):
        await acme.waiting(acme.lanes[0])
        await acme.waiting(acme.lanes[1])
    claimed = await store.claim({acme.lanes[0]: 2, acme.lanes[1]: 3}, acme.node, NOON)
    lanes = [one.integration_id for one in claimed.leased]
    assert (lanes.count(acme.lanes[0]), lanes.count(acme.lanes[1])) == (2, 3)
    assert claimed.next_due == dict.fromkeys(acme.lanes, NOON)


async def test_nothing_is_claimed_before_its_time_or_twice(store: Store, acme: Tenant) -> None:
    leased = await acme.sending()
    await acme.record(retrying(leased, NOON, NOON + 500))
    early = await store.claim({acme.lane: 9}, acme.node, NOON + 499)
    assert (early.leased, early.next_due) == ((), {acme.lane: NOON + 500})
    on_time = await store.claim({acme.lane: 9}, acme.node, NOON + 500)
    assert [one.delivery_id for one in on_time.leased] == [leased.delivery_id]
    again = await store.claim({acme.lane: 9}, acme.node, NOON + 500)
    assert (again.leased, again.next_due) == ((), {acme.lane: None})


@pytest.mark.parametrize("state", [IntegrationState.PAUSED, IntegrationState.DISABLED])
async def test_a_held_lane_gives_nothing_and_loses_nothing(
    store: Store, acme: Tenant, state: IntegrationState
) -> None:
    before = await acme.waiting()
    await acme.set_state(state)
    meanwhile = await acme.waiting()
    claimed = await store.claim({acme.lane: 9, 12345: 9}, acme.node, NOON)
    assert (claimed.leased, claimed.next_due) == ((), {acme.lane: None, 12345: None})
    assert (await store.due_lanes(NOON, 10)).due == ()
    assert [await acme.state(one) for one in (before, meanwhile)] == ["held", "held"]
    await acme.set_state(IntegrationState.ACTIVE)
    assert [one.delivery_id for one in await acme.claim()] == [before, meanwhile]


async def test_a_disabled_business_holds_all_its_lanes(store: Store, acme: Tenant) -> None:
    waiting = [await acme.waiting(lane) for lane in acme.lanes]
    closed = replace(acme.business, enabled=False)
    await store.save_business(closed, change())
    assert await acme.claim() == ()
    assert [await acme.state(one) for one in waiting] == ["held", "held"]
    await store.save_business(acme.business, change())
    assert len(await acme.claim()) == 2


async def test_an_integration_paused_stays_held_when_its_business_is_enabled_again(
    store: Store, acme: Tenant
) -> None:
    await acme.waiting()
    await acme.set_state(IntegrationState.PAUSED)
    for enabled in (False, True):
        changed = replace(acme.business, enabled=enabled)
        await store.save_business(changed, change())
    assert await acme.claim() == ()


async def test_due_lanes_come_with_when_the_next_falls_due(store: Store, acme: Tenant) -> None:
    await acme.waiting(acme.lanes[0])
    leased = await acme.sending(acme.lanes[1])
    await acme.record(retrying(leased, NOON, NOON + 700))
    due = await store.due_lanes(NOON, 10)
    assert (due.due, due.next_due) == ((acme.lanes[0],), NOON + 700)
    due = await store.due_lanes(NOON + 700, 1)
    assert (due.due, due.next_due) == ((acme.lanes[0],), NOON + 700)
    due = await store.due_lanes(NOON + 700, 2)
    assert (due.due, due.next_due) == (tuple(acme.lanes), None)


async def test_the_direct_path_leaves_its_lane_alone(store: Store, acme: Tenant) -> None:
    leased = await acme.sending()
    assert await store.due_lanes(NOON, 10) == await store.due_lanes(NOON + 10**9, 10)
    await acme.record(delivered(leased, NOON + 10))
    due = await store.due_lanes(NOON + 10**9, 10)
    assert (due.due, due.next_due) == ((), None)


async def test_a_lease_given_back_waits_at_the_time_and_in_the_place_it_had(
    store: Store, acme: Tenant
) -> None:
    first, second = await acme.waiting(), await acme.waiting()
    retried = await acme.sending()
    await acme.record(retrying(retried, NOON, NOON + 500))
    acme.clock.pass_ms(900)
    leased = await acme.claim()
    assert await store.release([first, retried.delivery_id], acme.node) == 2
    assert [await acme.state(one) for one in (first, second, retried.delivery_id)] == [
        "queued",
        "sending",
        "retrying",
    ]
    assert (await store.due_lanes(NOON, 10)).due == (acme.lane,)
    assert await acme.claim() == (leased[0], leased[2])


async def test_only_the_holder_gives_a_lease_back(store: Store, acme: Tenant) -> None:
    leased = await acme.sending()
    stranger = await store.join(NOON)
    earlier = Node(node_id=acme.node.node_id, epoch=acme.node.epoch - 1)
    for node in (stranger, earlier):
        assert await store.release([leased.delivery_id], node) == 0
    assert await store.own_sending(stranger) == frozenset()
    assert await store.own_sending(acme.node) == {leased.delivery_id}


async def test_a_result_is_written_only_for_the_lease_it_belongs_to(store: Store, acme: Tenant) -> None:
    leased = await acme.sending()
    stranger = await store.join(NOON)
    earlier = Node(node_id=acme.node.node_id, epoch=acme.node.epoch - 1)
    for node in (stranger, earlier):
        assert await store.record([delivered(leased, NOON)], node) == frozenset()
    other_attempt = replace(leased, attempts=1)
    assert await acme.record(delivered(other_attempt, NOON)) == frozenset()
    assert await acme.record(delivered(leased, NOON)) == {leased.delivery_id}
    assert await acme.record(delivered(leased, NOON)) == frozenset()
    _, attempts = await store.get_delivery(acme.id, leased.delivery_id)
    assert len(attempts) == 1


async def test_of_a_batch_of_results_only_the_node_s_own_are_written(store: Store, acme: Tenant) -> None:
    ours, released, done = [await acme.sending() for _ in range(3)]
    await store.release([released.delivery_id], acme.node)
    await acme.record(delivered(done, NOON))
    written = await acme.record(*(retrying(one, NOON, NOON + 9) for one in (released, ours, done)))
    assert written == {ours.delivery_id}
    assert await acme.state(released.delivery_id) == "queued"
    assert await acme.state(done.delivery_id) == "delivered"


async def test_a_result_that_cannot_be_written_is_set_aside_and_leaves_the_others(
    store: Store, acme: Tenant
) -> None:
    leased = [await acme.sending() for _ in range(5)]
    results = [delivered(one, NOON) for one in leased]
    results[1] = delivered(leased[1], NOON, headers=(("x-bad", "\ud800"),), body=b"evidence")
    results[3] = delivered(leased[3], NOON, status="200 OK")
    written = await acme.record(*results)
    assert written == {one.delivery_id for one in leased}
    row, attempts = await store.get_delivery(acme.id, leased[1].delivery_id)
    assert row.state == "delivered"
    assert (attempts[0].status, attempts[0].response_headers, attempts[0].response_body) == (200, (), b"")
    row, attempts = await store.get_delivery(acme.id, leased[3].delivery_id)
    assert (row.state, row.last_failure) == ("dead", "sender_error")
    assert attempts[0].detail == "the result of this attempt could not be stored"


async def test_deleting_an_integration_cancels_step_by_step_and_never_what_is_being_sent(
    store: Store, acme: Tenant, look: Look
) -> None:
    waiting = [await acme.waiting() for _ in range(3)]
    others = await acme.waiting(acme.lanes[1])
    leased = await acme.sending()
    await store.delete_integration(acme.id, acme.lane, change())
    assert [await acme.state(one) for one in waiting] == ["cancelled"] * 3
    assert await acme.claim() != ()
    assert await acme.state(others) == "sending"
    acme.clock.pass_ms(100)
    steps = [await store.finish_cancellations(2, acme.clock()) for _ in range(3)]
    assert steps == [2, 1, 0]
    assert (await acme.delivery(waiting[0])).finished_at == acme.clock()
    assert await acme.state(leased.delivery_id) == "sending"
    await acme.record(retrying(leased, NOON, NOON + 10_000))
    assert await store.finish_cancellations(9, acme.clock()) == 1
    assert await acme.state(leased.delivery_id) == "cancelled"
    assert look("SELECT due_at FROM lanes WHERE integration_id = ?", acme.lane) == [(None,)]


async def test_the_depth_of_the_queue_by_what_is_shown(store: Store, acme: Tenant) -> None:
    paused = await a_tenant(store, acme.clock, node=acme.node, name="Paused")
    gone = await a_tenant(store, acme.clock, node=acme.node, name="Gone")
    for tenant in (acme, paused, gone):
        await tenant.refresh()
        await tenant.waiting()
        await tenant.record(retrying(await tenant.sending(), NOON, NOON + 100))
    await acme.sending()
    await paused.set_state(IntegrationState.PAUSED)
    await store.delete_business(gone.id, change())
    depth = await store.queue_depth(NOON + 50)
    assert (depth.queued, depth.retrying, depth.held, depth.sending) == (1, 1, 2, 1)
    assert depth.oldest_due == NOON
    assert (await store.queue_depth(NOON - 1)).oldest_due is None


async def test_a_manual_retry_of_a_dead_delivery_is_its_last_attempt(store: Store, acme: Tenant) -> None:
    delivery_id = await acme.in_state(DeliveryState.DEAD)
    acme.clock.pass_ms(5_000)
    row = await store.retry_delivery(acme.id, delivery_id, change(at=acme.clock()))
    assert (row.state, row.due_at, row.finished_at) == ("queued", acme.clock(), None)
    assert (await store.due_lanes(acme.clock(), 9)).due == (acme.lane,)
    (again,) = await acme.claim()
    assert (again.delivery_id, again.replay, again.number, again.tries) == (delivery_id, True, 2, EXHAUSTED)
    await acme.record(delivered(again, acme.clock()))
    row, attempts = await store.get_delivery(acme.id, delivery_id)
    assert (row.state, row.replay, row.attempts) == ("delivered", True, 2)
    assert [one.replay for one in attempts] == [False, True]


async def test_a_manual_retry_within_the_schedule_uses_none_of_it(store: Store, acme: Tenant) -> None:
    delivery_id = await acme.in_state(DeliveryState.RETRYING)
    await store.retry_delivery(acme.id, delivery_id, change(at=NOON))
    (leased,) = await acme.claim()
    assert (leased.replay, leased.attempts, leased.tries) == (True, 1, 1)
    await acme.record(retrying(leased, NOON, NOON + 60_000))
    acme.clock.pass_ms(60_000)
    (leased,) = await acme.claim()
    assert (leased.replay, leased.attempts, leased.tries) == (False, 2, 1)


async def test_a_manual_retry_given_back_is_still_one(store: Store, acme: Tenant) -> None:
    delivery_id = await acme.in_state(DeliveryState.RETRYING)
    await store.retry_delivery(acme.id, delivery_id, change(at=NOON))
    (leased,) = await acme.claim()
    await store.release([delivery_id], acme.node)
    assert await acme.state(delivery_id) == "queued"
    assert await acme.claim() == (leased,)


async def test_deliveries_of_one_event_go_their_own_ways(acme: Tenant) -> None:
    new = acme.new(direct(acme.lanes[0]), queued(acme.lanes[1]))
    (accepted,) = await acme.accept(new)
    (leased,) = await acme.claim()
    assert leased.delivery_id == accepted.row_id + 2
    assert leased.integration_id == acme.lanes[1]
