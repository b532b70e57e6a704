"""The door for publish bodies: strict JSON, the event's frame, and `Data` left as it was sent.

msgspec decodes what is fine, which is nearly always. It is silent about some things that are not
(a duplicate key, invalid UTF-8 in a part it skips) and refuses some that are (a number beyond a
double); cheap counts find the first, and the exact, slow path decides both and names the fault.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from sys import float_info
from typing import Annotated, Any, NamedTuple

import msgspec

from ringback.errors import FieldError, InvalidJson, InvalidRequest, Refused

MAX_EVENTS = 1000
# Of the whole body. A lone event's frame takes one level, an array one more.
MAX_DEPTH = 64
DATA_DEPTH = MAX_DEPTH - 1
BATCH_DATA_DEPTH = MAX_DEPTH - 2
MAX_FIELD_ERRORS = 20
MAX_FIELD_NAME = 100
_TOO_DEEP = f"is nested too deeply: a body may have {MAX_DEPTH} levels"

EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EventId = Annotated[str, msgspec.Meta(pattern=rf"^{EVENT_ID.pattern}\Z")]


class Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One event as published. `Data` is a JSON object byte for byte; give it to `check_data`."""

    EventType: str
    Data: msgspec.Raw
    EventId: _EventId | None = None
    Timestamp: str | None = None


_decode_frames = msgspec.json.Decoder(Frame | list[Frame]).decode
_decode_any = msgspec.json.Decoder().decode


