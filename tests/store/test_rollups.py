"""The charts' counts are what the rows say, whatever happened and in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from random import Random
from typing import Any

import pytest

from ringback.model import DeliveryState, Leased, Timings
from ringback.statistics import BOUNDS_MS, GRAINS_MS, MINUTE_MS, bucket_of
from ringback.store.port import Store
from ringback.store.sqlite.rollups import HISTOGRAM, LAST_NUMBER, TABLES, Table
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

# Table, grain, start, key without the bucket, column.
Count = tuple[str, int, int, tuple[Any, ...], str]
Counts = dict[Count, int]


def stored(look: Look) -> Counts:
    """Every count that is not zero: what is folded already, and what is still fresh."""
    found: Counts = {}
    for table in TABLES:
        for grain, start, key, counters in rows_of(look, table):
            for column, count in counters.items():
                raise_by(found, (table.name, grain, start, key, column), count)
    return without_zeros(found)


def rows_of(look: Look, table: Table) -> Iterator[tuple[int, int, tuple[Any, ...], dict[str, int]]]:
    keys, counters = ("business_id", *table.keys), (*table.sums, *table.peaks)
    names = ", ".join(("start", *keys, *counters))
    # What is there for a whole business is what charts of it show.
    parts = " WHERE integration_id <> 0" if table.wholes else ""
    folded = look(f"SELECT grain, {names} FROM {table.name}{parts}")
    fresh = [(grain, *row) for row in look(f"SELECT {names} FROM {table.fresh}") for grain in GRAINS_MS]
    for grain, start, *rest in folded + fresh:
        key, counts = tuple(rest[: len(keys)]), rest[len(keys) :]
        yield grain, start - start % grain, key, dict(zip(counters, counts, strict=True))


def raise_by(found: Counts, key: Count, count: int) -> None:
    known = found.get(key, 0)
    found[key] = max(known, count) if key[-1] in PEAKS else known + count


def without_zeros(counts: Counts) -> Counts:
    return {key: count for key, count in counts.items() if count}


PEAKS = {name for table in TABLES for name in table.peaks}


def recomputed(look: Look) -> Counts:
    """The same from the rows."""
    found: Counts = {}

    def add(table: str, at: int, key: tuple[Any, ...], column: str, count: int = 1) -> None:
        for grain in GRAINS_MS:
            raise_by(found, (table, grain, at - at % grain, key, column), count)

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
        if state == "delivered" and not replayed:
            add("delivery_stats", created_at, key, HISTOGRAM[bucket_of(finished_at - created_at)])
        if state == "delivered" and attempts == 1 and not replayed:
            add("delivery_stats", created_at, key, "first_try")
    for *lane, created_at, ended_at, total_ms, number, status, failure in look(
        "SELECT business_id, integration_id, event_type, created_at, ended_at, total_ms, number, status,"
        " failure FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE NOT d.test AND NOT a.replay"
    ):
        key = tuple(lane)
        add("attempt_stats", ended_at, key, "failed" if failure else "succeeded")
        add("attempt_stats", ended_at, key, f"answers_{status // 100}xx" if status else "answers_none")
        add("attempt_stats", ended_at, key, HISTOGRAM[bucket_of(total_ms)])
        add("attempt_stats", ended_at, key, "slowest_ms", ceil(total_ms))
        if not failure:
            add("attempt_stats", ended_at, key, "last_success", ended_at)
        detail = (*key, min(number, LAST_NUMBER), status or 0, failure or "")
        add("attempt_detail", ended_at, detail, "attempts")
        if number == 1:
            add("delivery_stats", created_at, key, "first_ended")
        if number == 1 and not failure:
            add("delivery_stats", created_at, key, "first_succeeded")
    return without_zeros(found)


MOVES = ["publish", "publish", "record", "record", "record", "claim", "retry", "cancel", "crash", "fold"]


async def wander(tenant: Tenant, dice: Random, leased: list[Leased]) -> None:
    """One random thing happens."""
    store, now = tenant.store, tenant.clock.pass_ms(dice.randrange(200_000))
    what = dice.choice(MOVES)
    if what == "publish":
        targets = [direct(tenant.lanes[0]), queued(tenant.lanes[1])][: dice.randrange(3)]
        new = tenant.new(*targets, event_type=dice.choice(["call.started", "agent.left"]))
        accepted, *_ = await tenant.accept(new, tenant.new(event_id="evt_again"))
        leased += [leased_of(new, accepted, now)] if targets else []
    elif what == "claim":
        leased += await tenant.claim(dict.fromkeys(tenant.lanes, dice.randrange(1, 4)))
    elif what == "record":
        await tenant.record(*(ending(leased.pop(), now, dice) for _ in range(min(len(leased), 3))))
    elif what == "crash" and leased:
        await crash(tenant, dice, leased, now)
    elif what == "fold":
        await store.fold_statistics(dice.choice([1, 3, 100]), now)
    else:
        await by_hand(tenant, dice, what, now, {one.delivery_id for one in leased})
    await store.finish_cancellations(1, now)


async def crash(tenant: Tenant, dice: Random, leased: list[Leased], now: int) -> None:
    """A node's life ends and its work is rescued; its results come all the same, and count nothing."""
    ended = tenant.node
    await tenant.store.leave(ended)
    tenant.node = await tenant.store.join(now)
    assert await tenant.store.rescue(100) == len(leased)
    late = [ending(one, now, dice) for one in leased]
    leased.clear()
    assert not await tenant.store.record(late, ended)


