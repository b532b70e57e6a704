"""Event types (being written)."""

from __future__ import annotations
from collections.abc import Mapping
from typing import Any
import msgspec


class EventType(msgspec.Struct, frozen=True, kw_only=True):
    """One event type. `schema` is a JSON Schema (draft 2020-12) of `Data`."""

    name: str
    description: str
    schema: dict[str, Any]
    example: dict[str, Any]
    built_in: bool = False
    deprecated: bool = False


BUILT_IN: Mapping[str, EventType] = {}
