"""The door for publishes, against an oracle that is slow, obvious and not the code under test."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringback.errors import InvalidJson, InvalidRequest
from ringback.payloads import (
    BATCH_DATA_DEPTH,
    DATA_DEPTH,
    MAX_EVENTS,
    Frame,
    check_data,
    parse_frame,
    parse_timestamp,
)

# ---------------------------------------------------------------- the oracle


class Obj(list[tuple[str, Any]]):
    """An object with all its members, repeated ones too."""


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def strict(raw: bytes) -> Any:
    """The document, objects as `Obj`. Raises ValueError, of which UnicodeError is one."""
    document = json.loads(raw.decode(), object_pairs_hook=Obj, parse_constant=_no_constant, parse_int=float)
    _no_surrogates(document)
    return document


def _no_surrogates(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, Obj):
        for name, member in value:
            name.encode()
            _no_surrogates(member)
    elif isinstance(value, list):
        for item in value:
            _no_surrogates(item)


def is_strict(raw: bytes) -> bool:
    try:
        strict(raw)
    except ValueError:
        return False
    return True


def verdict_on_publish(raw: bytes) -> type[Exception] | None:
    """What a publish must be answered with: written down straight from the contract."""
    try:
        document = strict(raw)
    except ValueError:
        return InvalidJson
    events = document if type(document) is list else [document]
    if any(isinstance(one, Obj) and len({name for name, _ in one}) < len(one) for one in events):
        return InvalidJson
    good = 1 <= len(events) <= MAX_EVENTS and all(_is_event(one) for one in events)
    return None if good else InvalidRequest


def _is_event(event: Any) -> bool:
    if not isinstance(event, Obj):
        return False
    given = dict(event)
    event_id = given.get("EventId")
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
    return (
        set(given) <= {"EventType", "Data", "EventId", "Timestamp"}
        and isinstance(given.get("EventType"), str)
        and isinstance(given.get("Data"), Obj)
        and (
            event_id is None
            or (isinstance(event_id, str) and 1 <= len(event_id) <= 64 and set(event_id) <= letters)
        )
        and isinstance(given.get("Timestamp"), str | None)
    )


# ---------------------------------------------------------------- what is thrown at it

PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\t", b"\x0b", b"\x00", b"\xa0"),
    *(
        b"0",
        b"1",
        b"-",
        b"-0",
        b"01",
        b"1.",
        b".5",
        b"1e400",
        b"-1E400",
        b"1e-999",
        b"9" * 5000,
        b"0x1",
        b"+1",
    ),
    *(b"true", b"null", b"True", b"NaN", b"Infinity", b"-Infinity", b"nan"),
    *(b'"a"', b'"\\ud800"', b'"\\udc00"', b'"\\ud83d\\ude00"', b'"\\ude00\\ud83d"', b'"\\ud83d\\\\\\ude00"'),
    *(b'"\\\\ud800"', b'"\\u0000"', b'"\x1f"', b'"\x7f"', b'"\\x"', b'"\\u12g4"', b'"{[\\"]}"', b'"\\\\"'),
    *(
        b"\xef\xbb\xbf",
        b"\xff",
        b'"\xff"',
        b'"\xc0\x80"',
        b'"\xed\xa0\x80"',
        b'"\xe2\x82"',
        '"é😀\u2028"'.encode(),
    ),
    *(b'"a":1', b'"a":1,"a":2', b'{"a":{}}', b"[[]]"),
]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def nearly_json(draw: st.DrawFn) -> bytes:
    """Good JSON that may have had one place replaced by something nasty."""
    raw = json.dumps(draw(json_values), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    if draw(st.booleans()):
        start, length = draw(st.integers(0, len(raw))), draw(st.integers(0, 3))
        raw = raw[:start] + draw(st.sampled_from(PIECES)) + raw[start + length :]
    return raw


scraps = st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)
bodies = nearly_json() | scraps | st.binary(max_size=12)

NAMES = [
    b'"EventType"',
    b'"Data"',
    b'"EventId"',
    b'"Timestamp"',
    b'"\\u0044ata"',
    b'"Extra"',
    b'"data"',
    b'"Event\\ud800"',
]
VALUES = [
    *(
        b'"call.started"',
        b'"a\\u002eb"',
        b'"\\"EventType\\""',
        b'""',
        b'"a b"',
        b'"' + b"x" * 64 + b'"',
        b'"' + b"x" * 65 + b'"',
    ),
    *(b'"evt_1"', b'"evt_1\\n"', b'"\\ud800"', b'"\xff"', b"null", b"7", b"true", b"NaN", b"[]", b"[{}]"),
    *(b"{}", b'{"a":1,"a":2}', b'{"Data":{},"EventType":"\\\\"}', b'{"a":"\\ud800"}', b'{"a":"\xff"}'),
    *(b'{"a":1e400}', b'{"a":NaN}', b' { "a" : "}" } ', b'{"a":"\\\\\\""}', '{"é":"😀"}'.encode()),
]
GOOD_MEMBERS = st.fixed_dictionaries(
    {
        b'"EventType"': st.just(b'"call.started"'),
        b'"Data"': st.sampled_from([v for v in VALUES if v.strip()[:1] == b"{"]),
    },
    optional={b'"EventId"': st.just(b'"evt_1"'), b'"Timestamp"': st.just(b'"x"'), b'"Extra"': st.just(b"1")},
).map(lambda members: list(members.items()))
ANY_MEMBERS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    members = draw(GOOD_MEMBERS) + draw(st.just([]) | ANY_MEMBERS)
    gap = draw(st.sampled_from([b"", b" ", b"\n"]))
    return (
        b"{"
        + b",".join(gap + name + b":" + gap + value for name, value in draw(st.permutations(members)))
        + b"}"
    )


publishes = (
    frames()
    | st.lists(frames() | bodies, max_size=3).map(lambda many: b"[" + b",".join(many) + b"]")
    | bodies
)


# ---------------------------------------------------------------- Data


@given(bodies)
@example(b'{"a":"\\ud800","a":1e400}')
@example(b'{"a":1e400,"b":"\\ud83d\\\\\\ude00"}')
@example(b'{"a":1e400,"b":"\\\\ud800"}')
@example(b'{"a":1e400,"b":"\\ud83d\\ude00"}')
def test_data_passes_exactly_when_it_is_strict_json(raw: bytes) -> None:
    if is_strict(raw):
        check_data(raw)
    else:
        with pytest.raises(InvalidJson):
            check_data(raw)


@given(json_values)
def test_data_is_decoded_as_what_it_says(value: Any) -> None:
    assert check_data(json.dumps(value).encode()) == value
    assert check_data(msgspec.Raw(json.dumps(value, ensure_ascii=False).encode())) == value


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"9" * 5000, b"-" + b"9" * 5000, b"1e-5000"])
def test_numbers_beyond_a_double_are_allowed_and_finite(number: bytes) -> None:
    value = check_data(b'{"a":%b}' % number)["a"]
    assert -sys.float_info.max <= value <= sys.float_info.max


def _nested(levels: int) -> bytes:
    """That many levels, of both kinds."""
    openings = [b'{"a":' if level % 2 == 0 else b"[" for level in range(levels)]
    closings = [b"}" if level % 2 == 0 else b"]" for level in reversed(range(levels))]
    return b"".join(openings[:-1]) + (b"{}" if levels % 2 else b"[]") + b"".join(closings[1:])


@pytest.mark.parametrize("limit", [1, 2, 7, BATCH_DATA_DEPTH, DATA_DEPTH])
def test_data_may_nest_to_the_limit_and_no_further(limit: int) -> None:
    check_data(_nested(limit), limit)
    with pytest.raises(InvalidJson, match="nested too deeply"):
        check_data(_nested(limit + 1), limit)


def test_brackets_that_nest_nothing_do_not_count() -> None:
    check_data(json.dumps({"a": [{"b": [i]} for i in range(500)]}).encode(), 4)
    check_data(json.dumps({"a": "[{" * 500, "[" * 99 + '"\\': '\\"[[[\\\\'}).encode(), 1)
    check_data(json.dumps({"a": '"[[['}).encode(), 1)
    with pytest.raises(InvalidJson):
        check_data(json.dumps({"a": "]}" * 500, "b": [["\\", "]", {"c": 1}]]}).encode(), 3)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 99_999 + b"]" * 99_999])
def test_nesting_without_end_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(InvalidJson):
        check_data(raw)
    with pytest.raises(InvalidJson):
        parse_frame(raw)
    with pytest.raises(InvalidJson):
        parse_frame(b'{"EventType":"a","Data":' + raw + b"}")


# ---------------------------------------------------------------- the frame


@given(publishes)
@example(b'{"EventType":"a","Data":{},"Data":{}}')
@example(b'{"Data":{"a":"\\""},"EventType":"a","\\u0044ata":{}}')
@example(b'{"EventType":"a","Data":{"a":1e400},"EventId":null}')
@example(b'{"EventType":"","EventType":"a","Data":{"x":""}}')
@example(b'{"EventType":"a","Data":{"a":"\xff"}}')
@example(b'{"EventType":"a","Data":[]}')
@example(b'{"EventType":"a\\"","Data":{}}')
@example(b'{"EventType":"a","Data":{},"EventId":"evt_1\\n"}')
@example(b"[]")
def test_a_publish_is_taken_exactly_when_the_contract_says_so(body: bytes) -> None:
    expected = verdict_on_publish(body)
    if expected is None:
        parsed = parse_frame(body)
        _same(parsed, strict(body))
    else:
        with pytest.raises(expected):
            parse_frame(body)


def _same(parsed: Frame | list[Frame], document: Any) -> None:
    frames = parsed if isinstance(parsed, list) else [parsed]
    for frame, event in zip(frames, document if type(document) is list else [document], strict=True):
        given = dict(event)
        assert (frame.EventType, frame.EventId, frame.Timestamp) == (
            given["EventType"],
            given.get("EventId"),
            given.get("Timestamp"),
        )
        assert strict(bytes(frame.Data)) == given["Data"]


def test_data_is_kept_byte_for_byte() -> None:
    data = '{ "a" : 1.0e2,"a":\t"\\u00e9\\/", "é":[ 1e400 ,9007199254740993] }'.encode()
    frame = parse_frame(b'{"EventType":"a","Data":%b}' % data)
    assert isinstance(frame, Frame)
    assert bytes(frame.Data) == data


def _faults(body: bytes) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refused:
        parse_frame(body)
    return {error.field: error.message for error in refused.value.errors}


def test_every_field_at_fault_is_named() -> None:
    assert set(_faults(b'{"EventType":1,"Data":[],"EventId":"a b","Timestamp":0,"Extra":1}')) == {
        *("EventType", "Data", "EventId", "Timestamp", "Extra")
    }


def test_fields_in_an_array_are_named_by_their_place() -> None:
    good = b'{"EventType":"a","Data":{}}'
    body = b"[" + b",".join([good, b"7", good, b'{"Data":{},"event_id":"x"}']) + b"]"
    assert set(_faults(body)) == {"[1]", "[3].EventType", "[3].event_id"}


def test_an_array_has_a_thousand_events_at_most() -> None:
    good = b'{"EventType":"a","Data":{}}'
    parsed = parse_frame(b"[" + b",".join([good] * MAX_EVENTS) + b"]")
    assert isinstance(parsed, list)
    assert len(parsed) == MAX_EVENTS
    assert set(_faults(b"[" + b",".join([good] * (MAX_EVENTS + 1)) + b"]")) == {"Body"}
    assert set(_faults(b"[]")) == {"Body"}


def test_a_thousand_faults_are_not_all_told() -> None:
    assert len(_faults(b"[" + b",".join([b"{}"] * MAX_EVENTS) + b"]")) == 20


def test_what_is_not_json_is_never_blamed_on_a_field() -> None:
    with pytest.raises(InvalidJson):
        parse_frame(b'{"EventType":1,"Data":{"a":NaN}}')


def test_refusals_repeat_no_payload() -> None:
    with pytest.raises(InvalidJson) as refused:
        parse_frame(b'{"EventType":"a","Data":{"Card":"4929 1234" 5678}}')
    assert "4929" not in str(refused.value)
    assert "5678" not in str(refused.value)


# ---------------------------------------------------------------- timestamps

moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@given(moments, offsets, st.text("0123456789", min_size=1, max_size=12), st.sampled_from("Tt"))
def test_any_moment_with_an_offset_is_read_to_the_millisecond(
    moment: datetime, minutes: int, fraction: str, separator: str
) -> None:
    local = moment.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    text = f"{local.isoformat()[:19].replace('T', separator)}.{fraction}{local.isoformat()[19:]}"
    whole = (local - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_timestamp(text) == whole + int(f"{fraction}00"[:3])


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01T00:00:00-00:00", 0),
        ("1970-01-01T01:00:00.9999+01:00", 999),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("2026-11-23T12:00:00.5Z", 1_795_435_200_500),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_timestamps(text: str, milliseconds: int) -> None:
    assert parse_timestamp(text) == milliseconds


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "now",
            "1795435200",
            "2026-11-23",
            "2026-11-23T12:00:00",
            "2026-11-23 12:00:00Z",
            "20261123T120000Z",
        ),
        *("2026-11-23T12:00Z", "2026-11-23T12:00:00,5Z", "2026-11-23T12:00:00.Z", "2026-11-23T12:00:00+0100"),
        *(
            "2026-11-23T12:00:00+24:00",
            "2026-11-23T12:00:00+01:60",
            "2026-11-23T24:00:00Z",
            "2026-11-23T12:60:00Z",
        ),
        *("2026-11-23T12:00:60Z", "2016-12-31T23:59:60Z", "2026-02-29T12:00:00Z", "2026-13-01T12:00:00Z"),
        *(
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "10000-01-01T00:00:00Z",
        ),
        *("2026-11-23T12:00:00Z\n", " 2026-11-23T12:00:00Z", "٢٠٢٦-11-23T12:00:00Z", "2026-W48-1T12:00:00Z"),
    ],
)
def test_other_texts_are_no_timestamps(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_timestamp(text, "[3].Timestamp")
    assert [error.field for error in refused.value.errors] == ["[3].Timestamp"]
