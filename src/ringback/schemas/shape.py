"""What a business' own JSON Schema may be: its size, its depth, its words."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any, NoReturn

import msgspec

from ringback.errors import FieldError, InvalidRequest

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FIELD = "Schema"
MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_SUBSCHEMAS = 1_500
LARGEST_INTEGER = 2**64 - 1
_SMALLEST_INTEGER = -(2**63)
_MESSAGE_LENGTH = 160

_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_SINGLES = frozenset(
    {"not", "if", "then", "else", "additionalProperties", "propertyNames", "items", "contains"}
)
_UNAVAILABLE = {
    "$dynamicRef": "a $ref to a place in $defs",
    "$dynamicAnchor": "a $ref to a place in $defs",
    "$recursiveRef": "a $ref to a place in $defs",
    "$recursiveAnchor": "a $ref to a place in $defs",
    "$vocabulary": "the standard vocabulary",
    "dependencies": "dependentRequired or dependentSchemas",
    "unevaluatedItems": "items",
    "unevaluatedProperties": "additionalProperties",
}
_ONLY_AT_THE_TOP = ("$schema", "$id")

Schema = dict[str, Any]


def check_shape(schema: Schema) -> dict[str, Any]:
    """Every subschema by its JSON pointer, the whole one by the empty text. Raises InvalidRequest."""
    _check_plain(schema)
    positions = _positions_of(schema)
    _check_meta(schema)
    return positions


def refuse(pointer: str, problem: str) -> NoReturn:
    place = pointer if len(pointer) <= _MESSAGE_LENGTH else "…" + pointer[1 - _MESSAGE_LENGTH :]
    raise InvalidRequest(FieldError(FIELD, f"at {place}: {problem}" if place else problem))


def numbers_fit(document: Any) -> bool:
    """Whether its numbers are finite doubles or 64-bit integers, as every reader of JSON knows them."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
        elif not _fits(value):
            return False
    return True


def _fits(value: Any) -> bool:
    if isinstance(value, float):
        return isfinite(value)
    return not isinstance(value, int) or _SMALLEST_INTEGER <= value <= LARGEST_INTEGER


def _check_plain(schema: Schema) -> None:
    if not numbers_fit(schema):
        refuse("", "holds a number that is neither a finite double nor a 64-bit integer")
    size = len(msgspec.json.encode(schema))
    if size > MAX_BYTES:
        refuse("", f"has {size:,} bytes; it may have {MAX_BYTES:,}")
    dialect = schema.get("$schema", DIALECT)
    if not isinstance(dialect, str) or dialect.removesuffix("#") != DIALECT:
        refuse("/$schema", f"must be {DIALECT}, which is also the default")


def _check_meta(schema: Schema) -> None:
    from jsonschema_rs import ValidationError, meta

    try:
        meta.validate(schema)
    except ValidationError as error:
        pointer = "".join(f"/{escaped(str(step))}" for step in error.instance_path)
        refuse(pointer, error.message[:_MESSAGE_LENGTH])


def _positions_of(schema: Schema) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting: list[tuple[str, Any, int]] = [("", schema, 1)]
    while waiting:
        pointer, one, depth = waiting.pop()
        if len(found) == MAX_SUBSCHEMAS:
            refuse("", f"has more than {MAX_SUBSCHEMAS:,} subschemas, its fields counted")
        if depth > MAX_DEPTH:
            refuse(pointer, f"is nested more than {MAX_DEPTH} levels deep")
        found[pointer] = one
        if isinstance(one, dict):
            _check_keywords(pointer, one)
            waiting.extend((place, inner, depth + 1) for _, place, inner in subschemas(pointer, one))
    return found


def _check_keywords(pointer: str, schema: Schema) -> None:
    for keyword in schema:
        if keyword in _UNAVAILABLE:
            refuse(f"{pointer}/{keyword}", f"is not available; use {_UNAVAILABLE[keyword]}")
        if pointer and keyword in _ONLY_AT_THE_TOP:
            refuse(f"{pointer}/{keyword}", "may stand at the top only")


def subschemas(pointer: str, schema: Schema) -> Iterator[tuple[str, str, Any]]:
    """Keyword, pointer, subschema. What has the wrong shape is left to the meta-schema."""
    for keyword, value in schema.items():
        place = f"{pointer}/{keyword}"
        if keyword in _SINGLES:
            yield keyword, place, value
        elif keyword in _MAPS and isinstance(value, dict):
            yield from ((keyword, f"{place}/{escaped(name)}", inner) for name, inner in value.items())
        elif keyword in _LISTS and isinstance(value, list):
            yield from ((keyword, f"{place}/{index}", inner) for index, inner in enumerate(value))


def escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
