"""The simulator's other half: each event is acknowledged once, however often it must be sent."""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any

import pytest

from ringback.errors import (
    ConfigurationError,
    InvalidApiKey,
    NotFound,
    PermissionDenied,
    RingbackError,
    Unavailable,
)
from ringback.simulate import Destination, Traffic, publisher_for, simulate
from ringback.simulate.calls import TimedEvent, calls
from ringback.simulate.publisher import Publisher
from tests.traffic.intake import Intake, accept_all

LONG_AGO = int(time.time() * 1000) - 3_600_000
KEY = "a-key-that-nobody-may-see-in-a-log"


def overdue(count: int) -> Iterator[TimedEvent]:
    """Events that should all have been published long ago."""
    return islice(calls(Random(1), LONG_AGO, events_per_second=100, compress=20), count)


def publisher(intake: Intake, *, batching: bool = False, ledger: io.StringIO | None = None) -> Publisher:
    return Publisher(Destination(url=intake.url, api_key=KEY, business=7), batching=batching, ledger=ledger)


async def test_events_arrive_as_the_contract_wants_them() -> None:
    async with Intake() as intake:
        tally = await publisher(intake).run(overdue(30))
    assert intake.paths == {"/api/v1/business/7/events"}
    assert intake.headers["authorization"] == f"Token {KEY}"
    assert intake.headers["content-type"] == "application/json"
    assert {frozenset(event) for event in intake.events} == {
        frozenset({"EventType", "EventId", "Timestamp", "Data"})
    }
    assert {event["EventId"] for event in intake.events} == {event.event_id for event in overdue(30)}
    assert (tally.acknowledged, tally.refused, tally.unanswered) == (30, 0, 0)


async def test_what_is_not_accepted_is_sent_again_unchanged() -> None:
    seen: Counter[str] = Counter()

    def stumble(n: int, events: list[dict[str, Any]]) -> tuple[int, Any] | None:
        seen[events[0]["EventId"]] += 1
        if seen[events[0]["EventId"]] == 1:
            return 503, {"Success": False, "Code": "OVERLOADED"}
        return None if seen[events[0]["EventId"]] == 2 else accept_all(n, events)

    ledger = io.StringIO()
    async with Intake(stumble) as intake:
        tally = await publisher(intake, ledger=ledger).run(overdue(10))
    assert tally.acknowledged == 10
    assert tally.retries == 20
    assert sorted(ledger.getvalue().split()) == sorted(event.event_id for event in overdue(10))
    first_seen: dict[str, Any] = {}
    for event in intake.events:
        assert first_seen.setdefault(event["EventId"], event) == event


async def test_a_server_that_comes_up_late_is_waited_for() -> None:
    async with Intake() as intake:
        url = intake.url
    port = int(url.rpartition(":")[2])
    late = Publisher(Destination(url=url, api_key=KEY, business=7))
    running = asyncio.create_task(late.run(overdue(3)))
    await asyncio.sleep(0)
    async with Intake(port=port):
        assert (await running).acknowledged == 3


async def test_a_flood_goes_in_batches() -> None:
    async with Intake() as intake:
        tally = await publisher(intake, batching=True).run(overdue(1_200))
    assert tally.acknowledged == 1_200
    assert len(intake.publishes) < 20
    assert max(len(body) for body in intake.publishes if isinstance(body, list)) <= 1_000


async def test_duplicates_are_counted_as_acknowledged() -> None:
    def known(_: int, events: list[dict[str, Any]]) -> tuple[int, Any]:
        return 202, {"Success": True, "Data": {"EventId": events[0]["EventId"], "Duplicate": True}}

    async with Intake(known) as intake:
        tally = await publisher(intake).run(overdue(4))
    assert (tally.acknowledged, tally.duplicates) == (4, 4)


async def test_a_refusal_is_counted_and_shown_and_the_rest_goes_on() -> None:
    def picky(n: int, events: list[dict[str, Any]]) -> tuple[int, Any]:
        return (422, {"Code": "VALIDATION_FAILED"}) if n == 2 else accept_all(n, events)

    ledger = io.StringIO()
    async with Intake(picky) as intake:
        tally = await publisher(intake, ledger=ledger).run(overdue(5))
    assert (tally.acknowledged, tally.refused, len(ledger.getvalue().split())) == (4, 1, 4)
    assert "VALIDATION_FAILED" in (tally.last_refusal or "")


@pytest.mark.parametrize(
    ("status", "error"), [(401, InvalidApiKey), (403, PermissionDenied), (404, NotFound)]
)
async def test_a_wrong_key_or_business_ends_it(status: int, error: type[RingbackError]) -> None:
    async with Intake(lambda _, __: (status, {})) as intake:
        with pytest.raises(error) as raised:
            await publisher(intake).run(overdue(50))
    assert KEY not in str(raised.value)


async def test_what_the_server_says_to_a_wrong_business_is_passed_on() -> None:
    async with Intake(lambda _, __: (404, {"Message": "there is no business 7"})) as intake:
        with pytest.raises(NotFound, match="there is no business 7"):
            await publisher(intake).run(overdue(50))


@pytest.mark.parametrize("status", [200, 301, 404, 405, 501])
async def test_what_is_no_such_server_is_said_at_once(status: int) -> None:
    async with Intake(lambda _, __: (status, "<html>a page</html>")) as intake:
        with pytest.raises(Unavailable, match=rf"no ringback server: POST \S+/events was answered {status}"):
            await publisher(intake).run(overdue(50))
    assert len(intake.publishes) <= 16


async def test_nobody_there_is_said() -> None:
    async with Intake() as intake:
        url = intake.url
    with pytest.raises(Unavailable):
        await Publisher(Destination(url=url, api_key=KEY, business=7), patience=0).run(overdue(1))


async def test_told_to_stop_it_publishes_nothing_new_and_says_what_was_not_answered() -> None:
    busy = asyncio.Event()

    def never(_: int, __: list[dict[str, Any]]) -> tuple[int, Any]:
        busy.set()
        return 503, {}

    async with Intake(never) as intake:
        one = publisher(intake)
        running = asyncio.create_task(one.run(overdue(10_000)))
        await busy.wait()
        one.stop()
        tally = await running
    assert tally.acknowledged == 0
    assert 1 <= tally.unanswered <= 16


async def test_traffic_ends_with_its_last_call() -> None:
    async with Intake() as intake:
        traffic = Traffic(rate=2_000, calls=12, seed=3, compress=10_000)
        destination = Destination(url=intake.url, api_key=KEY, business=1)
        tally = await simulate(traffic, publisher_for(traffic, destination, None))
    ends = [event for event in intake.events if event["EventType"] in ("call.completed", "call.failed")]
    assert len(ends) == 12
    assert tally.acknowledged == len(intake.events)


def test_the_key_is_in_no_repr() -> None:
    assert KEY not in repr(Destination(url="http://127.0.0.1", api_key=KEY, business=1))


@pytest.mark.parametrize("url", ["", "notaurl", "ftp://x", "http://", "http://a:99999", "http://a:b"])
def test_an_address_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Publisher(Destination(url=url, api_key=KEY, business=1))
