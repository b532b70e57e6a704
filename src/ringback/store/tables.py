"""The log's tables, for queries put together at run time. SQLAlchemy writes the SQL; it never connects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, column, table
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDialect

events = table(
    "events",
    *map(column, ("id", "business_id", "event_id", "event_type", "accepted_at", "test")),
)
deliveries = table(
    "deliveries",
    *map(
        column,
        (
            "id",
            "business_id",
            "integration_id",
            "event_type",
            "state",
            "last_status",
            "last_failure",
            "test",
            "created_at",
        ),
    ),
)

Condition = ColumnElement[bool]


class _Compiler(SQLiteCompiler):
    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:  # noqa: ARG002 - overridden
        """`INDEXED BY …`: a list that would not use its index is refused rather than slow."""
        return text


class _Dialect(SQLiteDialect):
    statement_compiler = _Compiler
    supports_statement_cache = True


_SQLITE = _Dialect(paramstyle="qmark")


class Written:
    """A query as SQL text, to be run with some values or others."""

    def __init__(self, query: Select[Any]) -> None:
        compiled = query.compile(dialect=_SQLITE)
        self.text = str(compiled)
        self._names = compiled.positiontup or ()
        self._values = compiled.params

    def bound(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values in the order of the text: the query's own, and those given for its `bindparam`s."""
        values = {**self._values, **given}
        return tuple(values[name] for name in self._names)
