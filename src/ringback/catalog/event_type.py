"""One event type, and what a payload has to do with it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ringback.schemas import Cost

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError

MAX_PROBLEMS = 5
# The library finds all problems before it tells the first: in a large payload that takes seconds.
MAX_VALUES = 64
# With alternatives in the schema even the first one's telling has every branch's problems in it.
MAX_STEPS_TOLD = 2_000
MAX_PROBLEM_LENGTH = 160
MAX_STEP_LENGTH = 40
MAX_SENTENCE_LENGTH = 500
TOO_LARGE = "Data is too large to be checked against a schema as costly as this type's"
NO_PLACE = "Data breaks the schema; it is too large to say where"


class EventType(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One event type. `schema` is a JSON Schema (draft 2020-12) of `Data`; `cost`, what checking against it
    costs, is there for those that are not built in."""

    name: str
    description: str
    schema: dict[str, Any]
    example: dict[str, Any]
    built_in: bool = False
    deprecated: bool = False
    cost: Cost | None = None

    def problems(self, data: Any) -> str | None:
        """Where decoded `Data` breaks the schema, in one sentence of at most 500 characters; None where
        it fits. The sentence has paths and rules, no values. Of more than 64 values only the first problem
        is told, so that a payload full of them costs hardly more than one that fits."""
        if self.cost is not None and not self.cost.affords(data):
            return TOO_LARGE
        try:
            if self._validator.is_valid(data):
                return None
            return self._told(data)
        except (ValueError, OverflowError):
            return "Data cannot be checked against the schema"

    def _told(self, data: Any) -> str:
        costly = self.cost if self.cost is not None and self.cost.alternatives else None
        few = MAX_VALUES if costly is None else min(MAX_VALUES, MAX_STEPS_TOLD // costly.per_value)
        if not _holds_more_than(few, data):
            return _sentence(self._validator.iter_errors(data))
        if costly is not None:
            return NO_PLACE
        return f"{_first_problem(self._validator, data)}; there may be more"

    @cached_property
    def _validator(self) -> Draft202012Validator:
        from jsonschema_rs import Draft202012Validator, RegexOptions

        # Offline: a schema fetches nothing. The linear regex engine: no pattern can be made to backtrack.
        return Draft202012Validator(self.schema, mask="value", offline=True, pattern_options=RegexOptions())


def _holds_more_than(limit: int, data: Any) -> bool:
    waiting, values = [data], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            values += len(value)
            if values > limit:
                return True
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return False


def _first_problem(validator: Draft202012Validator, data: Any) -> str:
    from jsonschema_rs import ValidationError

    try:
        validator.validate(data)
    except ValidationError as error:
        return _problem(error)
    return "Data breaks the schema"


def _sentence(errors: Iterable[ValidationError]) -> str:
    problems = [_problem(error) for error in islice(errors, MAX_PROBLEMS + 1)]
    shown = "; ".join(problems[:MAX_PROBLEMS])
    more = "; and more" if len(problems) > MAX_PROBLEMS else ""
    return _cut(shown, MAX_SENTENCE_LENGTH - len(more)) + more


def _problem(error: ValidationError) -> str:
    path = list(error.instance_path)
    missing = getattr(error.kind, "property", None)
    if missing is not None:
        return _cut(f"{_dotted([*path, missing])} is missing", MAX_PROBLEM_LENGTH)
    return _cut(f"{_dotted(path)}: {error.message}", MAX_PROBLEM_LENGTH)


def _dotted(path: list[str | int]) -> str:
    """`["Clients", 0, "JoinedAt"]` is `Clients[0].JoinedAt`; the whole payload is `Data`."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{_cut(step, MAX_STEP_LENGTH)}" for step in path)
    return "".join(parts).removeprefix(".") or "Data"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
