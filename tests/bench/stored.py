"""Does an event cost more where much is stored?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree

from tests.bench.children import cpu_seconds
from tests.bench.figures import Section, figure
from tests.bench.filled import fill
from tests.bench.load import connected
from tests.bench.receiver import receiving
from tests.bench.server import serving
from tests.bench.setting import Setting
from tests.bench.traffic import singles

GOAL_GROWTH = 1.1
FEW, MANY, VERY_MANY = 10_000, 1_000_000, 10_000_000
# Nothing of what is filled in waits, so nothing goes there.
NOWHERE = "http://127.0.0.1:1/hooks"


def stored(setting: Setting) -> list[Section]:
    """10,000 and 1,000,000 stored deliveries."""
    return _growth(setting, "stored", (FEW, MANY))


def stored_long(setting: Setting) -> list[Section]:
    """10,000 and 10,000,000: filling takes a quarter of an hour and some 10 GB."""
    return _growth(setting, "stored_long", (FEW, VERY_MANY))


def _growth(setting: Setting, name: str, counts: Sequence[int]) -> list[Section]:
    few, many = (_filled(setting, f"{name}-{count}", count) for count in counts)
    pairs = [(_cost(setting, few), _cost(setting, many)) for _ in range(setting.amounts.rounds)]
    for folder in (few, many):
        rmtree(folder)
    return [
        Section(
            name=name,
            title=f"Cost of an event with {counts[0]:,} and with {counts[1]:,} stored deliveries",
            figures=[
                figure(f"{counts[0]:,} stored", "µs/event", [before for before, _ in pairs]),
                figure(f"{counts[1]:,} stored", "µs/event", [after for _, after in pairs]),
                figure("growth", "×", [after / before for before, after in pairs], GOAL_GROWTH),
            ],
            notes=[
                "CPU of the server, publish to recorded delivery, the two in turn. Stored: an event, a "
                "delivered delivery and an attempt each, of 20 businesses, over 30 days."
            ],
        )
    ]


def _filled(setting: Setting, name: str, count: int) -> Path:
    folder = setting.folder / name
    fill(folder / "data", count, NOWHERE, retrying=False)
    return folder


def _cost(setting: Setting, folder: Path) -> float:
    """µs of CPU per event. What a run adds stays: it is little beside what is there."""
    amounts = setting.amounts
    with serving(setting, folder) as server, receiving(setting.cores.receiver, folder) as receiver:
        requests = singles(server.subscribed_doors(receiver))
        with connected(server.port, requests, setting.connections) as load:
            load.run(0, amounts.warm_up)
            server.wait_recorded(receiver, amounts.warm_up, amounts.warm_up)
            before = cpu_seconds(server.pid)
            load.run(amounts.warm_up, amounts.events)
            total = amounts.warm_up + amounts.events
            server.wait_recorded(receiver, total, total)
            return (cpu_seconds(server.pid) - before) / amounts.events * 1e6
