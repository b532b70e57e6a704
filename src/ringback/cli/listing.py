"""A list for people or for programs, whichever reads it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def show_list(rows: Sequence[Row], columns: Mapping[str, Callable[[Row], str]]) -> None:
    """On a terminal a table with these columns, elsewhere a JSON line for each row."""
    if sys.stdout.isatty():
        _show_table(rows, columns)
    else:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))


def _show_table(rows: Sequence[Row], columns: Mapping[str, Callable[[Row], str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(shown(row)) for shown in columns.values()))
    Console().print(table)
