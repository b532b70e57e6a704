"""What the service says about itself: its lines lead with when and what, and trouble does not flood them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from ringback.errors import StoreUnavailable
from ringback.model import Message
from ringback.observe import EventLine, Metrics, Observer, configure_logging, render_json

FULL = StoreUnavailable("the disk is full")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is written while the service's logging is set up as for a machine."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    before = root.handlers[:], root.level, uvicorn.level
    stream = io.StringIO()
    configure_logging(stream, human=False, level="info")
    yield stream
    structlog.reset_defaults()
    root.handlers[:], level, uvicorn_level = before
    root.setLevel(level)
    uvicorn.setLevel(uvicorn_level)


def lines(stream: io.StringIO) -> list[Any]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def observer(seconds: Seconds) -> Observer:
    return Observer(Metrics(), None, seconds)


def test_trouble_that_stays_is_one_line_a_second_and_counted_each_time(
    stream: io.StringIO, observer: Observer, seconds: Seconds
) -> None:
    for _ in range(30):
        observer.trouble("accept", FULL)
        seconds.now += 0.125

    told = [(line["where"], line["error"], line.get("left_out", 0)) for line in lines(stream)]
    assert told == [("accept", "the disk is full", left_out) for left_out in (0, 7, 7, 7)]
    assert observer.metrics.trouble["accept"] == 30


def test_trouble_in_one_place_hides_none_in_another(stream: io.StringIO, observer: Observer) -> None:
    for where in ("accept", "store", "accept", "store"):
        observer.trouble(where, FULL)

    assert [line["where"] for line in lines(stream)] == ["accept", "store"]
    assert observer.metrics.trouble == {"accept": 2, "store": 2}


def test_after_a_quiet_time_trouble_is_told_at_once(
    stream: io.StringIO, observer: Observer, seconds: Seconds
) -> None:
    observer.trouble("accept", FULL)
    seconds.now += 1.0
    observer.trouble("accept", FULL)

    assert ["left_out" in line for line in lines(stream)] == [False, False]


def test_what_nobody_expected_comes_with_its_traceback(stream: io.StringIO, observer: Observer) -> None:
    observer.trouble("accept", FULL)
    observer.trouble("store", ZeroDivisionError("by nothing"))

    expected, unexpected = lines(stream)
    assert "exception" not in expected
    assert "ZeroDivisionError: by nothing" in unexpected["exception"]


def test_every_line_begins_with_when_how_grave_and_what(stream: io.StringIO) -> None:
    structlog.get_logger("ringback").info("ready", address="http://127.0.0.1:8080")
    logging.getLogger("ringback.store").critical("the store is %s", "broken")

    assert [list(line)[:3] for line in lines(stream)] == [["at", "level", "msg"]] * 2
    assert [(line["level"], line["msg"]) for line in lines(stream)] == [
        ("info", "ready"),
        ("critical", "the store is broken"),
    ]


def test_an_event_s_line_begins_like_every_other() -> None:
    line = EventLine("2026-11-23T12:00:00.000Z", "info", "event", "evt_1", "call.failed", 1, 2, 3, 0.5)

    first = json.loads(render_json([line]))

    assert list(first)[:3] == ["at", "level", "msg"]
    assert (first["level"], first["msg"]) == ("info", "event")


def test_the_numbers_name_no_event_type_of_a_business_own(observer: Observer) -> None:
    """Anybody may read them, and a business can make up as many names as it likes."""
    for event_type in ("call.failed", "secret_project.launched", "secret_project.ended"):
        message = Message(event_id="evt_1", event_type=event_type, business_id=1, timestamp=0, data=b"{}")
        observer.accepted(message, range(0), duplicate=False, schema_errors=None, at=0, waited_ms=1.0)

    _, exposition = observer.metrics.exposition()

    assert b"secret_project" not in exposition
    assert b'ringback_events_accepted_total{type="call.failed"} 1.0' in exposition
    assert b'ringback_events_accepted_total{type="own"} 2.0' in exposition
