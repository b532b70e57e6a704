"""A run on the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.bench.conditions import Conditions
from tests.bench.figures import Figure, Section

NUMBERS = ("Median", "Least", "Most", "n")
COLUMNS = ("Figure", *NUMBERS, "Unit", "Goal")


class Report(msgspec.Struct, frozen=True):
    at: str
    conditions: Conditions
    sections: list[Section]


def show_conditions(console: Console, conditions: Conditions) -> None:
    table = Table("", "", title="Conditions", title_justify="left", show_header=False, box=SIMPLE)
    for name, text in conditions.lines():
        table.add_row(name, text)
    console.print(table)


def show_section(console: Console, section: Section) -> None:
    rows = [_row(figure) for figure in section.figures]
    used = [place for place in range(len(COLUMNS)) if any(row[place] for row in rows)]
    table = Table(title=section.title, title_justify="left", box=SIMPLE)
    for place in used:
        table.add_column(COLUMNS[place], justify="right" if COLUMNS[place] in NUMBERS else "left")
    for row in rows:
        table.add_row(*[row[place] for place in used])
    console.print(table)
    for note in section.notes:
        console.print(f"[dim]{note}[/dim]")
    console.print()


def write_json(path: Path, at: str, conditions: Conditions, sections: Sequence[Section]) -> None:
    report = Report(at, conditions, list(sections))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def _row(figure: Figure) -> tuple[str, ...]:
    value = figure.value
    return (
        escape(figure.name),
        _number(value.median),
        _number(value.least) if value.count > 1 else "",
        _number(value.most) if value.count > 1 else "",
        str(value.count) if value.count > 1 else "",
        figure.unit,
        _goal(figure),
    )


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    mark = "[green]met[/green]" if figure.met else "[red]missed[/red]"
    return f"≤ {_number(figure.goal.most)} {mark}"


def _number(value: float) -> str:
    """Three figures or more, none of them noise."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
