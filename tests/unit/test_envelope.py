"""The body and the headers, byte for byte."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.envelope import (
    MASK,
    RESERVED_HEADERS,
    WIRES,
    body_of,
    headers_of,
    iso_time,
    shown_headers,
)
from ringback.model import BodyFormat, Message
from ringback.signing import SigningKey

MESSAGE = Message(
    event_id="evt_abc123xyz789",
    event_type="call.completed",
    business_id=123,
    timestamp=1_795_435_200_000,
    data=b'{ "a":1.0,"a":2, "big": 12345678901234567890, "text":"\\u00e9 \xc3\xa9" }',
)
NOW = 1_795_435_203_999


def test_the_body_is_compact_and_data_is_untouched() -> None:
    assert body_of(MESSAGE) == (
        b'{"EventType":"call.completed","EventId":"evt_abc123xyz789",'
        b'"Timestamp":"2026-11-23T12:00:00.000Z","BusinessId":123,"Data":' + MESSAGE.data + b"}"
    )


def test_the_standard_body() -> None:
    assert WIRES[BodyFormat.STANDARD].body_of(MESSAGE) == (
        b'{"type":"call.completed","timestamp":"2026-11-23T12:00:00.000Z","data":' + MESSAGE.data + b"}"
    )


def test_the_body_of_a_cloudevent() -> None:
    assert WIRES[BodyFormat.CLOUDEVENTS].body_of(MESSAGE) == (
        b'{"specversion":"1.0","id":"evt_abc123xyz789","source":"/business/123","type":"call.completed",'
        b'"time":"2026-11-23T12:00:00.000Z","businessid":123,"data":' + MESSAGE.data + b"}"
    )


@pytest.mark.parametrize(("number", "shown"), [(2**31 - 1, 2**31 - 1), (2**31, "2147483648")])
def test_a_business_id_beyond_the_integers_of_cloudevents_is_text(number: int, shown: int | str) -> None:
    message = msgspec.structs.replace(MESSAGE, business_id=number, data=b"{}")

    event = json.loads(WIRES[BodyFormat.CLOUDEVENTS].body_of(message))

    assert (event["businessid"], event["source"]) == (shown, f"/business/{number}")


def test_every_format_has_its_body_and_its_name() -> None:
    assert {name: wire.content_type for name, wire in WIRES.items()} == {
        BodyFormat.IQRA: "application/json",
        BodyFormat.STANDARD: "application/json",
        BodyFormat.CLOUDEVENTS: "application/cloudevents+json",
    }
    assert WIRES[BodyFormat.IQRA].body_of is body_of


def test_an_unsigned_attempt() -> None:
    assert headers_of(MESSAGE, b"{}", [], 2, NOW, "ringback/1") == [
        ("Content-Type", "application/json"),
        ("User-Agent", "ringback/1"),
        ("webhook-id", "evt_abc123xyz789"),
        ("webhook-timestamp", "1795435203"),
        ("webhook-attempt", "2"),
    ]


def test_tests_and_replays_say_so() -> None:
    headers = dict(headers_of(MESSAGE, b"{}", [], 1, NOW, "ringback/1", test=True, replay=True))

    assert (headers["webhook-test"], headers["webhook-replay"]) == ("true", "true")


def test_two_keys_make_two_standard_signatures_and_one_iqra_signature_by_the_outgoing_one() -> None:
    new, outgoing = SigningKey("new-secret"), SigningKey("old-secret")

    headers = headers_of(MESSAGE, b"{}", [new, outgoing], 1, NOW, "ringback/1")

    names = [name for name, _ in headers]
    signatures = dict(headers)["webhook-signature"].split(" ")
    assert names.count("X-Iqra-Signature") == 1
    assert dict(headers)["X-Iqra-Signature"] == outgoing.iqra_hex(b"{}")
    signed = b"evt_abc123xyz789.1795435203.{}"
    assert signatures == [f"v1,{key.standard_base64(signed)}" for key in (new, outgoing)]


@pytest.mark.parametrize("signatures", [0, 1, 2])
@pytest.mark.parametrize("test", [False, True])
def test_shown_headers_are_those_sent_with_secrets_masked(signatures: int, test: bool) -> None:
    keys = [SigningKey(f"a-secret-{number}") for number in range(signatures)]
    custom = [("X-Api-Key", "hunter2"), ("X-Other", "b")]
    sent = headers_of(MESSAGE, b"{}", keys, 3, NOW, "ringback/1", test=test, custom=custom)

    shown = shown_headers(
        MESSAGE.event_id,
        NOW,
        3,
        "ringback/1",
        signatures,
        [name for name, _ in custom],
        test=test,
        replay=False,
    )

    assert [name for name, _ in shown] == [name for name, _ in sent]
    secret = {"webhook-signature", "X-Iqra-Signature", "X-Api-Key", "X-Other"}
    assert [pair for pair in shown if pair[0] not in secret] == [
        pair for pair in sent if pair[0] not in secret
    ]
    assert all(MASK in value for name, value in shown if name in secret)
    assert len(dict(shown).get("webhook-signature", "").split()) == signatures


def test_what_is_sent_cannot_be_overridden() -> None:
    sent = headers_of(MESSAGE, b"{}", [SigningKey("a-secret")], 1, NOW, "r", test=True, replay=True)

    assert {name.lower() for name, _ in sent} <= RESERVED_HEADERS


@given(st.integers(0, 253_402_300_799_999))
def test_times_have_milliseconds(ms: int) -> None:
    written = iso_time(ms)

    assert len(written) == len("2026-11-23T12:00:00.000Z")
    moment = datetime.fromisoformat(written)
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 == pytest.approx(ms, abs=0.1)


@given(
    st.sampled_from(BodyFormat), st.dictionaries(st.text(max_size=10), st.text(max_size=10) | st.integers())
)
def test_the_body_is_json(name: BodyFormat, data: dict[str, str | int]) -> None:
    message = Message(
        event_id="evt_1", event_type="a.b", business_id=1, timestamp=0, data=json.dumps(data).encode()
    )

    body = json.loads(WIRES[name].body_of(message))
    assert body["Data" if name is BodyFormat.IQRA else "data"] == data
