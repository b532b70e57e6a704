"""What a publish that is taken becomes: stored, answered in order, known again, delivered byte for byte."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ringback.envelope import iso_time
from tests.api.publish.door import FAILED, Door, check_headers, event, new_door, serving
from tests.e2e.processes import Server
from tests.zoo import Zoo


def test_an_event_is_answered_when_it_is_stored(door: Door) -> None:
    reply = door.post(FAILED % b'{"QueueId":"queue_1"}')

    assert reply.status == 202
    check_headers(reply)
    assert list(reply.envelope) == ["Success", "Data", "Code", "Message"]
    assert (reply.envelope["Success"], reply.envelope["Code"]) == (True, None)
    assert list(reply.data) == ["EventId", "Deliveries", "Duplicate"]
    assert reply.data["EventId"].startswith("evt_")
    assert len(reply.data["EventId"]) == 30
    assert (reply.data["Deliveries"], reply.data["Duplicate"]) == (0, False)
    assert door.stored() == [reply.data["EventId"]]


AS_SENT = [
    b'{"a":1,"a":2}',
    b'{"big":1234567890123456789012345678901234567890,"far":1e999,"tiny":-0.0e-5}',
    b'{"digits":' + b"9" * 10_000 + b"}",
    rb'{"escapes":"\u00e9\ud83d\ude00\/\u0000"}',
    '{"plain":"é😀\u2028"}'.encode(),
    b'{ "spaces":\t[\n1 , 2 ] }',
    b'{"a":' * 62 + b"{}" + b"}" * 62,
    b'{"EventType":"x","EventId":"y","Data":{"Data":[]}}',
]


def test_data_is_delivered_and_shown_byte_for_byte(door: Door, heard: str, zoo: Zoo) -> None:
    accepted = {door.post(FAILED % data).data["EventId"]: data for data in AS_SENT}

    requests = zoo.wait_for(len(AS_SENT), heard)

    received = {one.headers["webhook-id"]: one.body.partition(b'"Data":')[2][:-1] for one in requests}
    assert received == accepted


def test_a_timestamp_is_kept_to_the_millisecond_in_utc(door: Door) -> None:
    shown = {}
    for number, given in enumerate(
        ["2026-11-23T12:00:00.123999Z", "2026-11-23T13:30:00.5+01:30", "2026-11-23T12:00:00Z"]
    ):
        shown[number] = door.get(f"events/{door.publish(**event(number, Timestamp=given))['EventId']}")

    assert [one["Timestamp"] for one in shown.values()] == [
        "2026-11-23T12:00:00.123Z",
        "2026-11-23T12:00:00.500Z",
        "2026-11-23T12:00:00.000Z",
    ]


def test_without_a_timestamp_or_with_null_it_is_now(door: Door) -> None:
    for fields in ({}, {"Timestamp": None, "EventId": None}):
        before = iso_time(time.time_ns() // 1_000_000)
        shown = door.get(f"events/{door.publish(**fields)['EventId']}")
        assert before <= shown["Timestamp"] <= shown["AcceptedAt"]


@pytest.mark.usefixtures("heard")
def test_a_batch_is_answered_and_stored_in_its_order(door: Door) -> None:
    events = [event(number) for number in range(100)]
    del events[50]["EventId"]

    answers = door.publish_all(events).data

    assert [one["Deliveries"] for one in answers] == [1] * 100
    names = [one["EventId"] for one in answers]
    assert names[:50] == [f"evt_{number}" for number in range(50)]
    assert names == door.stored()


@pytest.mark.usefixtures("heard")
def test_an_event_goes_to_those_that_want_it(door: Door) -> None:
    other = {
        "Type": "webhook",
        "FriendlyName": "calls ended",
        "Fields": {"Url": "http://127.0.0.1:9/", "Events": ["call.completed"]},
    }
    door.server.call("POST", f"/api/v1/business/{door.business_id}/integrations", other)

    assert door.publish()["Deliveries"] == 1
    assert door.publish(EventType="call.completed")["Deliveries"] == 2


def test_the_same_event_again_is_a_duplicate_whatever_it_says(door: Door, heard: str, zoo: Zoo) -> None:
    first = door.publish(**event(1))
    again = door.publish(**event(1))
    other = door.publish(**event(1, EventType="call.completed", Data={"Other": True}))

    assert first == {"EventId": "evt_1", "Deliveries": 1, "Duplicate": False}
    assert again == other == {"EventId": "evt_1", "Deliveries": 1, "Duplicate": True}
    door.publish(**event(2))
    requests = zoo.wait_for(2, heard)
    assert [one.headers["webhook-id"] for one in requests] == ["evt_1", "evt_2"]


def test_twice_within_one_array_is_once(door: Door) -> None:
    answers = door.publish_all([event(1), event(2), event(1, Data={"Other": True})]).data

    assert [(one["EventId"], one["Duplicate"]) for one in answers] == [
        ("evt_1", False),
        ("evt_2", False),
        ("evt_1", True),
    ]
    assert door.stored() == ["evt_1", "evt_2"]


def test_at_the_same_instant_on_many_connections_is_once(door: Door, heard: str, zoo: Zoo) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: door.publish(**event(1)), range(24)))

    assert sorted(one["Duplicate"] for one in answers) == [False] + [True] * 23
    assert {one["Deliveries"] for one in answers} == {1}
    door.publish(**event(2))
    assert [one.headers["webhook-id"] for one in zoo.wait_for(2, heard)] == ["evt_1", "evt_2"]


def test_another_business_may_use_the_same_event_id(door: Door, server: Server) -> None:
    door.publish(**event(1))

    assert new_door(server).publish(**event(1))["Duplicate"] is False


def test_an_event_is_known_after_a_restart(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "restarted") as running:
        door = new_door(running)
        door.subscribe(zoo.url("ok?X-Case=restart"))
        door.publish(**event(1))
        running.kill()
        running.start()

        again = door.publish(**event(1))

    assert again == {"EventId": "evt_1", "Deliveries": 1, "Duplicate": True}
