"""What a run is given: how much of everything, where, and on which cores."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.children import Cores


@dataclass(frozen=True)
class Amounts:
    """How much is done for one figure. Everything is bounded by these."""

    rounds: int
    events: int
    warm_up: int
    latency_seconds: float
    single_events: int
    batches: int
    starts: int
    floor_events: int
    charted_businesses: int


FULL = Amounts(
    rounds=5, events=60_000, warm_up=5_000, latency_seconds=15.0, single_events=40_000, batches=200, starts=7,
    floor_events=60_000, charted_businesses=20,
)  # fmt: skip
QUICK = Amounts(
    rounds=1, events=6_000, warm_up=1_000, latency_seconds=2.0, single_events=4_000, batches=10, starts=1,
    floor_events=10_000, charted_businesses=1,
)  # fmt: skip


@dataclass
class Setting:
    """`found_rate` is the whole path's events per second, once a benchmark has found it."""

    amounts: Amounts
    folder: Path
    connections: int
    cores: Cores = field(default_factory=Cores.of_this_machine)
    found_rate: float | None = None
