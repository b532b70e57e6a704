"""The loop that sweeps by itself: passes over all chores, rests between steps, and what it tells."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from io import StringIO
from pathlib import Path

import pytest

from ringback.engine.retention import LATE_MS, STEP, Retention, rest_after
from ringback.errors import RingbackError, StoreUnavailable
from ringback.observe import Metrics, Observer, configure_logging
from ringback.statistics import DAY_MS
from ringback.store.port import Chore, EventFilter
from ringback.store.sqlite import SqliteStore
from tests.builders import KEEP, Clock, Tenant, a_tenant
from tests.engine.staged import PATIENCE


@pytest.fixture
async def acme(database: Path) -> AsyncIterator[Tenant]:
    clock = Clock()
    store = await SqliteStore.open(database, clock=clock)
    yield await a_tenant(store, clock)
    await store.close()


class Heard:
    """What a retention tells, and when it has told of a pass."""

    def __init__(self) -> None:
        self.steps: list[tuple[Chore, Mapping[str, int], int]] = []
        self.passes: list[tuple[Mapping[str, int], int]] = []
        self.failures: list[tuple[str, RingbackError]] = []
        self.something = asyncio.Event()

    def told(self, chore: Chore, removed: Mapping[str, int], behind_ms: int) -> None:
        self.steps.append((chore, removed, behind_ms))

    def passed(self, removed: Mapping[str, int], at: int) -> None:
        self.passes.append((removed, at))
        self.something.set()

    def failed(self, what: str, error: RingbackError) -> None:
        self.failures.append((what, error))
        self.something.set()


def retention_of(acme: Tenant, heard: Heard, seconds: float = 0.0) -> Retention:
    return Retention(acme.store, KEEP, heard.told, heard.passed, heard.failed, seconds)


async def publish(acme: Tenant, events: int) -> None:
    await acme.accept(*(acme.new() for _ in range(events)))


async def payloads(acme: Tenant) -> int:
    """How many of the newest events have one."""
    page = await acme.store.list_events(acme.id, EventFilter(), 200, None)
    return sum(event.data is not None for event in page.items)


async def test_a_pass_takes_all_that_is_due_in_steps(acme: Tenant) -> None:
    await publish(acme, 2 * STEP + 10)
    acme.clock.pass_ms(30 * DAY_MS + 5_000)
    heard = Heard()

    await retention_of(acme, heard).sweep()

    steps = [removed["payloads"] for chore, removed, _ in heard.steps if chore is Chore.PAYLOADS and removed]
    assert sum(steps) == 2 * STEP + 10
    assert len(steps) > 2
    assert heard.passes == [({"payloads": 2 * STEP + 10}, acme.clock())]


async def test_it_tells_how_late_it_is_until_nothing_is_left(acme: Tenant) -> None:
    await publish(acme, 1)
    acme.clock.pass_ms(30 * DAY_MS + 5_000)
    heard = Heard()

    await retention_of(acme, heard).sweep()

    assert [late for chore, _, late in heard.steps if chore is Chore.PAYLOADS] == [5_000, 0]
    assert {chore for chore, _, _ in heard.steps} == set(Chore)


async def test_it_sweeps_again_and_again(acme: Tenant) -> None:
    heard = Heard()
    running = asyncio.create_task(retention_of(acme, heard).run())
    async with asyncio.timeout(PATIENCE):
        await heard.something.wait()
        await publish(acme, 3)
        assert await payloads(acme) == 3
        acme.clock.pass_ms(30 * DAY_MS)
        while await payloads(acme):
            heard.something.clear()
            await heard.something.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert heard.failures == []


async def test_a_database_that_is_away_is_told_and_tried_again(acme: Tenant) -> None:
    heard = Heard()
    await acme.store.close()
    running = asyncio.create_task(retention_of(acme, heard).run())
    async with asyncio.timeout(PATIENCE):
        while len(heard.failures) < 2:
            heard.something.clear()
            await heard.something.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [(what, type(error)) for what, error in heard.failures[:2]] == [
        ("retention", StoreUnavailable)
    ] * 2


async def test_two_nodes_that_sweep_at_once_remove_everything_once(acme: Tenant, database: Path) -> None:
    await publish(acme, 3 * STEP)
    acme.clock.pass_ms(90 * DAY_MS)
    other = await SqliteStore.open(database, clock=acme.clock)
    first, second = Heard(), Heard()

    await asyncio.gather(
        retention_of(acme, first).sweep(),
        Retention(other, KEEP, second.told, second.passed, second.failed, 0.0).sweep(),
    )
    await other.close()

    removed: Counter[str] = Counter()
    for heard in (first, second):
        removed.update(heard.passes[0][0])
    assert removed["events"] == 3 * STEP
    assert (await acme.store.list_events(acme.id, EventFilter(), 1, None)).items == ()


def test_it_rests_longer_than_it_works_and_less_when_it_is_late() -> None:
    assert rest_after(0.004, 0) == pytest.approx(0.036)
    assert rest_after(0.004, LATE_MS) == pytest.approx(0.012)
    assert rest_after(0.0, 0) > 0


async def test_what_it_tells_becomes_numbers_and_one_line_a_pass(acme: Tenant) -> None:
    await publish(acme, STEP + 1)
    acme.clock.pass_ms(30 * DAY_MS)
    observer = Observer(Metrics(), None)
    written = StringIO()
    configure_logging(written, human=False, level="info")
    retention = Retention(acme.store, KEEP, observer.swept, observer.swept_all, observer.trouble, seconds=0.0)

    await retention.sweep()
    await retention.sweep()

    gauges, text = observer.metrics.gauges, observer.metrics.exposition()[1].decode()
    assert f'ringback_retention_rows_total{{kind="payloads"}} {STEP + 1}.0' in text
    assert gauges["ringback_retention_behind_seconds"][1] == 0
    assert gauges["ringback_retention_last_pass_timestamp_seconds"][1] == acme.clock() / 1000
    (line,) = written.getvalue().splitlines()
    assert (json.loads(line)["msg"], json.loads(line)["payloads"]) == ("retention", STEP + 1)


def test_the_latest_chore_says_how_late_all_is() -> None:
    observer = Observer(Metrics(), None)
    observer.swept(Chore.PAYLOADS, {"payloads": 1}, 7_000)
    observer.swept(Chore.EVENTS, {}, 3_000)

    assert observer.metrics.gauges["ringback_retention_behind_seconds"][1] == 7.0
