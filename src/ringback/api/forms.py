"""What callers may write: the rules that several request bodies share."""

from __future__ import annotations

from typing import Annotated, Any
from unicodedata import category

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_pascal

from ringback.errors import FieldError, InvalidRequest

MAX_NAME = 100
MAX_DESCRIPTION = 500
_LINE_BREAKERS = frozenset({"Cc", "Zl", "Zp"})
_ALLOWED_IN_TEXT = frozenset("\t\n\r")


class Form(BaseModel):
    """A request body: unknown fields are refused, nothing is coerced."""

    model_config = ConfigDict(
        alias_generator=to_pascal, extra="forbid", strict=True, frozen=True, hide_input_in_errors=True
    )

    def sent(self, name: str) -> bool:
        """Whether the body had this field, null included."""
        return name in self.model_fields_set

    def changes(self, defaults: dict[str, Any]) -> dict[str, Any]:
        """The fields that were sent, null replaced by its default. Raises InvalidRequest."""
        changes = {name: getattr(self, name) for name in self.model_fields_set}
        nulls = [name for name, value in changes.items() if value is None]
        stuck = [name for name in nulls if name not in defaults]
        if stuck:
            raise InvalidRequest(*(FieldError(to_pascal(name), "cannot be null") for name in sorted(stuck)))
        return changes | {name: defaults[name] for name in nulls}


def _one_line(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    if any(category(character) in _LINE_BREAKERS for character in text):
        raise ValueError("must be one line without control characters")
    return text


def _plain_text(text: str) -> str:
    if any(category(character) == "Cc" and character not in _ALLOWED_IN_TEXT for character in text):
        raise ValueError("must not have control characters other than tabs and line breaks")
    return text


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_one_line)]
Text = Annotated[str, Field(max_length=MAX_DESCRIPTION), AfterValidator(_plain_text)]
