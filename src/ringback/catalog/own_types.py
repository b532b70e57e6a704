"""Event types that a business registers itself."""

from __future__ import annotations

from typing import Any

import msgspec

from ringback.catalog.built_in import BUILT_IN
from ringback.catalog.event_type import EventType
from ringback.catalog.names import MAX_NAME_LENGTH, is_valid_name
from ringback.errors import Conflict, FieldError, InvalidRequest
from ringback.schemas import cost_of, numbers_fit

# Of one business. `MAX_OWN_BYTES`: all schemas and examples together.
MAX_OWN_TYPES = 500
MAX_OWN_BYTES = 4 * 1024 * 1024
MAX_EXAMPLE_BYTES = 64 * 1024


def check_own_name(name: str) -> None:
    """Raises InvalidRequest, and Conflict where the name is that of a built-in type."""
    if name in BUILT_IN:
        raise Conflict(f"{name} is built in: it can be neither changed nor deleted")
    if not is_valid_name(name):
        words = f"must be dotted lower-case, as order.paid, of at most {MAX_NAME_LENGTH} characters"
        raise InvalidRequest(FieldError("EventType", words))


def own_type(
    name: str,
    description: str,
    schema: dict[str, Any] | None = None,
    example: dict[str, Any] | None = None,
    *,
    deprecated: bool = False,
) -> EventType:
    """Raises InvalidRequest where the schema cannot be used or the example does not fit it."""
    schema = {"type": "object"} if schema is None else schema
    made = EventType(
        name=name,
        description=description,
        schema=schema,
        example={} if example is None else example,
        deprecated=deprecated,
        cost=cost_of(schema),
    )
    problem = _problem_with_example(made)
    if problem is not None:
        raise InvalidRequest(FieldError("Example", problem))
    return made


def _problem_with_example(made: EventType) -> str | None:
    if not numbers_fit(made.example):
        return "holds a number that is neither a finite double nor a 64-bit integer"
    size = len(msgspec.json.encode(made.example))
    if size > MAX_EXAMPLE_BYTES:
        return f"has {size:,} bytes; it may have {MAX_EXAMPLE_BYTES:,}"
    problem = made.problems(made.example)
    return None if problem is None else f"does not fit the schema: {problem}"
