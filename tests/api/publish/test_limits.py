"""How much a publish may hold, and what becomes of more."""

from __future__ import annotations

import pytest

from tests.api.publish.door import FAILED, KIB, MIB, Door, check_refusal, connect, event, read_reply

EVENT_BYTES, FRAME_BYTES, BATCH_BYTES = 256 * KIB, 4 * KIB, 8 * MIB


def filled(size: int) -> bytes:
    """`Data` of exactly so many bytes."""
    frame = b'{"Text":"%b"}'
    return frame % (b"x" * (size - len(frame % b"")))


def test_an_event_may_have_256_kib_and_not_a_byte_more(door: Door) -> None:
    assert door.post(FAILED % filled(EVENT_BYTES)).status == 202
    check_refusal(door.post(FAILED % filled(EVENT_BYTES + 1)), 413, "PAYLOAD_TOO_LARGE")
    check_refusal(door.post(b"[" + FAILED % filled(EVENT_BYTES + 1) + b"]"), 413, "PAYLOAD_TOO_LARGE")


def test_a_batch_may_have_a_thousand_events(door: Door) -> None:
    assert len(door.publish_all([event(number) for number in range(1_000)]).data) == 1_000


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_batch_of_none_or_of_too_many_is_refused(door: Door, count: int) -> None:
    reply = door.publish_all([event(number) for number in range(count)])

    check_refusal(reply, 422, "VALIDATION_FAILED")
    assert reply.faults == {"Body": "must have 1 to 1,000 events"}
    assert door.stored() == []


def batch_of(size: int) -> bytes:
    """An array of exactly so many bytes, each event within its limit."""
    one = FAILED % filled(250 * KIB)
    events = [one] * (size // (len(one) + 1))
    body = b"[" + b",".join(events)
    return body + b" " * (size - len(body) - 1) + b"]"


def test_a_batch_may_have_8_mib_and_not_a_byte_more(door: Door) -> None:
    assert len(door.post(batch_of(BATCH_BYTES)).data) == 32
    check_refusal(door.post(batch_of(BATCH_BYTES + 1)), 413, "PAYLOAD_TOO_LARGE")


@pytest.mark.parametrize("limit", [EVENT_BYTES + FRAME_BYTES, BATCH_BYTES])
def test_who_sends_up_to_1_mib_too_much_sees_the_refusal(door: Door, limit: int) -> None:
    start = b"[" if limit == BATCH_BYTES else b"{"

    reply = door.post(start + b" " * (limit + MIB - 1))

    check_refusal(reply, 413, "PAYLOAD_TOO_LARGE")
    assert str(limit) in reply.envelope["Message"]


@pytest.mark.parametrize("start", [b"[", b"{"])
def test_who_sends_without_end_is_stopped(door: Door, start: bytes) -> None:
    """An answer or a cut connection: both end it, and soon."""
    with connect(door.server) as connection:
        connection.sendall(door.request(start, length=10_000 * MIB))
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(b" " * 100 * MIB)
    assert door.publish()["Duplicate"] is False


def test_ten_megabytes_are_refused_and_the_next_publish_is_taken(door: Door) -> None:
    """Its sender may find the connection cut; it may not find it taken."""
    with connect(door.server) as connection:
        try:
            connection.sendall(door.request(FAILED % filled(10 * MIB)))
            status = read_reply(connection).status
        except (OSError, AssertionError):
            status = 413
    assert status == 413
    assert door.publish()["Duplicate"] is False
    assert len(door.stored()) == 1
