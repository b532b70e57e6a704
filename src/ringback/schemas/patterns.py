"""Regular expressions in schemas: whether they can be used, and what a character of text costs."""

from __future__ import annotations

from ringback.schemas.shape import refuse

MAX_PATTERNS = 50
MAX_LENGTH = 1_000
# Size of a compiled pattern in bytes, and steps a character. The engine is linear, but large patterns can
# be made to take as many steps as they have states.
_STEPS_BY_SIZE = {1_000: 1, 2_000: 10, 4_000: 30, 8_000: 40, 16_000: 60}


class Patterns:
    """Regular expressions, each compiled once to see whether and how large it comes out."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}

    def steps_of(self, pointer: str, pattern: str) -> int:
        """Steps a character."""
        if pattern not in self._steps:
            if len(self._steps) >= MAX_PATTERNS:
                refuse(pointer, f"is one pattern too many: a schema may have {MAX_PATTERNS}")
            self._steps[pattern] = _steps_to_match(pointer, pattern)
        return self._steps[pattern]


def _steps_to_match(pointer: str, pattern: str) -> int:
    sizes = _STEPS_BY_SIZE if len(pattern) <= MAX_LENGTH else {}
    steps = next((steps for size, steps in sizes.items() if _compiles(pattern, size)), None)
    if steps is None:
        refuse(
            pointer,
            "is no pattern that can be used: it must be a regular expression without look-around and"
            " back-references, and small when compiled (for a length, use maxLength rather than {1,200})",
        )
    return steps


def _compiles(pattern: str, size: int) -> bool:
    from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError

    try:
        Draft202012Validator({"pattern": pattern}, pattern_options=RegexOptions(size_limit=size))
    except ValidationError:
        return False
    return True