def ending(leased: Leased, now: int, dice: Random) -> Any:
    took = now + dice.choice([0, 3, 700, 90_000])
    return dice.choice(
        [
            delivered(leased, took),
            dead(leased, took),
            delivered(leased, took, timings=Timings(total_ms=dice.choice([0.0, 5_000.3, 4e6]))),
            retrying(leased, took, took + 1_000, status=dice.choice([302, 429, 500])),
            unanswered(leased, took, took + 1_000),
        ]
    )


async def by_hand(tenant: Tenant, dice: Random, what: str, now: int, sending: set[int]) -> None:
    state = dice.choice(["retrying"] if what != "retry" else ["delivered", "dead", "cancelled", "retrying"])
    rows = await tenant.store.list_deliveries(tenant.id, _of(state), 5, None)
    for row in rows.items[:1]:
        assert row.delivery_id not in sending
        if what != "retry":
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
    await store.fold_statistics(dice.choice([5, 1_000]), acme.clock())
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
    assert not stored(look)


async def test_a_duplicate_counts_nothing(acme: Tenant, look: Look) -> None:
    await acme.accept(acme.new(queued(acme.lane), event_id="evt_a"))
    before = stored(look)
    await acme.accept(acme.new(queued(acme.lane), event_id="evt_a"))
    assert stored(look) == before


async def test_a_poisoned_publish_counts_nothing(acme: Tenant, look: Look) -> None:
    await acme.accept_all((acme.new(),), (acme.new(event_type="\ud800"),))
    assert stored(look) == recomputed(look)
    assert list(stored(look).values()) == [1] * len(GRAINS_MS)


async def test_a_poisoned_result_takes_nothing_from_the_others_counts(acme: Tenant, look: Look) -> None:
    """It is looked for in halves, each of which counts for itself."""
    one, bad, other = [await acme.sending() for _ in range(3)]
    slow = Timings(total_ms=90.0)
    await acme.record(
        delivered(one, NOON + 5, timings=slow),
        delivered(bad, NOON + 6, detail="\ud800"),
        delivered(other, NOON + 7),
    )
    assert stored(look) == recomputed(look)
    assert look("SELECT succeeded, slowest_ms, last_success FROM attempt_fresh") == [(3, 90, NOON + 7)]


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
    assert look(
        "SELECT sum(delivered), sum(first_try), sum(cancelled), sum(first_ended) FROM delivery_fresh"
    ) == [(1, 0, 0, 0)]


def test_the_buckets_of_a_histogram_touch() -> None:
    assert list(BOUNDS_MS) == sorted(set(BOUNDS_MS))
    assert [bucket_of(ms) for ms in (0, 1, 1.01, 2, 60_000, 10**12)] == [0, 0, 1, 1, 21, 24]
    assert bucket_of(-5) == 0


async def test_what_is_counted_is_folded_once_its_minute_is_over(
    store: Store, acme: Tenant, look: Look
) -> None:
    await acme.record(delivered(await acme.sending(), NOON))
    assert await store.fold_statistics(10, NOON) == 0
    before = stored(look)
    assert await store.fold_statistics(10, NOON + MINUTE_MS) == len(TABLES)
    assert stored(look) == before
    assert all(look(f"SELECT count(*) FROM {table.fresh}") == [(0,)] for table in TABLES)


async def test_folding_goes_on_in_steps(store: Store, acme: Tenant, look: Look) -> None:
    for number in range(5):
        await acme.waiting(event_type=f"type.{number}")
        acme.clock.pass_ms(MINUTE_MS)
    before = stored(look)
    steps = [await store.fold_statistics(2, acme.clock()) for _ in range(4)]
    assert steps == [4, 4, 2, 0]
    assert stored(look) == before


async def test_businesses_are_counted_apart(store: Store, acme: Tenant, look: Look) -> None:
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    await acme.refresh()
    await acme.waiting()
    await other.waiting()
    await other.waiting()
    assert look("SELECT business_id, sum(events) FROM intake_fresh GROUP BY 1") == [
        (acme.id, 1),
        (other.id, 2),
    ]
