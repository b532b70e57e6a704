"""Bodies that are wrong in every way: refused clearly, nothing stored, never a 5xx."""

from __future__ import annotations

import json

import pytest

from tests.api.publish.door import FAILED, Door, check_refusal

NASTY: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "blank": (b"  \n", 400),
    "not JSON": (b"EventType=call.failed", 400),
    "cut": (b'{"EventType":"call.failed","Data":{', 400),
    "more after it": (FAILED % b"{}" + b"{}", 400),
    "two numbers": (b"1 2", 400),
    "single quotes": (b"{'EventType':'call.failed','Data':{}}", 400),
    "trailing comma": (b'{"EventType":"call.failed","Data":{},}', 400),
    "comment": (b'{"EventType":"call.failed","Data":{}/**/}', 400),
    "byte order mark": (b"\xef\xbb\xbf" + FAILED % b"{}", 400),
    "UTF-16": ('{"EventType":"call.failed","Data":{}}'.encode("utf-16"), 400),
    "invalid UTF-8": (FAILED % b'{"a":"\xff"}', 400),
    "invalid UTF-8 as a key": (FAILED % b'{"\xc3(":1}', 400),
    "a surrogate in UTF-8": (FAILED % b'{"a":"\xed\xa0\x80"}', 400),
    "overlong UTF-8": (FAILED % b'{"a":"\xc0\xaf"}', 400),
    "NUL": (FAILED % b'{"a":"\x00"}', 400),
    "NUL at the end": (FAILED % b"{}" + b"\x00", 400),
    "control character": (FAILED % b'{"a":"\x1f"}', 400),
    "half a pair in Data": (FAILED % rb'{"a":"\ud800"}', 400),
    "half a pair as a key": (FAILED % rb'{"\udfff":1}', 400),
    "half a pair deep down": (FAILED % rb'{"a":[{"b":"x\ud800\u0041"}]}', 400),
    "half a pair as EventType": (rb'{"EventType":"\ud800","Data":{}}', 400),
    "half a pair as EventId": (rb'{"EventType":"call.failed","EventId":"\udc00","Data":{}}', 400),
    "NaN": (FAILED % b'{"a":NaN}', 400),
    "Infinity": (FAILED % b'{"a":-Infinity}', 400),
    "leading zero": (FAILED % b'{"a":01}', 400),
    "deep Data": (FAILED % (b'{"a":' * 10_000 + b"{}" + b"}" * 10_000), 400),
    "deep arrays": (FAILED % (b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), 400),
    "deep body": (b"[" * 100_000 + b"]" * 100_000, 400),
    "deep and cut": (b"[" * 100_000, 400),
    "a level too deep": (FAILED % (b'{"a":' * 63 + b"{}" + b"}" * 63), 400),
    "deep in an unknown field": (b'{"x":' * 10_000 + b"1" + b"}" * 10_000, 400),
    "EventType twice": (b'{"EventType":"call.failed","EventType":"call.failed","Data":{}}', 400),
    "Data twice": (b'{"EventType":"call.failed","Data":{},"Data":{}}', 400),
    "EventType twice, escaped": (rb'{"EventType":"call.failed","\u0045ventType":"x","Data":{}}', 400),
    "twice in an array": (b'[{"EventType":"call.failed","Data":{},"Data":{"a":1}}]', 400),
    "null": (b"null", 422),
    "number": (b"7", 422),
    "huge number": (b"9" * 100_000, 422),
    "text": (b'"call.failed"', 422),
    "array of arrays": (b"[[]]", 422),
    "array of null": (b"[null]", 422),
    "no EventType": (b'{"Data":{}}', 422),
    "no Data": (b'{"EventType":"call.failed"}', 422),
    "EventType a number": (b'{"EventType":1e400,"Data":{}}', 422),
    "EventType null": (b'{"EventType":null,"Data":{}}', 422),
    "EventType empty": (b'{"EventType":"","Data":{}}', 422),
    "EventType long": (b'{"EventType":"%b","Data":{}}' % (b"call." * 40_000), 422),
    "EventType with lines": (rb'{"EventType":"call.failed\r\nX-Evil: 1","Data":{}}', 422),
    "EventType with NUL": (rb'{"EventType":"call.failed\u0000","Data":{}}', 422),
    "Data null": (FAILED % b"null", 422),
    "Data an array": (FAILED % b"[]", 422),
    "Data text": (FAILED % b'"{}"', 422),
    "EventId empty": (b'{"EventType":"call.failed","Data":{},"EventId":""}', 422),
    "EventId long": (b'{"EventType":"call.failed","Data":{},"EventId":"%b"}' % (b"x" * 65), 422),
    "EventId a number": (b'{"EventType":"call.failed","Data":{},"EventId":7}', 422),
    "EventId with lines": (rb'{"EventType":"call.failed","Data":{},"EventId":"a\r\nX-Evil: 1"}', 422),
    "EventId with a line's end": (rb'{"EventType":"call.failed","Data":{},"EventId":"evt_1\n"}', 422),
    "EventId of another alphabet": ('{"EventType":"call.failed","Data":{},"EventId":"évt"}'.encode(), 422),
    "Timestamp without offset": (
        b'{"EventType":"call.failed","Data":{},"Timestamp":"2026-11-23T12:00:00"}',
        422,
    ),
    "Timestamp of no day": (
        b'{"EventType":"call.failed","Data":{},"Timestamp":"2026-02-30T12:00:00Z"}',
        422,
    ),
    "Timestamp a number": (b'{"EventType":"call.failed","Data":{},"Timestamp":1790000000}', 422),
    "unknown field": (b'{"EventType":"call.failed","Data":{},"Retries":3}', 422),
    "many unknown fields": (json.dumps({f"f{number}": 1 for number in range(10_000)}).encode(), 422),
    "a field of another case": (b'{"eventType":"call.failed","data":{}}', 422),
}


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_body_is_refused_and_nothing_is_stored(door: Door, name: str) -> None:
    body, status = NASTY[name]

    reply = door.post(body)

    check_refusal(reply, status, "INVALID_JSON" if status == 400 else "VALIDATION_FAILED")
    assert not any("evil" in header for header in reply.headers)
    assert door.stored() == []
