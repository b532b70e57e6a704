"""The body of a control call: bounded, JSON, and read strictly.

What passes here is UTF-8 without a byte order mark, RFC 8259, at most 64 levels deep, without repeated
keys, NaN, Infinity or lone surrogates. The payload under `Data` is exempt from the rule on repeated keys:
it is the publisher's, and checked by who takes it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, Iterable
from typing import Any, NoReturn

from ringback.errors import BodyTooLarge, InvalidJson, UnsupportedMediaType

MAX_BODY_BYTES = 1 << 20
# Read beyond the limit before the refusal, so that a sender still writing gets to see it.
DRAIN_BYTES = 1 << 20
BODY_SECONDS = 30
MAX_DEPTH = 64
PAYLOAD = "Data"
_MAX_INTEGER_DIGITS = 400


def check_content_type(value: str | None) -> None:
    """Raises UnsupportedMediaType unless it is JSON in UTF-8."""
    kind, _, rest = (value or "").partition(";")
    charset = rest.strip().lower().replace('"', "").replace(" ", "")
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8", "charset=utf8"):
        raise UnsupportedMediaType("send the body as `Content-Type: application/json`")


async def read(chunks: AsyncIterable[bytes]) -> bytes:
    """The whole body. Raises BodyTooLarge, and InvalidJson where it does not arrive in time."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_bounded(chunks)
    except TimeoutError:
        raise InvalidJson(f"the body did not arrive within {BODY_SECONDS} s") from None


async def _read_bounded(chunks: AsyncIterable[bytes]) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_BODY_BYTES + DRAIN_BYTES:
            break
    if len(body) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"the body may have at most {MAX_BODY_BYTES:,} bytes")
    return bytes(body)


def parse(body: bytes) -> Any:
    """The value it holds. Raises InvalidJson."""
    value = _decode(body)
    if isinstance(value, dict) and PAYLOAD in value:
        _check_level([value])
        _check_tree([part for key, part in value.items() if key != PAYLOAD])
        _check_tree([value[PAYLOAD]], repeats_allowed=True)
    else:
        _check_tree([value])
    return value


class _Repeating(dict[str, Any]):
    """An object in which a key came twice."""


def _decode(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        raise InvalidJson("the body is not valid UTF-8") from None
    except json.JSONDecodeError as error:
        raise InvalidJson(f"the body is not valid JSON: {error.msg}, at character {error.pos}") from None
    except RecursionError:
        raise _too_deep() from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else _Repeating(value)


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not JSON")


def _integer(digits: str) -> int | float:
    """Python refuses to read integers of thousands of digits; nobody here wants one exactly."""
    return int(digits) if len(digits) <= _MAX_INTEGER_DIGITS else float(digits)


def _check_tree(level: list[Any], *, repeats_allowed: bool = False) -> None:
    """Level by level: no recursion, so that no depth can exhaust the stack."""
    depth = 0
    while level:
        _check_level(level, repeats_allowed=repeats_allowed)
        containers = [value for value in level if isinstance(value, dict | list)]
        depth += bool(containers)
        if depth > MAX_DEPTH:
            raise _too_deep()
        level = [part for container in containers for part in _parts(container)]


def _check_level(values: list[Any], *, repeats_allowed: bool = False) -> None:
    if not repeats_allowed and any(isinstance(value, _Repeating) for value in values):
        raise InvalidJson("an object in the body has the same key twice")
    if any(_has_lone_surrogate(text) for value in values for text in _texts(value)):
        raise InvalidJson("the body holds half a surrogate pair, which is not text")


def _parts(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        return value.keys()
    return (value,) if isinstance(value, str) else ()


def _has_lone_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _too_deep() -> InvalidJson:
    return InvalidJson(f"the body is nested more than {MAX_DEPTH} levels deep")
