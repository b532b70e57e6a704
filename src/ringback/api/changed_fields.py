"""What an update changed, by the names that callers know, for the audit log: never the values."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from pydantic.alias_generators import to_pascal

from ringback.model import IntegrationSettings

_NAMES = {
    "url": "Fields.Url",
    "events": "Fields.Events",
    "sealed_headers": "Headers",
    "secrets": "Secret",
}
# They follow from what is done, which the action says.
_IMPLIED = frozenset({"state", "state_reason", "state_since", "updated_at", "version"})


def changed_fields(before: Struct, after: Struct) -> str | None:
    """`Fields.Url, TimeoutSeconds`; None where there is nothing to name."""
    return ", ".join(_changed(before, after)) or None


def _changed(before: Struct, after: Struct) -> Iterator[str]:
    for name in before.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if isinstance(old, IntegrationSettings):
            yield from _changed(old, new)
        elif old != new and name not in _IMPLIED:
            yield _NAMES.get(name, to_pascal(name))
