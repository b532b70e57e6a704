"""The feed behind the streams: what it keeps, what it tells of a burst, and what it hears of its siblings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOON, delivered, event

from ringback.errors import StoreUnavailable, Unavailable
from ringback.model import AttemptResult, Integration, Leased
from ringback.observe import Metrics
from ringback.observe.feed import Feed, FinishedAttempt, Limits, Position, Subscription, position_of
from ringback.observe.feed.ring import Ring

LIFE = "0123456789ab"
ACME, OTHER = 1, 2
QUICK = Limits(tick_seconds=0.001, stats_seconds=60.0)


class Numbers:
    """Views that show ids alone. With `broken` set it is raised."""

    broken: Exception | None = None

    def attempt(self, attempt: FinishedAttempt) -> bytes:
        return b'{"Attempt":%d}' % attempt.delivery_id

    def integration(self, integration_id: int, integration: Integration | None) -> bytes:
        return b'{"Integration":%d,"Gone":%s}' % (
            integration_id,
            b"true" if integration is None else b"false",
        )

    async def deliveries(self, business_id: int, delivery_ids: Sequence[int]) -> Sequence[bytes]:
        if self.broken is not None:
            raise self.broken
        return [b'{"Delivery":%d,"Of":%d}' % (one, business_id) for one in sorted(delivery_ids)]

    async def stats(self, business_id: int) -> bytes:
        return b'{"Now":%d}' % business_id


class Seconds:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Running:
    def __init__(self, limits: Limits = QUICK) -> None:
        self.clock = Seconds()
        self.views = Numbers()
        self.feed = Feed(Metrics(), limits, self.clock)
        self.feed.views = self.views
        self.troubles: list[tuple[str, BaseException]] = []

    async def hear(self, subscription: Subscription, *events: str) -> list[Any]:
        """Everything that is said up to a message of one of these kinds, or to the end."""
        heard: list[Any] = []
        async with asyncio.timeout(20):
            while subscription.ended is None:
                for frame in await subscription.next(20):
                    said = fields(frame)
                    heard.append(said)
                    if said[0] in events:
                        return heard
        return heard


@asynccontextmanager
async def running(limits: Limits = QUICK) -> AsyncIterator[Running]:
    made = Running(limits)
    task = asyncio.create_task(made.feed.run(lambda what, error: made.troubles.append((what, error))))
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def fields(frame: bytes) -> tuple[str, Any]:
    _, name, data, *end = frame.decode().split("\n")
    assert end == ["", ""]
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def result(delivery_id: int) -> AttemptResult:
    message = event("evt_1", business_id=ACME).message
    leased = Leased(
        delivery_id=delivery_id,
        integration_id=7,
        message=message,
        attempts=0,
        tries=0,
        due_at=NOON,
        created_at=NOON,
    )
    return delivered(leased, NOON)


# ---------------------------------------------------------------- the ring


@given(st.lists(st.integers(1, 300)), st.integers(1, 20), st.integers(100, 2_000), st.data())
def test_a_ring_gives_all_that_follows_in_order_or_says_that_it_cannot(
    sizes: list[int], most: int, most_bytes: int, data: st.DataObject
) -> None:
    ring = Ring(LIFE, most, most_bytes)
    said: list[bytes] = []
    for number, size in enumerate(sizes, start=1):
        ring.add("x", b'"' + b"a" * size + b'"')
        said.append(b'id: %s-%d\nevent: x\ndata: "%s"\n\n' % (LIFE.encode(), number, b"a" * size))
        assert ring.bytes <= most_bytes
    after = data.draw(st.integers(0, len(said) + 2))
    position = Position(LIFE, after)

    if not ring.knows(position):
        rest = said[after:]
        assert after > len(said) or len(rest) > most or sum(map(len, rest)) > most_bytes
        return
    heard: list[bytes] = []
    while after + len(heard) < ring.last:
        part = ring.after(after + len(heard), 500)
        assert len(part) == 1 or sum(map(len, part)) <= 500
        heard += part
    assert heard == said[after:]


def test_an_id_says_which_ring_it_is_of() -> None:
    ring = Ring(LIFE, 10, 1_000)
    ring.add("x", b"1")

    assert ring.knows(Position(LIFE, 0))
    assert not ring.knows(Position("ba9876543210", 0))
    assert position_of(str(Position(LIFE, 12))) == Position(LIFE, 12)


@given(st.text())
def test_any_text_is_an_id_or_none(text: str) -> None:
    position = position_of(text)
    assert position is None or str(position).encode().isascii()


# ---------------------------------------------------------------- what is told


async def test_of_each_delivery_the_newest_is_shown_once_and_the_rest_counted() -> None:
    async with running() as node:
        follower = node.feed.subscribe(ACME, None)
        node.feed.deliveries(ACME, range(1, 4_001))
        for delivery_id in range(1, 5_001):
            node.feed.attempt(result(delivery_id), delivery_id)
        heard = dict(await node.hear(follower, "delivery.updated"))

        attempts, deliveries = heard["attempt.finished"], heard["delivery.updated"]
        assert [one["Delivery"] for one in deliveries["Items"]] == [*range(4_901, 5_001)], "the newest"
        assert deliveries["Omitted"] == 4_900
        assert (len(attempts["Items"]), attempts["Omitted"]) == (100, 4_900)
        assert node.feed.metrics.stream_omitted == 9_800


async def test_memory_is_bounded_however_much_happens_between_two_ticks() -> None:
    async with running() as node:
        follower = node.feed.subscribe(ACME, None)
        node.feed.deliveries(ACME, range(1, 300_001))
        assert len(node.feed.followed[ACME].own.deliveries) <= 50_000
        ((_, told),) = await node.hear(follower, "delivery.updated")
        assert len(told["Items"]) + told["Omitted"] == 300_000


async def test_all_businesses_together_stay_within_the_bytes_there_are() -> None:
    limits = msgspec.structs.replace(QUICK, bytes=20_000, ring_bytes=15_000)
    async with running(limits) as node:
        followers = [node.feed.subscribe(business_id, None) for business_id in range(1, 31)]
        for first in range(1, 20_000, 1_000):
            for business_id, follower in enumerate(followers, start=1):
                node.feed.deliveries(business_id, range(first, first + 100))
                await node.hear(follower, "delivery.updated")
            assert sum(channel.ring.bytes for channel in node.feed.followed.values()) <= 20_000


async def test_with_the_database_away_what_cannot_be_shown_is_counted() -> None:
    async with running() as node:
        node.views.broken = StoreUnavailable("the disk is full")
        follower = node.feed.subscribe(ACME, None)
        node.feed.deliveries(ACME, [1, 2, 3])
        ((_, told),) = await node.hear(follower, "delivery.updated")
        assert told == {"Items": [], "Omitted": 3}
        assert node.troubles == []


async def test_what_breaks_in_the_telling_is_told_as_a_reset_and_goes_on() -> None:
    async with running() as node:
        node.views.broken = ValueError("a bug")
        follower = node.feed.subscribe(ACME, None)
        node.feed.deliveries(ACME, [1])
        ((said, _),) = await node.hear(follower, "reset")
        assert said == "reset"
        assert [what for what, _ in node.troubles] == ["stream"]

        node.views.broken = None
        node.feed.deliveries(ACME, [2])
        ((_, told),) = await node.hear(follower, "delivery.updated")
        assert [one["Delivery"] for one in told["Items"]] == [2]


async def test_what_waits_is_told_now_and_then_and_only_after_something_changed() -> None:
    limits = msgspec.structs.replace(QUICK, stats_seconds=10.0)
    async with running(limits) as node:
        follower = node.feed.subscribe(ACME, None)
        node.feed.deliveries(ACME, [1])
        assert (await node.hear(follower, "stats"))[-1] == ("stats", {"Now": ACME})
        node.feed.deliveries(ACME, [2])
        assert [name for name, _ in await node.hear(follower, "delivery.updated")] == ["delivery.updated"]
        node.clock.now += 10
        assert [name for name, _ in await node.hear(follower, "stats")] == ["stats"]
        node.clock.now += 10
        assert await follower.next(0.05) == [], "nothing has changed since"


# ---------------------------------------------------------------- who follows


async def test_channels_that_were_left_make_room_for_others() -> None:
    limits = msgspec.structs.replace(QUICK, channels=3)
    async with running(limits) as node:
        for business_id in range(1, 11):
            follower = node.feed.subscribe(business_id, None)
            node.clock.now += 1
            node.feed.leave(follower)
        assert sorted(node.feed.followed) == [8, 9, 10]


async def test_a_closed_feed_takes_nobody() -> None:
    async with running() as node:
        follower = node.feed.subscribe(ACME, None)
        node.feed.close()
        assert await follower.next(20) == []
        assert follower.ended == "this node is stopping"
        with pytest.raises(Unavailable):
            node.feed.subscribe(ACME, None)


# ---------------------------------------------------------------- sibling processes


@asynccontextmanager
async def siblings() -> AsyncIterator[tuple[Running, Running]]:
    async with running() as first, running() as second:
        first.feed.on_batch = second.feed.hear
        second.feed.on_batch = first.feed.hear
        yield first, second


async def test_what_a_sibling_notices_is_told_here_too_once() -> None:
    async with siblings() as (here, there):
        follower, theirs = here.feed.subscribe(ACME, None), there.feed.subscribe(OTHER, None)
        there.feed.deliveries(ACME, [3])
        there.feed.attempt(result(4), 4)
        there.feed.deliveries(OTHER, [5])
        heard = dict(await here.hear(follower, "delivery.updated"))
        assert [one["Delivery"] for one in heard["delivery.updated"]["Items"]] == [3, 4]
        assert heard["attempt.finished"] == {"Items": [{"Attempt": 4}], "Omitted": 0}
        ((_, told),) = await there.hear(theirs, "delivery.updated")
        assert told == {"Items": [{"Delivery": 5, "Of": OTHER}], "Omitted": 0}
        assert await theirs.next(0.05) == [], "what was heard goes no further"
        assert ACME in there.feed.followed, "it was asked to tell"


async def test_a_siblings_burst_is_counted_here() -> None:
    async with siblings() as (here, there):
        follower = here.feed.subscribe(ACME, None)
        there.feed.deliveries(ACME, range(1, 1_001))
        for delivery_id in range(1, 1_001):
            there.feed.attempt(result(delivery_id), delivery_id)
        heard = dict(await here.hear(follower, "delivery.updated"))
        for told in heard.values():
            assert (len(told["Items"]), told["Omitted"]) == (100, 900)


async def test_a_sibling_stops_telling_when_it_is_no_longer_asked() -> None:
    async with siblings() as (here, there):
        here.feed.leave(here.feed.subscribe(ACME, None))
        there.clock.now += 59
        here.feed.announce()
        assert ACME in there.feed.followed
        for node in (here, there):
            node.clock.now += 300
        here.feed.announce()
        there.feed.deliveries(ACME, [1])
        there.feed.subscribe(OTHER, None)
        assert ACME not in there.feed.followed


async def test_who_comes_back_after_a_time_for_which_nothing_was_kept_is_told_so() -> None:
    async with siblings() as (here, there):
        first = there.feed.subscribe(ACME, None)
        here.feed.subscribe(ACME, None)
        here.feed.announce()
        there.feed.deliveries(ACME, [1])
        await there.hear(first, "delivery.updated")
        left_at = Position(there.feed.followed[ACME].ring.life, first.position)
        there.feed.leave(first)
        there.clock.now += 200
        here.feed.announce()
        there.feed.deliveries(ACME, [2])
        async with asyncio.timeout(20):
            while there.feed.followed[ACME].own:
                await asyncio.sleep(0)
        assert b"event: reset" in there.feed.subscribe(ACME, left_at).opening


async def test_after_lost_batches_everybody_reads_anew() -> None:
    async with siblings() as (here, _):
        follower = here.feed.subscribe(ACME, None)
        here.feed.missed()
        ((said, _),) = await here.hear(follower, "reset")
        assert said == "reset"
