"""Simulated calls hang together: the schema, the order, the ids and the sums of each."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from itertools import islice
from random import Random
from typing import Any

import pytest

from ringback.catalog import BUILT_IN, FAILURE_REASONS
from ringback.simulate.calls import TimedEvent, calls
from ringback.simulate.scripts import SCRIPTS

NOW = 1_795_435_200_000


def make(seed: int, *, count: int = 40, rate: float = 20.0, compress: float = 20.0) -> list[TimedEvent]:
    return list(calls(Random(seed), NOW, events_per_second=rate, compress=compress, count=count))


def by_call(events: list[TimedEvent]) -> list[list[TimedEvent]]:
    """Each call's events in the order they were told."""
    session_of_queue = {
        event.data["QueueId"]: event.data["SessionId"]
        for event in events
        if "QueueId" in event.data and "SessionId" in event.data
    }
    told: defaultdict[str, list[TimedEvent]] = defaultdict(list)
    for event in events:
        queue = event.data.get("QueueId", "")
        told[event.data.get("SessionId") or session_of_queue.get(queue, queue)].append(event)
    return list(told.values())


def seconds_between(first: str, last: str) -> float:
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


EVENTS = [event for seed in range(8) for event in make(seed)]
CALLS = [one for seed in range(8) for one in by_call(make(seed))]
CONNECTED = [one for one in CALLS if one[-1].event_type == "call.completed"]


def test_every_event_fits_its_schema() -> None:
    assert [BUILT_IN[event.event_type].problems(event.data) for event in EVENTS] == [None] * len(EVENTS)
    assert {event.event_type for event in EVENTS} == set(BUILT_IN)


def test_the_same_seed_tells_the_same_calls() -> None:
    assert make(7) == make(7)
    assert make(7) != make(8)


def test_event_ids_are_unique_across_seeds_and_starts() -> None:
    later = list(calls(Random(0), NOW + 1, events_per_second=20, compress=20, count=40))
    ids = [event.event_id for event in [*EVENTS, *later]]
    assert len(set(ids)) == len(ids)


def test_the_asked_number_of_calls_is_told_to_the_end() -> None:
    told = by_call(make(3, count=25))
    assert len(told) == 25
    assert {one[-1].event_type for one in told} == {"call.completed", "call.failed"}


def test_calls_follow_their_states() -> None:
    for told in CALLS:
        types = [event.event_type for event in told]
        if types[-1] == "call.failed":
            assert types == ["call.initiated", "call.failed"]
            continue
        if types[0] == "call.initiated":
            del types[0]
        assert types[:3] == ["call.started", "conversation.started", "agent.joined"]
        assert types[-2:] == ["conversation.ended", "call.completed"]
        assert types.count("agent.joined") == types.count("agent.left")
        assert set(types[3:-2]) <= {"conversation.message", "agent.joined", "agent.left"}
        assert types[3] == "conversation.message" or types[3] == "agent.joined"


def test_only_outbound_calls_are_initiated() -> None:
    directions = set()
    for told in CONNECTED:
        direction = told[-1].data["Direction"]
        directions.add(direction)
        assert (told[0].event_type == "call.initiated") == (direction == "outbound")
        ours = {script.business_number for script in SCRIPTS}
        assert (told[-1].data["From"] in ours) == (direction == "outbound")
    assert directions == {"outbound", "inbound"}


@pytest.mark.parametrize("field", ["SessionId", "QueueId", "AgentId", "From", "To", "Direction", "StartedAt"])
def test_one_call_says_one_thing(field: str) -> None:
    for told in CONNECTED:
        assert (
            len({event.data[field] for event in told if field in event.data and _speaks_of_call(event)}) == 1
        )


def _speaks_of_call(event: TimedEvent) -> bool:
    return not event.event_type.startswith("agent.")


def test_times_and_durations_agree() -> None:
    for told in CONNECTED:
        data = {event.event_type: event.data for event in told}
        call, conversation = data["call.completed"], data["conversation.ended"]
        assert seconds_between(call["StartedAt"], call["EndedAt"]) == pytest.approx(call["DurationSeconds"])
        assert conversation["StartTime"] == data["conversation.started"]["StartTime"]
        assert seconds_between(conversation["StartTime"], conversation["EndTime"]) == pytest.approx(
            conversation["DurationSeconds"]
        )
        assert conversation["EndType"] == call["EndType"]
        messages = [event.data for event in told if event.event_type == "conversation.message"]
        assert conversation["MessageCount"] == len(messages)
        assert [message["TurnIndex"] for message in messages] == list(range(len(messages)))
        sent = [message["SentAt"] for message in messages]
        assert sent == sorted(sent)
        assert call["StartedAt"] < sent[0] <= sent[-1] < conversation["EndTime"] < call["EndedAt"]


def test_each_event_happened_when_its_data_says() -> None:
    moment = {"call.started": "StartedAt", "call.completed": "EndedAt", "call.failed": "FailedAt"}
    for event in EVENTS:
        field = moment.get(event.event_type)
        if field:
            assert datetime.fromisoformat(event.data[field]).timestamp() * 1000 == pytest.approx(
                event.timestamp
            )


@pytest.mark.parametrize("compress", [0.5, 1.0, 20.0])
def test_events_fall_due_in_order_and_never_before_they_happened(compress: float) -> None:
    events = make(5, compress=compress)
    assert [event.due for event in events] == sorted(event.due for event in events)
    if compress >= 1:
        assert all(event.timestamp <= event.due for event in events)
    assert events[0].due == NOW


def test_compression_shortens_the_wait_and_not_the_story() -> None:
    slow, fast = by_call(make(5, compress=1.0)), by_call(make(5, compress=20.0))
    for one in zip(slow, fast, strict=True):
        waits = [told[-1].due - told[0].due for told in one]
        stories = [told[-1].timestamp - told[0].timestamp for told in one]
        assert waits[1] == pytest.approx(waits[0] / 20, abs=2)
        assert stories[1] == stories[0]


def test_the_rate_is_what_was_asked_for() -> None:
    events = list(islice(calls(Random(1), NOW, events_per_second=50, compress=20), 20_000))
    assert 20_000 / ((events[-1].due - NOW) / 1_000) == pytest.approx(50, rel=0.15)


def test_people_speak_several_languages_and_fail_for_every_reason() -> None:
    told = [event.data for event in islice(calls(Random(1), NOW, events_per_second=50), 20_000)]
    assert {data["Language"] for data in told if "Language" in data} == {
        script.language for script in SCRIPTS
    }
    assert {data["Reason"] for data in told if "FailedAt" in data} == set(FAILURE_REASONS)
    assert not any("{name}" in data.get("Content", "") for data in told)


def first_completed(events: list[TimedEvent]) -> Any:
    return next(event.due - NOW for event in events if event.event_type == "call.completed")


def test_a_first_call_is_over_soon_at_the_demo_pace() -> None:
    waits = [first_completed(make(seed, rate=6.0, compress=20.0)) for seed in range(50)]
    assert max(waits) < 12_000
