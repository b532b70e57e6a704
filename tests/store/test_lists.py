"""The log: filtered lists that see each row once, and single objects with everything about them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from ringback.errors import Conflict, NotFound
from ringback.failures import FailureClass
from ringback.model import Decision, DeliveryState, IntegrationState, Leased, Timings
from ringback.store.port import DeliveryFilter, DeliveryRow, EventFilter, EventRow, Store
from ringback.store.sqlite import pages
from tests.builders import (
    NOON,
    Tenant,
    a_tenant,
    change,
    dead,
    delivered,
    direct,
    queued,
    result,
    retrying,
    unanswered,
)

S = DeliveryState


async def deliveries(acme: Tenant, limit: int = 3, **wanted: Any) -> list[DeliveryRow]:
    """The whole list, walked in pages."""
    found: list[DeliveryRow] = []
    before = None
    while True:
        page = await acme.store.list_deliveries(acme.id, DeliveryFilter(**wanted), limit, before)
        assert len(page.items) <= limit
        found += page.items
        before = page.next_before
        if before is None:
            return found


async def events(acme: Tenant, limit: int = 3, **wanted: Any) -> list[EventRow]:
    found: list[EventRow] = []
    before = None
    while True:
        page = await acme.store.list_events(acme.id, EventFilter(**wanted), limit, before)
        found += page.items
        before = page.next_before
        if before is None:
            return found


async def record_test(acme: Tenant, event_id: str, state: DeliveryState = S.DELIVERED) -> int:
    new = acme.new(event_id=event_id)
    leased = Leased(
        delivery_id=0,
        integration_id=acme.lane,
        message=new.message,
        attempts=0,
        tries=0,
        due_at=NOON,
        created_at=NOON,
    )
    ended = result(leased, acme.clock(), Decision(state=state), None, status=200)
    return await acme.store.record_test(new.message, ended, acme.clock())


@pytest.fixture
async def busy(store: Store, acme: Tenant) -> Tenant:
    """Deliveries of every kind on open, held and deleted lanes; another business' beside them."""
    other = await a_tenant(store, acme.clock, node=acme.node, name="Other")
    more = await a_tenant(store, acme.clock, integrations=0, node=acme.node, name="None")
    await acme.refresh()
    other.version = more.version = acme.version
    for number in range(4):
        acme.clock.pass_ms(1_000)
        kind = "call.completed" if number % 2 else "call.started"
        for lane in acme.lanes:
            now = acme.clock()
            for _ in range(2):
                await acme.waiting(lane, event_type=kind)
            await acme.record(
                delivered(await acme.sending(lane, event_type=kind), now),
                dead(await acme.sending(lane), now),
                retrying(await acme.sending(lane), now, now + 10**6),
                unanswered(await acme.sending(lane), now, now + 10**6),
            )
            await acme.sending(lane)
            await store.cancel_delivery(acme.id, await acme.waiting(lane), change(at=now))
        await record_test(acme, f"evt_test_{number}")
        await other.waiting()
        await other.record(dead(await other.sending(), acme.clock()))
    return acme


@pytest.mark.parametrize("state", [*S, "held"])
@pytest.mark.parametrize("lanes", ["open", "held", "deleted"])
async def test_a_list_by_state_has_what_is_shown_in_that_state(busy: Tenant, state: str, lanes: str) -> None:
    if lanes == "held":
        await busy.set_state(IntegrationState.PAUSED)
    if lanes == "deleted":
        await busy.store.delete_integration(busy.id, busy.lane, change())
    everything = await deliveries(busy)
    assert len(everything) == 4 * (2 * 8 + 1)
    assert await deliveries(busy, state=state) == [one for one in everything if one.state == state]
    of_lane = await deliveries(busy, state=state, integration_id=busy.lane)
    assert of_lane == [one for one in everything if one.state == state and one.integration_id == busy.lane]


async def test_a_list_is_newest_first_and_of_one_business(busy: Tenant) -> None:
    rows = await deliveries(busy)
    ids = [row.delivery_id for row in rows]
    assert ids == sorted(ids, reverse=True)
    assert {row.business_id for row in rows} == {busy.id}


FILTERS: list[dict[str, Any]] = [
    {},
    {"event_type": "call.started"},
    {"status": 200},
    {"status": 500},
    {"status": 503, "state": "dead"},
    {"status": 404},
    {"failure_class": FailureClass.RESPONSE_TIMEOUT},
    {"failure_class": FailureClass.SERVER_500, "status": 500},
    {"test": True},
    {"test": False},
    {"test": True, "state": "delivered"},
    {"since": NOON + 2_000},
    {"until": NOON + 3_000},
    {"since": NOON + 2_000, "until": NOON + 3_000, "state": "queued"},
    {"event_type": "call.completed", "state": "queued", "since": NOON + 2_000},
    {"state": "delivered", "event_type": "call.started", "test": False},
]