def parse_frame(body: bytes) -> Frame | list[Frame]:
    """The events of a publish, `Data` unchecked but for being an object.

    Raises InvalidJson, or InvalidRequest naming every field at fault (`EventId`, `[3].EventType`).
    """
    try:
        str(body, "utf-8")
        frames: Frame | list[Frame] = _decode_frames(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _refusal(body) or InvalidJson(f"The body {_TOO_DEEP}") from None
    listed = frames if isinstance(frames, list) else (frames,)
    if not (0 < len(listed) <= MAX_EVENTS and _is_plain(body, listed)):
        refusal = _refusal(body)
        if refusal:
            raise refusal
    return frames


def check_data(raw: bytes | msgspec.Raw, max_depth: int = DATA_DEPTH) -> Any:
    """`Data` decoded, for validation only: of duplicate keys the last one, numbers beyond a double cut.

    Raises InvalidJson, whose message goes on after the name of what was checked (`is not UTF-8 …`). What
    is not an object is returned as well: that is for the caller to refuse.
    """
    raw = bytes(raw)
    try:
        data = _decode_any(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        data = _decode_exactly(raw)
    if raw.count(b"{") + raw.count(b"[") > max_depth and _is_deeper(raw, max_depth):
        raise InvalidJson(_TOO_DEEP)
    return data


# ---------------------------------------------------------------- timestamps

_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d+))?(?:[Zz]|([+-](?:[01]\d|2[0-3]):[0-5]\d))",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def parse_timestamp(text: str, field: str = "Timestamp") -> int:
    """Milliseconds since 1970 of an RFC 3339 time with an offset; finer digits are cut off.

    Raises InvalidRequest naming `field`: also for a leap second, and outside the years 1 to 9999 in UTC.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise _bad_timestamp(field, "must be an RFC 3339 time with an offset, as 2026-11-23T12:00:00.000Z")
    day, time, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{offset or '+00:00'}")
    except ValueError:
        raise _bad_timestamp(field, "is not a time that exists") from None
    if not _EARLIEST <= moment <= _LATEST:
        raise _bad_timestamp(field, "must be within the years 0001 to 9999 in UTC")
    return (moment - _EPOCH) // timedelta(seconds=1) * 1000 + int((fraction or "0")[:3].ljust(3, "0"))


def _bad_timestamp(field: str, message: str) -> InvalidRequest:
    return InvalidRequest(FieldError(field, message))


# ---------------------------------------------------------------- cheap suspicion

_OPENING_BRACE = ord("{")
_NOT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


def _is_plain(body: bytes, frames: Sequence[Frame]) -> bool:
    """Objects as `Data`, and no more quotes in the body than the frames account for: a repeated key brings
    more. (A null and an escaped quote do too; the exact path clears them.)
    """
    quotes = 0
    for frame in frames:
        data = bytes(frame.Data)
        if data[0] != _OPENING_BRACE:
            return False
        quotes += _frame_quotes(frame) + data.count(b'"')
    return body.count(b'"') == quotes


def _frame_quotes(frame: Frame) -> int:
    given = 1 + (frame.EventId is not None) + (frame.Timestamp is not None)
    return 2 + 4 * given


def _is_deeper(raw: bytes, limit: int) -> bool:
    """Whether valid JSON nests deeper: each pass takes the innermost level of brackets away."""
    unescaped = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = unescaped.translate(_ONE_KIND, _NOT_STRUCTURE).split(b'"')[::2]
    brackets = b"".join(outside_strings)
    for _ in range(limit):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


# ---------------------------------------------------------------- the exact path

_SURROGATE_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_MAX_INTEGER_DIGITS = 4000

Members = list[tuple[str, Any]]


class _Object(NamedTuple):
    """A decoded object that still has its repeated keys."""

    members: Members


def _decode_exactly(raw: bytes, hook: Callable[[Members], Any] = dict) -> Any:
    try:
        text = str(raw, "utf-8")
        value = json.loads(
            text,
            object_pairs_hook=hook,
            parse_float=_finite,
            parse_int=_integer,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError as error:
        raise InvalidJson(f"is not UTF-8, byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"is not JSON: {error.msg}, character {error.pos}") from None
    except RecursionError:
        raise InvalidJson(_TOO_DEEP) from None
    if _has_lone_surrogate(text):
        raise InvalidJson("has half a surrogate pair in an escape")
    return value


def _finite(digits: str) -> float:
    return max(-float_info.max, min(float_info.max, float(digits)))


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else _finite(digits)


def _refuse_constant(name: str) -> None:
    raise InvalidJson(f"has {name}, which JSON has not")


def _has_lone_surrogate(text: str) -> bool:
    escapes = text.replace(r"\\", "..")
    return _SURROGATE.search(_SURROGATE_PAIR.sub("", escapes)) is not None


def _refusal(body: bytes) -> Refused | None:
    """What is wrong with a publish: its JSON first, then its fields; None where it is fine after all."""
    try:
        document = _decode_exactly(body, _Object)
        _refuse_repeated_keys(document)
    except InvalidJson as error:
        return InvalidJson(f"The body {error}")
    errors = tuple(islice(_document_errors(document), MAX_FIELD_ERRORS))
    return InvalidRequest(*errors) if errors else None


def _refuse_repeated_keys(document: Any) -> None:
    for event in document if isinstance(document, list) else [document]:
        if isinstance(event, _Object):
            name, times = next(iter(Counter(key for key, _ in event.members).most_common(1)), ("", 0))
            if times > 1:
                raise InvalidJson(f"has the key {name[:MAX_FIELD_NAME]!r} {times} times")


def _document_errors(document: Any) -> Iterator[FieldError]:
    if isinstance(document, _Object):
        yield from _event_errors(document, "")
    elif not isinstance(document, list):
        yield FieldError("Body", "must be an event or an array of events")
    elif not 0 < len(document) <= MAX_EVENTS:
        yield FieldError("Body", f"must have 1 to {MAX_EVENTS:,} events")
    else:
        for index, event in enumerate(document):
            yield from _item_errors(event, index)


def _item_errors(event: Any, index: int) -> Iterator[FieldError]:
    if isinstance(event, _Object):
        yield from _event_errors(event, f"[{index}].")
    else:
        yield FieldError(f"[{index}]", "must be an event")


def _event_errors(event: _Object, prefix: str) -> Iterator[FieldError]:
    given = dict(event.members)
    for name, problem in _FIELD_PROBLEMS.items():
        message = problem(given[name]) if name in given else _ABSENT.get(name)
        if message:
            yield FieldError(prefix + name, message)
    for name in given:
        if name not in _FIELD_PROBLEMS:
            yield FieldError(prefix + name[:MAX_FIELD_NAME], "is not a field of an event")


def _text_problem(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string"


def _data_problem(value: Any) -> str | None:
    return None if isinstance(value, _Object) else "must be an object"


def _event_id_problem(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and EVENT_ID.fullmatch(value)):
        return None
    return "must be 1 to 64 of A-Z a-z 0-9 _ -"


def _timestamp_problem(value: Any) -> str | None:
    return None if value is None else _text_problem(value)


_FIELD_PROBLEMS: dict[str, Callable[[Any], str | None]] = {
    "EventType": _text_problem,
    "Data": _data_problem,
    "EventId": _event_id_problem,
    "Timestamp": _timestamp_problem,
}
_ABSENT = {"EventType": "is required", "Data": "is required"}
