"""What a verb costs does not depend on how much is stored: steps of SQLite's machine, counted on a small file
and on one with 100,000 deliveries waiting in an open lane, 100,000 in a held one and 100,000 finished."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest
import pytest_asyncio
from msgspec.structs import replace

from ringback import ids
from ringback.failures import FailureClass
from ringback.model import IntegrationState
from ringback.store.port import DeliveryFilter, EventFilter
from ringback.store.sqlite import SqliteStore
from ringback.store.sqlite.pages import MOST_ROWS_SCANNED
from tests.builders import NOON, Clock, Tenant, a_tenant, change, delivered, direct

SMALL, LARGE = 1_000, 100_000
OPEN, HELD, FINISHED = 0, 1, 2
_APART_MS = 1_000_000

_FILL_EVENTS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?3 - 1)
INSERT INTO events (id, business_id, event_id, event_type, timestamp, accepted_at, fanout, test, data)
SELECT ?2 + 2 * i, ?1, 'evt_' || (?2 + 2 * i), 'call.completed', ?4, ?4, 1, 0, x'7b7d' FROM n
"""
_FILL_DELIVERIES = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?3 - 1)
INSERT INTO deliveries (id, event_row, business_id, integration_id, event_type, state, attempts, tries,
    due_at, last_status, last_failure, test, manual, replayed, created_at, finished_at)
SELECT ?2 + 2 * i + 1, ?2 + 2 * i, ?1, ?5, 'call.completed', ?6, 1, 1, iif(?6 = 'retrying', ?4 + i, NULL),
    iif(?6 = 'retrying', 500, 200), iif(?6 = 'retrying', 'server_500', NULL), 0, 0, 0,
    ?4, iif(?6 = 'retrying', NULL, ?4)
FROM n
"""


@dataclass
class Full:
    """A store with so many rows of each kind, and a count of the steps that a verb takes."""

    tenant: Tenant
    rows: int

    async def steps(self, verb: Callable[[Tenant], Awaitable[Any]]) -> int:
        taken: list[int] = []
        connection = self.tenant.store._db._db  # type: ignore[attr-defined]
        connection.trace_v2(
            apsw.SQLITE_TRACE_PROFILE,
            lambda event: taken.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]),
        )
        await verb(self.tenant)
        connection.trace_v2(0)
        assert taken
        return sum(taken)


async def filled(path: Path, rows: int) -> Full:
    clock = Clock()
    store = await SqliteStore.open(path, clock=clock, inline=True)
    tenant = await a_tenant(store, clock, integrations=3)
    _fill(path, tenant, rows)
    clock.pass_ms(4 * _APART_MS)
    await tenant.set_state(IntegrationState.PAUSED, HELD)
    for state in ("dead", "cancelled"):
        await _few(tenant, state)
    return Full(tenant, rows)


def _fill(path: Path, tenant: Tenant, rows: int) -> None:
    db = apsw.Connection(str(path))
    with db:
        for place, state in ((OPEN, "retrying"), (HELD, "retrying"), (FINISHED, "delivered")):
            born = NOON + _APART_MS * (place + 1)
            db.execute(_FILL_EVENTS, (tenant.id, ids.first_id(born), rows, born))
            db.execute(
                _FILL_DELIVERIES, (tenant.id, ids.first_id(born), rows, born, tenant.lanes[place], state)
            )
        db.execute("UPDATE lanes SET due_at = ? WHERE integration_id <> ?", (NOON, tenant.lanes[FINISHED]))
    db.close()


async def _few(tenant: Tenant, state: str) -> None:
    from ringback.model import DeliveryState

    for _ in range(5):
        await tenant.in_state(DeliveryState(state))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Full]:
    full = await filled(tmp_path_factory.mktemp("small") / "ringback.db", SMALL)
    yield full
    await full.tenant.store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Full]:
    full = await filled(tmp_path_factory.mktemp("large") / "ringback.db", LARGE)
    yield full
    await full.tenant.store.close()


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
    born = [NOON + _APART_MS * (place + 1) for place in (OPEN, HELD, FINISHED)]
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
    "until a time long ago": listing(until=NOON + _APART_MS * 3 // 2),
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
