"""The floor: what an event costs with nothing but its parts, in µs of CPU.

An echo of the publish by bare uvicorn, one commit per 100 events, one POST by libcurl, one HMAC. A
whole server can come near their sum; it cannot go below.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.bench.bare import bare_server
from tests.bench.children import ALL_CORES, BenchError, cpu_seconds, module_command, on_cores
from tests.bench.figures import Figure, Section, figure
from tests.bench.load import connected
from tests.bench.receiver import receiving
from tests.bench.setting import Setting
from tests.bench.traffic import Door, singles

PART_SECONDS = 300


class Floor(NamedTuple):
    """µs of CPU per event."""

    echo: float
    commit: float
    post: float
    hmac: float

    @property
    def total(self) -> float:
        return sum(self)


def floor(setting: Setting) -> list[Section]:
    floors = [measure_floor(setting, str(number)) for number in range(max(setting.amounts.rounds, 2))]
    return [Section(name="floor", title="The floor", figures=floor_figures(floors))]


def measure_floor(setting: Setting, name: str) -> Floor:
    """`name` tells the files of one measurement from those of another."""
    folder = setting.folder / f"floor-{name}"
    folder.mkdir()
    events, core = setting.amounts.floor_events, setting.cores.server
    with receiving(setting.cores.receiver, folder) as receiver:
        post = _part(core, "post", receiver.url, events)
    return Floor(
        echo=_echo(setting, folder),
        commit=_part(core, "commit", folder / "floor.db", events),
        post=post,
        hmac=_part(core, "hmac", events),
    )


def floor_figures(floors: list[Floor]) -> list[Figure]:
    """Each part and the sum; the spread is that between the measurements."""
    parts = {
        "HTTP echo by bare uvicorn": [one.echo for one in floors],
        "rows, one commit per 100 events": [one.commit for one in floors],
        "POST by libcurl": [one.post for one in floors],
        "HMAC-SHA256": [one.hmac for one in floors],
        "floor": [one.total for one in floors],
    }
    return [figure(name, "µs/event", values) for name, values in parts.items()]


def _echo(setting: Setting, folder: Path) -> float:
    events = setting.amounts.floor_events
    with bare_server(setting.cores.server, folder, "echo") as server:
        door = Door("127.0.0.1", server.port, "/api/v1/business/1/events", "k" * 40)
        with connected(server.port, singles([door]), setting.connections) as load:
            load.run(0, max(events // 10, setting.connections))
            before = cpu_seconds(server.pid)
            load.run(0, events)
            return (cpu_seconds(server.pid) - before) / events * 1e6


def _part(core: int, part: str, *arguments: str | int | Path) -> float:
    command = module_command("floor_parts", part, *map(str, arguments))
    with on_cores({core} & ALL_CORES):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PART_SECONDS, check=False)
    if done.returncode != 0:
        raise BenchError(f"the floor's part {part} failed:\n{done.stderr[-2_000:]}")
    return float(done.stdout)
