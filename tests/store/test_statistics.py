"""Charts, what waits, and the state of the system, as the port answers them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from ringback.model import DeliveryState, IntegrationState, Leased
from ringback.statistics import DAY_MS, HOUR_MS, MINUTE_MS, Bucket, Counts, total, widen
from ringback.store.port import Asked, AttemptGroup, NodeState, Statistics, Store, Traffic, WaitingNow
from ringback.store.sqlite import SqliteStore
from tests.builders import (
    NOON,
    Clock,
    Tenant,
    a_tenant,
    change,
    dead,
    delivered,
    direct,
    leased_of,
    queued,
    retrying,
    unanswered,
)
from tests.model import charts
from tests.model.rows import look as contents_of
from tests.store.test_lists import record_test
from tests.store.test_rollups import wander

NOTHING_WAITS = WaitingNow(queued=0, sending=0, retrying=0, held=0, next_attempt_at=None, oldest_due_at=None)


def asking(
    bucket: Bucket = Bucket.HOUR, since: int = NOON - DAY_MS, until: int = NOON + DAY_MS, **more: Any
) -> Asked:
    return Asked(range=widen(since, until, bucket), **more)


async def ask(tenant: Tenant, **asked: Any) -> Statistics:
    return await tenant.store.statistics(tenant.id, asking(**asked))


async def totals(tenant: Tenant, **asked: Any) -> Counts:
    return total((await ask(tenant, **asked)).buckets.values())


async def fold(tenant: Tenant) -> None:
    while await tenant.store.fold_statistics(100, tenant.clock() + HOUR_MS):
        pass


# ---------------------------------------------------------------- charts


@pytest.mark.parametrize("seed", range(6))
async def test_after_random_traffic_charts_show_what_the_rows_say(
    store: SqliteStore, acme: Tenant, seed: int
) -> None:
    dice = Random(seed)
    leased: list[Leased] = []
    for step in range(200):
        await wander(acme, dice, leased)
        if step % 50 == 10:
            await record_test(acme, f"evt_test_{step}")
        if step % 10 == 0:
            contents = (await contents_of(store)).reference
            asked = some_question(dice, acme)
            found = await store.statistics(acme.id, asked)
            assert found == charts.statistics(contents, acme.id, asked)
            assert await store.waiting_now(acme.id, acme.clock()) == charts.waiting_now(
                contents, acme.id, acme.clock()
            )


def some_question(dice: Random, tenant: Tenant) -> Asked:
    bucket, end = dice.choice([*Bucket]), tenant.clock() + dice.choice([1, -HOUR_MS])
    return asking(
        bucket,
        end - dice.randrange(1, 100 * bucket.ms),
        end,
        integration_id=dice.choice([None, *tenant.lanes]),
        event_type=dice.choice([None, "agent.left"]),
    )


@pytest.mark.parametrize("folded", [False, True])
async def test_deliveries_count_where_they_were_made_and_attempts_where_they_ended(
    acme: Tenant, folded: bool
) -> None:
    leased = await acme.sending()
    late = NOON + 2 * HOUR_MS
    await acme.record(retrying(leased, NOON + 5, late))
    acme.clock.pass_ms(2 * HOUR_MS)
    (again,) = await acme.claim()
    await acme.record(delivered(again, late + 7))
    if folded:
        await fold(acme)

    found = (await ask(acme)).buckets

    first, second = NOON - NOON % HOUR_MS, late - late % HOUR_MS
    assert sorted(found) == [first, second]
    made = found[first].deliveries
    assert (found[first].events, made.created, made.delivered, made.first_try, made.open) == (1, 1, 1, 0, 0)
    assert (made.first_ended, made.first_succeeded) == (1, 0)
    assert (found[first].attempts.failed, found[second].attempts.succeeded) == (1, 1)
    assert (found[second].events, found[second].deliveries.created) == (0, 0)
    assert found[second].attempts.last_success == late + 7


@pytest.mark.parametrize("bucket", [*Bucket])
async def test_buckets_of_any_width_have_the_same_sum(acme: Tenant, bucket: Bucket) -> None:
    for _ in range(5):
        await acme.record(delivered(await acme.sending(), acme.clock() + 3))
        await fold(acme)
        acme.clock.pass_ms(7 * MINUTE_MS)
        await acme.waiting()

    found = await ask(acme, bucket=bucket)

    assert all(start % bucket.ms == 0 for start in found.buckets)
    assert total(found.buckets.values()).deliveries.created == 10
    assert total(found.lanes.values()).deliveries == total(found.buckets.values()).deliveries


async def test_a_range_ends_before_its_end(acme: Tenant) -> None:
    await acme.waiting()
    minute = NOON - NOON % MINUTE_MS
    asked = {"bucket": Bucket.MINUTE}
    assert (await totals(acme, since=minute, until=minute + MINUTE_MS, **asked)).events == 1
    assert (await totals(acme, since=minute - MINUTE_MS, until=minute, **asked)).events == 0
    await fold(acme)
    assert (await totals(acme, since=minute, until=minute + MINUTE_MS, **asked)).events == 1
    assert (await totals(acme, since=minute - MINUTE_MS, until=minute, **asked)).events == 0


@pytest.mark.parametrize("folded", [False, True])
async def test_filters_leave_the_rest_out(acme: Tenant, folded: bool) -> None:
    first, second = acme.lanes
    await acme.accept(acme.new(queued(first), queued(second), event_type="call.started"))
    await acme.accept(acme.new(queued(first), event_type="call.failed"), acme.new(event_type="call.failed"))
    if folded:
        await fold(acme)

    async def counted(**asked: Any) -> tuple[int, int, dict[str, int]]:
        found = await ask(acme, **asked)
        counts = total(found.buckets.values())
        return counts.events, counts.deliveries.created, dict(found.events)

    assert await counted() == (3, 3, {"call.started": 1, "call.failed": 2})
    assert await counted(event_type="call.failed") == (2, 1, {"call.failed": 2})
    # Events have no integration: those that went to it count.
    assert await counted(integration_id=first) == (2, 2, {"call.started": 1, "call.failed": 1})
    assert await counted(integration_id=second, event_type="call.failed") == (0, 0, {})
    assert await counted(integration_id=77) == (0, 0, {})


async def test_another_business_is_not_in_it(store: Store, acme: Tenant) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    await acme.refresh()
    await acme.record(delivered(await acme.sending(), NOON))

    assert await totals(other) == Counts()
    assert await totals(other, integration_id=acme.lane) == Counts()
    assert await store.waiting_now(other.id, NOON) == NOTHING_WAITS
    await fold(acme)
    assert await totals(other) == Counts()


async def test_attempts_are_grouped_by_number_status_and_class(acme: Tenant) -> None:
    leased = await acme.sending()
    await acme.record(retrying(leased, NOON, NOON))
    (leased,) = await acme.claim()
    await acme.record(unanswered(leased, NOON, NOON))
    (leased,) = await acme.claim()
    await acme.record(delivered(leased, NOON))
    await acme.record(delivered(await acme.sending(), NOON))
    await fold(acme)

    assert (await ask(acme)).groups == (
        AttemptGroup(1, 200, "", 1),
        AttemptGroup(1, 500, "server_500", 1),
        AttemptGroup(2, 0, "response_timeout", 1),
        AttemptGroup(3, 200, "", 1),
    )


async def test_tests_are_left_out(acme: Tenant) -> None:
    await record_test(acme, "evt_test")
    assert await totals(acme) == Counts()


async def test_what_is_done_by_hand_moves_a_delivery_and_no_rate(acme: Tenant) -> None:
    """Of two, one died and one came through; both are sent again by hand, a day later, and come through."""
    await acme.in_state(DeliveryState.DEAD)
    await acme.in_state(DeliveryState.DELIVERED)
    before = await totals(acme)
    assert (before.first_try_rate, before.delivered_rate) == (0.5, 0.5)

    acme.clock.pass_ms(DAY_MS // 2)
    for state in (DeliveryState.DEAD, DeliveryState.DELIVERED):
        (row,) = (await acme.store.list_deliveries(acme.id, _in(state), 1, None)).items
        await acme.store.retry_delivery(acme.id, row.delivery_id, change(at=acme.clock()))
        assert (await totals(acme)).deliveries.open == 1
        (leased,) = await acme.claim()
        await acme.record(delivered(leased, acme.clock()))

    after = await totals(acme)
    assert (after.first_try_rate, after.delivered_rate) == (0.5, 1.0)
    assert after.deliveries.first_try == 0
    assert after.attempts == before.attempts
    # How long it took until somebody helped says nothing about the endpoint.
    assert after.end_to_end_ms(0.99) is None


def _in(state: DeliveryState) -> Any:
    from ringback.store.port import DeliveryFilter

    return DeliveryFilter(state=state)


# ---------------------------------------------------------------- what waits


async def test_what_waits_is_counted_by_the_state_it_is_shown_in(acme: Tenant) -> None:
    assert await acme.store.waiting_now(acme.id, NOON) == NOTHING_WAITS
    await acme.waiting()
    await acme.waiting(acme.lanes[1])
    await acme.sending()
    await acme.in_state(DeliveryState.RETRYING)
    await acme.in_state(DeliveryState.DELIVERED)

    async def now(at: int = NOON) -> WaitingNow:
        return await acme.store.waiting_now(acme.id, at)

    assert await now() == WaitingNow(
        queued=2, sending=1, retrying=1, held=0, next_attempt_at=NOON + 60_000, oldest_due_at=NOON
    )
    assert (await now(NOON - 1)).next_attempt_at == NOON
    assert (await now(NOON + 60_000)).next_attempt_at is None
    await acme.set_state(IntegrationState.PAUSED)
    assert await now() == WaitingNow(
        queued=1, sending=1, retrying=0, held=2, next_attempt_at=None, oldest_due_at=NOON
    )
    await acme.store.delete_integration(acme.id, acme.lane, change())
    assert (await now()).held == 0


# ---------------------------------------------------------------- the system


async def test_nodes_are_alive_left_or_dead(store: SqliteStore, acme: Tenant, clock: Clock) -> None:
    left = await store.join(clock())
    await store.leave(left)
    dead_node = await store.join(clock())
    store._locks.let_go(dead_node.node_id)
    clock.pass_ms(5_000)
    await store.heartbeat(acme.node, clock())

    nodes = (await store.system_state(clock())).nodes

    assert [(one.node_id, one.state) for one in nodes] == [
        (acme.node.node_id, NodeState.ALIVE),
        (dead_node.node_id, NodeState.DEAD),
    ]
    assert (nodes[0].joined_at, nodes[0].seen_at, nodes[0].left_at) == (NOON, NOON + 5_000, None)
    await store.leave(dead_node)
    nodes = (await store.system_state(clock())).nodes
    assert (nodes[1].state, nodes[1].left_at) == (NodeState.LEFT, NOON + 5_000)


@pytest.mark.parametrize("folded", [False, True])
async def test_traffic_is_that_of_all_businesses_in_whole_minutes(
    store: Store, acme: Tenant, folded: bool
) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    await acme.refresh()
    await other.waiting()
    acme.clock.pass_ms(MINUTE_MS)
    new = acme.new(direct(acme.lane))
    (accepted,) = await acme.accept(new)
    await acme.record(dead(leased_of(new, accepted, acme.clock()), acme.clock()))
    if folded:
        await fold(acme)

    async def traffic(minutes: int) -> tuple[Traffic, Traffic]:
        state = await store.system_state(NOON + minutes * MINUTE_MS)
        return state.last_minute, state.last_hour

    assert await traffic(1) == (Traffic(1, 0), Traffic(1, 0))
    assert await traffic(2) == (Traffic(1, 1), Traffic(2, 1))
    assert await traffic(61) == (Traffic(0, 0), Traffic(1, 1))
    assert await traffic(62) == (Traffic(0, 0), Traffic(0, 0))


async def test_the_database_and_its_disk_have_a_size(store: Store) -> None:
    state = await store.system_state(NOON)
    assert state.database_bytes > 4_096
    assert state.disk_free_bytes is not None
    assert state.disk_free_bytes > 0
