"""Memory, idle and under full load; and the time from a start to the first accepted event."""

from __future__ import annotations

import time

from tests.bench.children import memory_bytes
from tests.bench.figures import Section, figure
from tests.bench.load import connected
from tests.bench.receiver import receiving
from tests.bench.server import serving
from tests.bench.setting import Setting
from tests.bench.traffic import singles

MIB = 1024 * 1024
IDLE_SECONDS = 2.0
GOAL_IDLE_MIB, GOAL_LOADED_MIB = 120.0, 300.0
GOAL_START_SECONDS = 2.0


def memory(setting: Setting) -> list[Section]:
    folder, amounts = setting.folder / "memory", setting.amounts
    with serving(setting, folder) as server, receiving(setting.cores.receiver, folder) as receiver:
        time.sleep(IDLE_SECONDS)
        idle = memory_bytes(server.pid, "VmRSS") / MIB
        with connected(server.port, singles(server.subscribed_doors(receiver)), setting.connections) as load:
            load.run(0, amounts.events)
            server.wait_recorded(receiver, amounts.events, amounts.events)
        most = memory_bytes(server.pid, "VmHWM") / MIB
    return [
        Section(
            name="memory",
            title="Memory",
            figures=[
                figure("idle", "MiB", idle, GOAL_IDLE_MIB),
                figure("most under full load", "MiB", most, GOAL_LOADED_MIB),
            ],
            notes=[
                "Resident memory, shared libraries and the database's page cache included: "
                f"{IDLE_SECONDS:.0f} s after the start, and the most after {amounts.events} events."
            ],
        )
    ]


def startup(setting: Setting) -> list[Section]:
    seconds = [_start(setting, number) for number in range(setting.amounts.starts)]
    return [
        Section(
            name="startup",
            title="Start",
            figures=[figure("start to first accepted event", "s", seconds, GOAL_START_SECONDS)],
            notes=[
                "From starting the process on an empty folder, as a user does and on all cores, to the "
                "answer to the first publish; a business is made in between. Modules come from the page "
                "cache, compiled before."
            ],
        )
    ]


def _start(setting: Setting, number: int) -> float:
    begin = time.monotonic()
    with serving(setting, setting.folder / f"start-{number}", pinned=False) as server:
        door = server.create_business("first")
        with connected(server.port, singles([door]), connections=1) as load:
            load.run(0, 1)
            return time.monotonic() - begin
