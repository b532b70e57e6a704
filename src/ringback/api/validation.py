"""The framework's complaints about a request, in our words and with the sender's own field names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError

from ringback.errors import FieldError, InvalidRequest, NotFound, Refused

MAX_ERRORS = 20
BODY = "Body"
_WORDS = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "value_error": "{error}",
}


def refusal_of(error: RequestValidationError) -> Refused:
    """A path that cannot name anything is NotFound; all else names the fields at fault."""
    complaints = error.errors()
    if any(complaint["loc"][0] == "path" for complaint in complaints):
        return NotFound("there is nothing under this path")
    return InvalidRequest(*(_field_error(complaint) for complaint in complaints[:MAX_ERRORS]))


def _field_error(complaint: Mapping[str, Any]) -> FieldError:
    words = _WORDS.get(complaint["type"])
    message = complaint["msg"] if words is None else words.format(**complaint.get("ctx", {}))
    return FieldError(field_name(complaint["loc"][1:]), message)


def field_name(location: Sequence[str | int]) -> str:
    """`("Fields", "Events", 3)` is `Fields.Events[3]`; the body as a whole is `Body`."""
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or BODY
