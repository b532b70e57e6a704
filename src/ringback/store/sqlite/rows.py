"""One statement over many rows: few statements a batch, whatever its size, and all prepared already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypeVar

import apsw
import msgspec

Row = Sequence[Any]
T = TypeVar("T", bound=msgspec.Struct)
_MAX_ROWS = 1024
# Longer statements are not cached by apsw, and SQLite binds no more values than this.
_MAX_TEXT = 15_000
_MAX_VALUES = 32_000


def fetch(db: apsw.Connection, text: str, bound: Row = ()) -> list[tuple[Any, ...]]:
    """All rows of one statement, or none where it has none to give."""
    return db.execute(text, bound).fetchall()


def value_of(kind: type[T], row: Row) -> T:
    """A row whose columns are the fields of `kind`, in order; 0 and 1 become booleans, text enumerations."""
    fields = kind.__struct_fields__
    return msgspec.convert(dict(zip(fields, row, strict=True)), kind, strict=False)


class RowStatement:
    """`{rows}` in the text becomes VALUES of `width` columns, `column1` and so on.

    The number of rows is rounded up to a power of two, so that few texts exist and the statement cache
    knows them all. What is added is NULL: the text says `WHERE column1 IS NOT NULL`, or compares it.
    """

    def __init__(self, text: str, width: int) -> None:
        self._text = text
        self._width = width
        self._most = _largest_chunk(width, len(text))

    def run(
        self, db: apsw.Connection, rows: Sequence[Row], before: Row = (), after: Row = ()
    ) -> list[tuple[Any, ...]]:
        """`before` and `after` are bound to the `?` on either side of the rows. Returns the result rows."""
        found: list[tuple[Any, ...]] = []
        for chunk in _chunks(rows, self._most):
            size = 1 << (len(chunk) - 1).bit_length()
            padding = (None,) * ((size - len(chunk)) * self._width)
            bound = (*before, *chain.from_iterable(chunk), *padding, *after)
            found += fetch(db, _text_of(self._text, self._width, size), bound)
        return found


def _chunks(rows: Sequence[Row], most: int) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), most):
        yield rows[start : start + most]


def _largest_chunk(width: int, text_length: int) -> int:
    fitting = min(_MAX_ROWS, (_MAX_TEXT - text_length) // (2 * width + 2), _MAX_VALUES // width)
    return 1 << (fitting.bit_length() - 1)


@lru_cache(maxsize=1024)
def _text_of(text: str, width: int, size: int) -> str:
    row = "(" + ",".join("?" * width) + ")"
    return text.replace("{rows}", "(VALUES " + ",".join([row] * size) + ")")
