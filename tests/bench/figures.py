"""What a run found: figures with their spread, and the goals they are held to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """The median of several measurements, with the least and the most."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median(values), min(values), max(values), len(values))


class Goal(msgspec.Struct, frozen=True):
    """At most so much."""

    most: float

    def met_by(self, value: float) -> bool:
        return value <= self.most


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    unit: str
    value: Spread
    goal: Goal | None = None

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.goal.met_by(self.value.median)


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark's outcome; `notes` say under which conditions, in sentences."""

    name: str
    title: str
    figures: list[Figure]
    notes: list[str] = []


def figure(name: str, unit: str, values: float | Sequence[float], most: float | None = None) -> Figure:
    listed = [values] if isinstance(values, float | int) else values
    return Figure(name=name, unit=unit, value=Spread.of(listed), goal=None if most is None else Goal(most))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of values in order, the one that `share` of them (0 to 1) do not exceed."""
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]
