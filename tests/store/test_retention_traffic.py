"""Random traffic, steps of retention and jumps of the clock in any order, on a disk that loses its power.

After every step the rows say whether what it did was due; at the end all that waited is delivered, with the
payload that was published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

import apsw
import pytest
from msgspec.structs import replace

from ringback.errors import NotFound, Refused, StoreError
from ringback.model import FINISHED, WAITING, AttemptResult, DeliveryState, IntegrationState, Leased
from ringback.statistics import DAY_MS
from ringback.store.port import Chore, DeliveryFilter
from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.rows import fetch
from tests.builders import KEEP, Clock, Tenant, a_tenant, change, dead, delivered, leased_of, retrying
from tests.builders import direct as born_leased
from tests.builders import queued as born_queued
from tests.model.power_cut import Disk, Moment

SEEDS = range(12)
ACTS = 150
CHORES = (Chore.HELD, Chore.PAYLOADS, Chore.EVENTS, Chore.HISTORY)
DISK = "retention-disk"
EVENT_IDS = [f"evt_{number}" for number in range(12)]
# The last one fills more than a page.
SIZES = [2, 300, 9_000]
ENDS: list[Callable[[Leased, int], AttemptResult]] = [
    delivered,
    delivered,
    dead,
    lambda leased, at: retrying(leased, at, at),
    lambda leased, at: retrying(leased, at, at + DAY_MS),
]


class Event(NamedTuple):
    event_id: str
    accepted_at: int
    fanout: int
    data: bytes | None


class Delivery(NamedTuple):
    event_row: int
    lane: int
    state: str
    due_at: int | None
    finished_at: int | None


class Seen(NamedTuple):
    """What is in the database. `counted`: deliveries by what became of them, as the rollups have it."""

    events: dict[int, Event]
    deliveries: dict[int, Delivery]
    attempts: Counter[int]
    held_since: dict[int, int | None]
    counted: tuple[int, ...]

    def settled_at(self, row: int, now: int) -> int:
        """When its last delivery finished; what has not finished may do so now."""
        own = range(row + 1, row + 1 + self.events[row].fanout)
        ends = [self.deliveries[one].finished_at or now for one in own if one in self.deliveries]
        return max([self.events[row].accepted_at, *ends])


def look(db: apsw.Connection) -> Seen:
    counts = "sum(created), sum(delivered), sum(dead), sum(cancelled)"
    counted = fetch(
        db,
        f"SELECT {counts} FROM (SELECT created, delivered, dead, cancelled FROM delivery_fresh UNION ALL"
        " SELECT created, delivered, dead, cancelled FROM delivery_stats WHERE grain = 3600000)",
    )
    events = fetch(db, "SELECT id, event_id, accepted_at, fanout, data FROM events")
    deliveries = "SELECT id, event_row, integration_id, state, due_at, finished_at FROM deliveries"
    return Seen(
        {row: Event(*rest) for row, *rest in events},
        {row: Delivery(*rest) for row, *rest in fetch(db, deliveries)},
        Counter(row for (row,) in fetch(db, "SELECT delivery_id FROM attempts")),
        dict(fetch(db, "SELECT integration_id, held_since FROM lanes")),
        tuple(count or 0 for count in counted[0]),
    )


def check_step(before: Seen, after: Seen, now: int) -> None:
    """Whatever a step did was due, and it did nothing else."""
    for row, event in before.events.items():
        settled_at = before.settled_at(row, now)
        if row not in after.events:
            assert settled_at <= now - KEEP.attempts * DAY_MS
            assert not any(one.event_row == row for one in after.deliveries.values())
        elif after.events[row] != event:
            assert after.events[row] == event._replace(data=None)
            assert settled_at <= now - KEEP.payloads * DAY_MS
    died = [check_delivery(before, after, one, now) for one in before.deliveries]
    for gone in before.attempts.keys() - after.attempts.keys():
        assert gone not in after.deliveries
    assert all(after.attempts[one] == before.attempts[one] for one in after.deliveries)
    created, delivered_, dead_, cancelled = before.counted
    assert after.counted == (created, delivered_, dead_ + sum(died), cancelled)


def check_delivery(before: Seen, after: Seen, delivery_id: int, now: int) -> bool:
    """Whether it was given up."""
    one, then = before.deliveries[delivery_id], after.deliveries.get(delivery_id)
    if then is None:
        assert before.settled_at(one.event_row, now) <= now - KEEP.attempts * DAY_MS
    if then is None or then == one:
        return False
    held_since = before.held_since[one.lane]
    assert one.state in WAITING
    assert one.due_at is not None
    assert held_since is not None
    assert max(held_since, one.due_at) <= now - KEEP.held * DAY_MS
    assert (then.state, then.finished_at) == (DeliveryState.DEAD, now)
    return True


def check_pass(seen: Seen, now: int) -> None:
    """Nothing is left that was due."""
    for row, event in seen.events.items():
        assert seen.settled_at(row, now) > now - KEEP.attempts * DAY_MS
        assert event.data is None or seen.settled_at(row, now) > now - KEEP.payloads * DAY_MS
    for one in seen.deliveries.values():
        held_since = seen.held_since[one.lane]
        if one.state in WAITING and held_since is not None:
            assert max(held_since, one.due_at or 0) > now - KEEP.held * DAY_MS


class Traffic:
    def __init__(self, tenant: Tenant, path: Path, disk: Disk, dice: Random) -> None:
        self.tenant = tenant
        self.path = path
        self.disk = disk
        self.dice = dice
        self.hands: list[Leased] = []
        self.published: dict[int, bytes] = {}
        self.ever: set[int] = set()
        self.removed: Counter[str] = Counter()

    @property
    def now(self) -> int:
        return self.tenant.clock()

    async def seen(self) -> Seen:
        seen: Seen = await self.tenant.store._db.read(look)  # type: ignore[attr-defined]
        return seen

    async def act(self) -> None:
        often = [self.publish, self.publish, self.claim, self.record, self.record, self.sweep]
        seldom = [self.by_hand, self.pause, self.rest, self.rest, self.a_whole_pass, self.read, self.restart]
        await self.dice.choice(often * 2 + seldom)()

    # -- traffic

    async def publish(self) -> None:
        before, event_id = await self.seen(), self.dice.choice(EVENT_IDS)
        data = b'"' + self.dice.randbytes(self.dice.choice(SIZES)).hex().encode() + b'"'
        kinds = [self.dice.choice([born_leased, born_queued]) for _ in range(self.dice.randint(0, 3))]
        new = self.tenant.new(
            *(kind(self.dice.choice(self.tenant.lanes)) for kind in kinds), event_id=event_id, data=data
        )
        (accepted,) = await self.tenant.accept(new)
        assert accepted.duplicate == any(one.event_id == event_id for one in before.events.values())
        if accepted.duplicate:
            return
        assert accepted.row_id > max(self.ever, default=0)
        self.published[accepted.row_id] = data
        self.ever.update(range(accepted.row_id, accepted.row_id + 1 + accepted.deliveries))
        direct = [place for place, target in enumerate(new.targets) if target.direct]
        self.hands += [leased_of(new, accepted, self.now, place) for place in direct]

    async def claim(self) -> None:
        leased = await self.tenant.claim(dict.fromkeys(self.tenant.lanes, self.dice.randint(1, 4)))
        self.check_payloads(leased)
        self.hands += leased

    async def record(self) -> None:
        if not self.hands:
            return
        leased = self.hands.pop(self.dice.randrange(len(self.hands)))
        await self.tenant.record(self.dice.choice(ENDS)(leased, self.now))

    async def by_hand(self) -> None:
        """A retry or a cancellation of whatever there ever was."""
        if self.ever:
            verb = self.dice.choice([self.tenant.store.retry_delivery, self.tenant.store.cancel_delivery])
            with suppress(Refused):
                await verb(self.tenant.id, self.dice.choice(sorted(self.ever)), change(at=self.now))

    async def pause(self) -> None:
        if self.dice.random() < 0.3:
            current = await self.tenant.store.get_business(self.tenant.id)
            await self.tenant.store.save_business(
                replace(current, enabled=not current.enabled), change(at=self.now)
            )
            await self.tenant.refresh()
        else:
            place = self.dice.randrange(len(self.tenant.lanes))
            await self.tenant.set_state(self.dice.choice([*IntegrationState]), place)

    async def read(self) -> None:
        """Rows that are gone are not there; cursors on them go on from where they were."""
        if not self.ever:
            return
        somewhere = self.dice.choice(sorted(self.ever))
        page = await self.tenant.store.list_deliveries(self.tenant.id, DeliveryFilter(), 5, somewhere)
        assert all(row.delivery_id < somewhere for row in page.items)
        with suppress(NotFound):
            await self.tenant.store.get_delivery(self.tenant.id, somewhere)

    # -- retention, time and faults

    async def rest(self) -> None:
        self.tenant.clock.pass_ms(self.dice.choice([1, DAY_MS, 10 * DAY_MS, 25 * DAY_MS, 40 * DAY_MS]))

    async def sweep(self) -> None:
        before = await self.seen()
        if self.dice.random() < 0.3:
            self.disk.switch_off_at(self.dice.choice([*Moment]), self.dice.randint(1, 12))
        with suppress(StoreError):
            await self.step(self.dice.choice(CHORES), self.dice.choice([1, 3, 100]))
        cut = self.disk.is_off
        if cut:
            await self.open_again()
        self.disk.keep_on()
        check_step(before, await self.seen(), self.now)
        if cut:
            await self.live_again()

    async def a_whole_pass(self) -> None:
        limit = self.dice.choice([1, 5, 1_000])
        for chore in CHORES:
            while await self.step(chore, limit):
                pass
        check_pass(await self.seen(), self.now)

    async def step(self, chore: Chore, limit: int) -> bool:
        step = await self.tenant.store.sweep(chore, KEEP, self.now, limit)
        self.removed.update({} if step is None else step.removed)
        return step is not None

    async def restart(self) -> None:
        self.disk.switch_off()
        await self.open_again()
        await self.live_again()

    async def open_again(self) -> None:
        """After a power cut."""
        with suppress(apsw.Error):
            await self.tenant.store.close()
        self.disk.lose_power(self.dice)
        self.disk.switch_on()
        self.tenant.store = await SqliteStore.open(self.path, clock=self.tenant.clock, inline=True, vfs=DISK)

    async def live_again(self) -> None:
        """What was leased is given back by the next life."""
        self.tenant.node = await self.tenant.store.join(self.now)
        await self.tenant.store.rescue(1_000)
        self.hands.clear()

    async def deliver_all(self) -> None:
        """Let everything go: what is not finished is delivered now, as it was published."""
        current = await self.tenant.store.get_business(self.tenant.id)
        await self.tenant.store.save_business(replace(current, enabled=True), change(at=self.now))
        for place in range(len(self.tenant.lanes)):
            await self.tenant.set_state(IntegrationState.ACTIVE, place)
        await self.restart()
        self.tenant.clock.pass_ms(100 * DAY_MS)
        while leased := await self.tenant.claim():
            self.check_payloads(leased)
            await self.tenant.record(*(delivered(one, self.now) for one in leased))
        assert all(one.state in FINISHED for one in (await self.seen()).deliveries.values())

    def check_payloads(self, leased: tuple[Leased, ...]) -> None:
        for one in leased:
            row = max(row for row in self.published if row < one.delivery_id)
            assert one.message.data == self.published[row]


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk(DISK)
    yield disk
    disk.unregister()


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_goes_before_its_time_and_nothing_stays_after_it(
    tmp_path: Path, disk: Disk, seed: int
) -> None:
    clock, path = Clock(), tmp_path / "ringback.db"
    store = await SqliteStore.open(path, clock=clock, inline=True, vfs=DISK)
    traffic = Traffic(await a_tenant(store, clock, integrations=3), path, disk, Random(seed))

    for _ in range(ACTS):
        await traffic.act()
    await traffic.deliver_all()
    await traffic.a_whole_pass()
    clock.pass_ms(KEEP.attempts * DAY_MS)
    await traffic.a_whole_pass()

    left = await traffic.seen()
    assert (left.events, left.deliveries, left.attempts) == ({}, {}, Counter())
    assert await traffic.tenant.store._db.read(lambda db: db.pragma("integrity_check")) == "ok"  # type: ignore[attr-defined]
    assert {"payloads", "events", "deliveries", "attempts"} <= traffic.removed.keys()
    await traffic.tenant.store.close()
