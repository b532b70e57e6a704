"""Strict JSON at the door of the control plane."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.api import bodies
from ringback.errors import BodyTooLarge, InvalidJson, UnsupportedMediaType

REFUSED = [
    b"",
    b"{",
    b"\xef\xbb\xbf{}",
    b'{"a":"\xff"}',
    "{}".encode("utf-16"),
    b'{"a":NaN}',
    b'{"a":-Infinity}',
    b'{"a":1,"a":2}',
    b'{"a":{"b":1,"b":1}}',
    b'{"Data":1,"Data":2}',
    b'[{"a":[{"b":1,"b":1}]}]',
    b'{"a":"\\ud800"}',
    b'{"\\udfff":1}',
    b'{"Data":{"deep":["\\ud800x"]}}',
    b"[" * 65 + b"]" * 65,
    b"[" * 200_000,
    b"[" * 200_000 + b"]" * 200_000,
    b'{"a":1} x',
    b"{'a':1}",
    b'{"a":01}',
    b'{"a":"\x00"}',
]

ACCEPTED: list[tuple[bytes, Any]] = [
    (b"{}", {}),
    (b'{"a":"\\u0000"}', {"a": "\0"}),
    (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
    (b'{"Data":{"a":1,"a":2}}', {"Data": {"a": 2}}),
    (b'{"a":' + b"9" * 10_000 + b"}", {"a": float("inf")}),
]


@pytest.mark.parametrize("body", REFUSED, ids=lambda body: repr(body[:24]))
def test_what_is_not_strict_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        bodies.parse(body)


@pytest.mark.parametrize(("body", "value"), ACCEPTED, ids=lambda part: repr(part)[:24])
def test_what_is_strict_json_is_read(body: bytes, value: object) -> None:
    assert bodies.parse(body) == value


def test_depth_is_counted_in_containers() -> None:
    assert bodies.parse(b"[" * 64 + b"]" * 64) == json.loads("[" * 64 + "]" * 64)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@given(_JSON)
def test_whatever_json_writes_is_read_back(value: Any) -> None:
    assert bodies.parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(InvalidJson):
        bodies.parse(body)


@pytest.mark.parametrize(
    "value", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_the_content_type(value: str) -> None:
    bodies.check_content_type(value)


@pytest.mark.parametrize(
    "value", [None, "", "text/plain", "application/json-seq", "application/json; charset=latin-1"]
)
def test_any_other_content_type_is_refused(value: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        bodies.check_content_type(value)


class Sender:
    """Sends `size` bytes in pieces; knows how many were taken."""

    def __init__(self, size: int) -> None:
        self.size, self.taken = size, 0

    async def __aiter__(self) -> Any:
        while self.taken < self.size:
            self.taken += 65_536
            yield b" " * 65_536


async def test_an_over_large_body_is_read_a_little_further_and_then_refused() -> None:
    endless = Sender(64 << 20)

    with pytest.raises(BodyTooLarge):
        await bodies.read(endless)

    limit = bodies.MAX_BODY_BYTES + bodies.DRAIN_BYTES
    assert limit < endless.taken <= limit + 2 * 65_536


async def test_a_body_at_the_limit_is_taken() -> None:
    assert len(await bodies.read(Sender(bodies.MAX_BODY_BYTES))) == bodies.MAX_BODY_BYTES
