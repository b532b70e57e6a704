"""What checking a payload against a schema can cost, reckoned without checking anything."""

from __future__ import annotations

from collections.abc import Iterator
from math import frexp
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec

from ringback.schemas.patterns import Patterns
from ringback.schemas.shape import (
    LARGEST_INTEGER,
    MAX_DEPTH,
    Schema,
    check_shape,
    escaped,
    refuse,
    subschemas,
)

MAX_STEPS_A_VALUE = 500
MAX_STEPS_A_CHARACTER = 120
# For one payload: some 10 ms at worst, and far less for what people send.
MAX_STEPS = 1_000_000
MAX_UNIQUE_ITEMS = 100
_SMALLEST_DIVISOR = 1e-9
# To count a payload's values takes longer than most checks of them.
_STEPS_TO_COUNT = 10
_TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep, its $refs followed"

# Of the keywords with subschemas, those that concern the very value itself.
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
# At most one of a group's subschemas concerns any one value inside.
_EITHER_OF = (("properties", "additionalProperties"), ("prefixItems", "items"))
_EACH_OF = ("patternProperties", "propertyNames", "contains")


class Cost(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Steps that each value of a payload, and each character of its texts, can take at most.

    `alternatives`: the schema has an anyOf or oneOf, whose failures are long to tell.
    """

    per_value: int
    per_character: int
    alternatives: bool

    def affords(self, data: Any) -> bool:
        """Whether decoded data can be checked in time."""
        left = MAX_STEPS
        waiting = [data]
        while waiting and left >= 0:
            value = waiting.pop()
            left -= _STEPS_TO_COUNT + self.per_value
            if isinstance(value, dict):
                left -= self.per_character * sum(map(len, value))
                waiting.extend(value.values())
            elif isinstance(value, list):
                waiting.extend(value)
            elif isinstance(value, str):
                left -= self.per_character * len(value)
            elif isinstance(value, int | float) and abs(value) > LARGEST_INTEGER:
                left -= 2 * self.per_value * _bits_of(value)
        return left >= 0


def _bits_of(number: float) -> int:
    """Beyond 64 bits arithmetic takes longer the longer the number is."""
    return number.bit_length() if isinstance(number, int) else frexp(number)[1]


def cost_of(schema: Schema) -> Cost:
    """Raises InvalidRequest, naming the place and the reason, where the schema cannot be used."""
    positions = check_shape(schema)
    meter = _Meter(positions, Patterns())
    worst = _most([_worst(meter.load(pointer)) for pointer in positions])
    return Cost(
        per_value=worst.value,
        per_character=worst.character,
        alternatives=any(
            isinstance(one, dict) and ("anyOf" in one or "oneOf" in one) for one in positions.values()
        ),
    )


class _Steps(NamedTuple):
    value: int
    character: int


class _Load(NamedTuple):
    """Steps for a value that the subschema concerns, and the most for any one value inside of that."""

    here: _Steps
    inside: _Steps
    depth: int


_NOTHING = _Steps(0, 0)
_FREE = _Load(_Steps(1, 0), _NOTHING, 1)


def _sum(steps: list[_Steps]) -> _Steps:
    return _Steps(sum(one.value for one in steps), sum(one.character for one in steps))


def _most(steps: list[_Steps]) -> _Steps:
    return _Steps(
        max((one.value for one in steps), default=0), max((one.character for one in steps), default=0)
    )


class _Meter:
    """Each subschema is reckoned once, however often it is referred to."""

    def __init__(self, positions: dict[str, Any], patterns: Patterns) -> None:
        self._positions = positions
        self._patterns = patterns
        self._known: dict[str, _Load] = {}
        self._open: list[str] = []

    def load(self, pointer: str) -> _Load:
        known = self._known.get(pointer)
        if known is not None:
            return known
        if pointer in self._open:
            refuse(self._open[-1], "is recursive: its $ref leads back to itself")
        if len(self._open) >= MAX_DEPTH:
            refuse(pointer, _TOO_DEEP)
        self._open.append(pointer)
        schema = self._positions[pointer]
        load = self._load_of(pointer, schema) if isinstance(schema, dict) else _FREE
        self._open.pop()
        _check_load(pointer, load)
        self._known[pointer] = load
        return load

    def _load_of(self, pointer: str, schema: Schema) -> _Load:
        groups: dict[str, list[_Load]] = {}
        for keyword, place, _ in subschemas(pointer, schema):
            groups.setdefault(keyword, []).append(self.load(place))
        in_place = [load for keyword in _IN_PLACE for load in groups.get(keyword, ())]
        if "$ref" in schema:
            in_place.append(self.load(self._target_of(pointer, schema["$ref"])))
        inner = [load for loads in groups.values() for load in loads]
        return _Load(
            _sum([self._own_steps(pointer, schema), *(load.here for load in in_place)]),
            _sum([*(load.inside for load in in_place), *self._steps_inside(pointer, schema, groups)]),
            1 + max((load.depth for load in [*inner, *in_place]), default=0),
        )

    def _target_of(self, pointer: str, reference: str) -> str:
        target = unquote(reference.removeprefix("#"))
        if not reference.startswith("#") or target not in self._positions:
            refuse(f"{pointer}/$ref", "must point to a subschema of this document, as #/$defs/Name")
        return target

    def _own_steps(self, pointer: str, schema: Schema) -> _Steps:
        needed = schema.get("dependentRequired", {}).values()
        dependent = sum(map(len, needed)) + len(needed) + len(schema.get("dependentSchemas", ()))
        steps = 1 + len(schema) + dependent
        if "const" in schema:
            steps += _steps_to_compare([schema["const"]])
        steps += _steps_to_compare(schema.get("enum", []))
        steps += _steps_to_divide(pointer, schema.get("multipleOf"))
        characters = 0
        if "pattern" in schema:
            characters = self._patterns.steps_of(f"{pointer}/pattern", schema["pattern"])
        return _Steps(steps, characters)

    def _steps_inside(self, pointer: str, schema: Schema, groups: dict[str, list[_Load]]) -> Iterator[_Steps]:
        for keywords in _EITHER_OF:
            yield _most([_worst(load) for keyword in keywords for load in groups.get(keyword, ())])
        for keyword in _EACH_OF:
            yield from (_worst(load) for load in groups.get(keyword, ()))
        for name in schema.get("patternProperties", ()):
            place = f"{pointer}/patternProperties/{escaped(name)}"
            yield _Steps(2, self._patterns.steps_of(place, name))
        yield _Steps(_steps_to_tell_apart(pointer, schema), 0)


def _worst(load: _Load) -> _Steps:
    return _most([load.here, load.inside])


def _check_load(pointer: str, load: _Load) -> None:
    worst = _worst(load)
    if load.depth > MAX_DEPTH:
        refuse(pointer, _TOO_DEEP)
    if worst.value > MAX_STEPS_A_VALUE:
        refuse(
            pointer,
            f"is too much work: checking one value may take {worst.value:,} steps, and {MAX_STEPS_A_VALUE:,}"
            " are allowed; use fewer alternatives, references and enum members",
        )
    if worst.character > MAX_STEPS_A_CHARACTER:
        refuse(pointer, "has too many or too large patterns for one text")


def _steps_to_compare(members: list[Any]) -> int:
    """Texts are looked up; with anything else among them each member is compared."""
    if not members:
        return 0
    if all(isinstance(member, str) for member in members):
        return 2 + sum(map(len, members)) // 1_000
    return 10 + sum(13 * _nodes(member) if isinstance(member, dict | list) else 6 for member in members)


def _nodes(document: Any) -> int:
    waiting, found = [document], 0
    while waiting:
        value = waiting.pop()
        found += 1
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return found


def _steps_to_divide(pointer: str, divisor: float | None) -> int:
    if divisor is None:
        return 0
    if divisor < _SMALLEST_DIVISOR:
        refuse(f"{pointer}/multipleOf", f"must be at least {_SMALLEST_DIVISOR}")
    return 60


def _steps_to_tell_apart(pointer: str, schema: Schema) -> int:
    """Each item may be compared with each other."""
    if not schema.get("uniqueItems"):
        return 0
    items = schema.get("maxItems")
    if items is None or items > MAX_UNIQUE_ITEMS:
        refuse(f"{pointer}/uniqueItems", f"needs a maxItems of at most {MAX_UNIQUE_ITEMS} beside it")
    return int(items)