def passes(row: DeliveryRow, wanted: dict[str, Any]) -> bool:
    found = {
        "integration_id": row.integration_id,
        "event_type": row.event_type,
        "status": row.last_status,
        "failure_class": row.last_failure,
        "test": row.test,
        "state": row.state,
    }
    since, until = wanted.get("since", 0), wanted.get("until", 10**15)
    return since <= row.created_at < until and all(
        found[name] == value for name, value in wanted.items() if name in found and value is not None
    )


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
async def test_filters_hold_together(busy: Tenant, wanted: dict[str, Any]) -> None:
    everything = await deliveries(busy)
    assert await deliveries(busy, **wanted) == [row for row in everything if passes(row, wanted)]


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
async def test_pages_that_may_look_at_few_rows_are_short_but_miss_nothing(
    busy: Tenant, wanted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = await deliveries(busy, limit=200, **wanted)
    monkeypatch.setattr(pages, "MOST_ROWS_SCANNED", 5)
    assert await deliveries(busy, limit=2, **wanted) == at_once


async def test_a_list_by_event_id(busy: Tenant) -> None:
    new = busy.new(direct(busy.lanes[0]), queued(busy.lanes[1]), event_id="evt_a")
    (accepted,) = await busy.accept(new)
    found = await deliveries(busy, limit=1, event_id="evt_a")
    assert [one.delivery_id for one in found] == [accepted.row_id + 2, accepted.row_id + 1]
    assert [one.state for one in await deliveries(busy, event_id="evt_a", state="queued")] == ["queued"]
    assert await deliveries(busy, event_id="evt_a", status=500) == []
    assert await deliveries(busy, event_id="evt_unknown") == []


async def test_a_walk_sees_each_row_once_while_others_are_added(busy: Tenant) -> None:
    expected = [row.delivery_id for row in await deliveries(busy)]
    seen: list[int] = []
    before = None
    while True:
        page = await busy.store.list_deliveries(busy.id, DeliveryFilter(), 7, before)
        seen += [row.delivery_id for row in page.items]
        await busy.waiting()
        before = page.next_before
        if before is None:
            break
    assert seen == expected


async def test_lists_by_time_are_right_after_the_clock_was_set_back(acme: Tenant) -> None:
    late = await acme.waiting()
    acme.clock.pass_ms(-7_200_000)
    early = await acme.waiting()
    for until in (acme.clock() + 1, NOON):
        assert [row.delivery_id for row in await deliveries(acme, until=until)] == [early]
    assert [row.delivery_id for row in await deliveries(acme, since=NOON)] == [late]
    assert len(await events(acme, until=NOON)) == 1


async def test_events_are_filtered_and_paged(busy: Tenant) -> None:
    everything = await events(busy)
    assert len(everything) == 4 * (2 * 8 + 1)
    for wanted in ({"event_type": "call.started"}, {"test": True}, {"test": False}, {"since": NOON + 2_000}):
        expected = [
            row
            for row in everything
            if row.event_type == wanted.get("event_type", row.event_type)
            and row.test == wanted.get("test", row.test)
            and row.accepted_at >= int(wanted.get("since", 0))
        ]
        assert await events(busy, **wanted) == expected


async def test_another_business_s_objects_are_not_there(store: Store, busy: Tenant) -> None:
    (row, *_) = await deliveries(busy)
    with pytest.raises(NotFound):
        await store.get_delivery(busy.id + 1, row.delivery_id)
    with pytest.raises(NotFound):
        await store.get_event(busy.id + 1, row.event_id)
    assert await store.get_event(busy.id, row.event_id)


async def test_an_attempt_is_read_as_it_was_recorded(store: Store, acme: Tenant) -> None:
    leased = await acme.sending()
    timings = Timings(dns_ms=1.5, connect_ms=2.0, tls_ms=None, first_byte_ms=10.25, total_ms=11.0)
    ended = retrying(
        leased,
        NOON + 50,
        NOON + 60_000,
        timings=timings,
        headers=(("retry-after", "5"), ("x-Ü", "ß")),
        body=b"\xff\x00answer",
        truncated=True,
        remote_address="203.0.113.9:443",
        http_version="2",
    )
    await acme.record(replace(ended, signatures=2, header_names=("X-Team",)))
    row, (attempt,) = await store.get_delivery(acme.id, leased.delivery_id)
    assert (row.state, row.due_at, row.attempts, row.tries) == ("retrying", NOON + 60_000, 1, 1)
    assert (row.last_status, row.last_failure) == (500, FailureClass.SERVER_500)
    assert row.integration_name == acme.integrations[0].friendly_name
    assert (attempt.number, attempt.started_at, attempt.status) == (1, NOON + 38, 500)
    assert attempt.timings == timings
    assert attempt.response_headers == (("retry-after", "5"), ("x-Ü", "ß"))
    assert (attempt.response_body, attempt.truncated) == (b"\xff\x00answer", True)
    assert (attempt.remote_address, attempt.http_version) == ("203.0.113.9:443", "2")
    assert (attempt.signatures, attempt.header_names, attempt.replay) == (2, ("X-Team",), False)
    assert attempt.failure is FailureClass.SERVER_500


@pytest.mark.parametrize("state", [S.DELIVERED, S.CANCELLED])
async def test_a_test_send_is_listed_but_waits_nowhere(
    store: Store, acme: Tenant, state: DeliveryState
) -> None:
    delivery_id = await record_test(acme, "evt_test", state)
    row, attempts = await store.get_delivery(acme.id, delivery_id)
    assert (row.state, row.test, row.attempts, len(attempts)) == (state, True, 1, 1)
    event, (listed,) = await store.get_event(acme.id, "evt_test")
    assert (event.test, event.deliveries, listed) == (True, 1, row)
    assert await acme.claim() == ()
    with pytest.raises(Conflict):
        await store.retry_delivery(acme.id, delivery_id, change())
