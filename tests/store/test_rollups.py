"""The charts' counts are what the rows say, whatever happened and in whatever order."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from ringback.model import DeliveryState, Leased
from ringback.store.port import Store
from ringback.store.sqlite.rollups import BOUNDS_MS, GRAINS_MS, HISTOGRAM, LAST_NUMBER, bucket_of
from tests.builders import (
    NOON,
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
from tests.store.conftest import Look
from tests.store.test_lists import record_test

# Table, key without the bucket, column.
Count = tuple[str, int, int, tuple[Any, ...], str]


def stored(look: Look) -> Counter[Count]:
    """Every count that is not zero."""
    found: Counter[Count] = Counter()
    for table, keys in (
        ("intake_stats", 1),
        ("delivery_stats", 2),
        ("attempt_stats", 2),
        ("attempt_detail", 5),
    ):
        columns = [name for _, name, *_ in look(f"PRAGMA table_info({table})")]
        for business_id, grain, start, *rest in look(f"SELECT * FROM {table}"):
            key = (business_id, *rest[:keys])
            for column, count in zip(columns[3 + keys :], rest[keys:], strict=True):
                found[table, grain, start, key, column] += count
    return Counter({key: count for key, count in found.items() if count})


def recomputed(look: Look) -> Counter[Count]:
    """The same from the rows."""
    found: Counter[Count] = Counter()

    def add(table: str, at: int, key: tuple[Any, ...], column: str) -> None:
        for grain in GRAINS_MS:
            found[table, grain, at - at % grain, key, column] += 1

    for business_id, event_type, at in look(
        "SELECT business_id, event_type, accepted_at FROM events WHERE test = 0"
    ):
        add("intake_stats", at, (business_id, event_type), "events")
    for *lane, state, created_at, finished_at, attempts, replayed in look(
        "SELECT business_id, integration_id, event_type, state, created_at, finished_at, attempts, replayed"
        " FROM deliveries WHERE test = 0"
    ):
        key = tuple(lane)
        add("delivery_stats", created_at, key, "created")
        if state in ("delivered", "dead", "cancelled"):
            add("delivery_stats", created_at, key, state)
        if state == "delivered":
            add("delivery_stats", created_at, key, HISTOGRAM[bucket_of(finished_at - created_at)])
        if state == "delivered" and attempts == 1 and not replayed:
            add("delivery_stats", created_at, key, "first_try")
    for *lane, ended_at, total_ms, number, status, failure in look(
        "SELECT d.business_id, d.integration_id, d.event_type, ended_at, total_ms, number, status, failure"
        " FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE NOT d.test AND NOT a.replay"
    ):
        key = tuple(lane)
        add("attempt_stats", ended_at, key, "failed" if failure else "succeeded")
        add("attempt_stats", ended_at, key, f"answers_{status // 100}xx" if status else "answers_none")
        add("attempt_stats", ended_at, key, HISTOGRAM[bucket_of(total_ms)])
        detail = (*key, min(number, LAST_NUMBER), status or 0, failure or "")
        add("attempt_detail", ended_at, detail, "attempts")
    return found


async def wander(tenant: Tenant, dice: Random, leased: list[Leased]) -> None:
    """One random thing happens."""
    store, now = tenant.store, tenant.clock.pass_ms(dice.randrange(200_000))
    what = dice.choice(["publish", "publish", "record", "record", "record", "claim", "retry", "cancel"])
    if what == "publish":
        targets = [direct(tenant.lanes[0]), queued(tenant.lanes[1])][: dice.randrange(3)]
        new = tenant.new(*targets, event_type=dice.choice(["call.started", "agent.left"]))
        accepted, *_ = await tenant.accept(new, tenant.new(event_id="evt_again"))
        leased += [leased_of(new, accepted, now)] if targets else []
    elif what == "claim":
        leased += await tenant.claim(dict.fromkeys(tenant.lanes, dice.randrange(1, 4)))
    elif what == "record":
        await tenant.record(*(ending(leased.pop(), now, dice) for _ in range(min(len(leased), 3))))
    else:
        await by_hand(tenant, dice, what, now, {one.delivery_id for one in leased})
    await store.finish_cancellations(1, now)


def ending(leased: Leased, now: int, dice: Random) -> Any:
    took = now + dice.choice([0, 3, 700, 90_000])
    return dice.choice(
        [
            delivered(leased, took),
            dead(leased, took),
            retrying(leased, took, took + 1_000, status=dice.choice([302, 429, 500])),
            unanswered(leased, took, took + 1_000),
        ]
    )


async def by_hand(tenant: Tenant, dice: Random, what: str, now: int, sending: set[int]) -> None:
    state = dice.choice(["retrying"] if what == "cancel" else ["delivered", "dead", "cancelled", "retrying"])
    rows = await tenant.store.list_deliveries(tenant.id, _of(state), 5, None)
    for row in rows.items[:1]:
        assert row.delivery_id not in sending
        if what == "cancel":
            await tenant.store.cancel_delivery(tenant.id, row.delivery_id, change(at=now))
        elif not row.test:
            await tenant.store.retry_delivery(tenant.id, row.delivery_id, change(at=now))


def _of(state: str) -> Any:
    from ringback.store.port import DeliveryFilter

    return DeliveryFilter(state=state)


@pytest.mark.parametrize("seed", range(5))
async def test_after_random_traffic_every_count_is_what_the_rows_say(
    store: Store, acme: Tenant, look: Look, seed: int
) -> None:
    dice = Random(seed)
    leased: list[Leased] = []
    for step in range(150):
        await wander(acme, dice, leased)
        if step % 50 == 10:
            await record_test(acme, f"evt_test_{step}")
    await store.delete_integration(acme.id, acme.lanes[1], change())
    while await store.finish_cancellations(2, acme.clock()):
        pass
    rows = recomputed(look)
    assert {table for table, *_ in rows} == {
        "intake_stats",
        "delivery_stats",
        "attempt_stats",
        "attempt_detail",
    }
    assert stored(look) == rows


async def test_tests_count_nowhere(acme: Tenant, look: Look) -> None:
    await record_test(acme, "evt_a")
    assert stored(look) == Counter()


async def test_a_duplicate_counts_nothing(acme: Tenant, look: Look) -> None:
    await acme.accept(acme.new(queued(acme.lane), event_id="evt_a"))
    before = stored(look)
    await acme.accept(acme.new(queued(acme.lane), event_id="evt_a"))
    assert stored(look) == before


async def test_a_poisoned_publish_counts_nothing(acme: Tenant, look: Look) -> None:
    await acme.accept_all((acme.new(),), (acme.new(event_type="\ud800"),))
    assert stored(look) == recomputed(look)
    assert sum(stored(look).values()) == len(GRAINS_MS)


async def test_a_delivery_that_died_and_was_delivered_by_hand_is_delivered(
    store: Store, acme: Tenant, look: Look
) -> None:
    delivery_id = await acme.in_state(DeliveryState.DEAD)
    await store.retry_delivery(acme.id, delivery_id, change())
    (leased,) = await acme.claim()
    await acme.record(delivered(leased, NOON + 5))
    counts = {(table, column): n for (table, grain, *_, column), n in stored(look).items() if grain == 60_000}
    assert counts["delivery_stats", "delivered"] == 1
    assert ("delivery_stats", "dead") not in counts
    assert ("delivery_stats", "first_try") not in counts
    assert counts["attempt_stats", "failed"] == 1
    assert ("attempt_stats", "succeeded") not in counts


async def test_a_first_attempt_by_hand_is_no_first_try(store: Store, acme: Tenant, look: Look) -> None:
    delivery_id = await acme.in_state(DeliveryState.CANCELLED)
    await store.retry_delivery(acme.id, delivery_id, change())
    (leased,) = await acme.claim()
    assert leased.number == 1
    await acme.record(delivered(leased, NOON + 5))
    assert look("SELECT sum(delivered), sum(first_try), sum(cancelled) FROM delivery_stats") == [(2, 0, 0)]


def test_the_buckets_of_a_histogram_touch() -> None:
    assert list(BOUNDS_MS) == sorted(set(BOUNDS_MS))
    assert [bucket_of(ms) for ms in (0, 1, 1.01, 2, 60_000, 10**12)] == [0, 0, 1, 1, 21, 24]
    assert bucket_of(-5) == 0


async def test_businesses_are_counted_apart(store: Store, acme: Tenant, look: Look) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    await acme.refresh()
    await acme.waiting()
    await other.waiting()
    await other.waiting()
    assert look("SELECT business_id, sum(events) FROM intake_stats WHERE grain = 60000 GROUP BY 1") == [
        (acme.id, 1),
        (other.id, 2),
    ]
