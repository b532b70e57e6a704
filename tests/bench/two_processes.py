"""Two processes on one database: what an event costs, and how many go through, beside one process.

A machine with few cores is full then, load and receiver included, and on a full machine everything costs
more. Two servers on databases of their own, under the same load, show how much of it is that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import psutil

from tests.bench.children import BenchError, cpu_seconds
from tests.bench.figures import Section, figure
from tests.bench.load import Load, connected
from tests.bench.receiver import Receiver, receiving
from tests.bench.server import BUSINESSES, Ringback, ringback_command, serving
from tests.bench.setting import Setting
from tests.bench.traffic import Door, singles

GOAL_TIMES_ONE = 1.15
READY_SECONDS = 30.0
# What one process is told is in force in the others within a second.
FOLLOWED_SECONDS = 1.5


class Round(NamedTuple):
    cpu_us: float
    rate: float


class Stage(NamedTuple):
    """A server, and the connections that publish to it."""

    server: Ringback
    load: Load


def two_processes(setting: Setting) -> list[Section]:
    one, two, apart = [], [], []
    for number in range(setting.amounts.rounds):
        one.append(_round(setting, f"one-{number}", [1]))
        two.append(_round(setting, f"two-{number}", [2]))
        apart.append(_round(setting, f"apart-{number}", [1, 1]))
    times_one = [many.cpu_us / single.cpu_us for single, many in zip(one, two, strict=True)]
    times_apart = [many.cpu_us / single.cpu_us for single, many in zip(apart, two, strict=True)]
    gains = [many.rate / single.rate for single, many in zip(one, two, strict=True)]
    return [
        Section(
            name="two_processes",
            title="Two processes on one database",
            figures=[
                figure("one process: CPU", "µs/event", [each.cpu_us for each in one]),
                figure("two processes: CPU", "µs/event", [each.cpu_us for each in two]),
                figure("two servers, two databases: CPU", "µs/event", [each.cpu_us for each in apart]),
                figure("CPU, two processes to one", "×", times_one, GOAL_TIMES_ONE),
                figure("CPU, two processes to two servers", "×", times_apart),
                figure("one process: throughput", "events/s", [each.rate for each in one]),
                figure("two processes: throughput", "events/s", [each.rate for each in two]),
                figure("throughput, two processes to one", "×", gains),
            ],
            notes=[
                f"{setting.amounts.events} events a round after {setting.amounts.warm_up}, "
                f"{setting.connections} publishing connections in all; servers, load and receiver share "
                "all cores, unpinned, in every case. CPU is that of all processes of the server, its "
                "supervisor too. Events per second count from the first publish to the last one received.",
            ],
        )
    ]


def _round(setting: Setting, name: str, servers: Sequence[int]) -> Round:
    """`servers`: how many processes each has; each gets its share of the events. Raises BenchError."""
    amounts = setting.amounts
    with _staged(setting, name, servers) as (stages, receiver):
        _run(stages, 0, amounts.warm_up)
        _wait_received(receiver, amounts.warm_up)
        receiver.reset()
        before, began = _cpu_of(stages), time.monotonic()
        _run(stages, amounts.warm_up, amounts.events)
        _wait_received(receiver, amounts.events)
        seconds, used = time.monotonic() - began, _cpu_of(stages) - before
        numbers = receiver.arrivals().numbers
    if sorted(numbers) != list(range(amounts.warm_up, amounts.warm_up + amounts.events)):
        raise BenchError(f"{len(numbers)} deliveries of {amounts.events} events arrived")
    return Round(used / amounts.events * 1e6, amounts.events / seconds)


@contextmanager
def _staged(setting: Setting, name: str, servers: Sequence[int]) -> Iterator[tuple[list[Stage], Receiver]]:
    (setting.folder / name).mkdir()
    with ExitStack() as opened:
        receiver = opened.enter_context(receiving(setting.cores.receiver, setting.folder / name))
        stages = []
        for number, processes in enumerate(servers):
            folder = setting.folder / name / str(number)
            launcher = ["env", f"RINGBACK_PROCESSES={processes}", ringback_command()]
            server = opened.enter_context(serving(setting, folder, pinned=False, launcher=launcher))
            requests = singles(_followed_doors(server, receiver))
            connections = setting.connections // len(servers)
            load = opened.enter_context(connected(server.port, requests, connections))
            stages.append(Stage(server, load))
        yield stages, receiver


def _followed_doors(server: Ringback, receiver: Receiver) -> list[Door]:
    """Known to every process, whichever made them."""
    doors = [server.create_business(f"bench {number}") for number in range(BUSINESSES)]
    time.sleep(FOLLOWED_SECONDS)
    for door in doors:
        server.subscribe(door, receiver.url)
    time.sleep(FOLLOWED_SECONDS)
    return doors


def _run(stages: Sequence[Stage], first: int, events: int) -> None:
    share = events // len(stages)
    with ThreadPoolExecutor(len(stages)) as threads:
        runs = [
            threads.submit(stage.load.run, first + share * place, share) for place, stage in enumerate(stages)
        ]
        for run in runs:
            run.result()


def _wait_received(receiver: Receiver, events: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while receiver.count() < events:
        if time.monotonic() > deadline:
            raise BenchError(f"{receiver.count()} of {events} received")
        time.sleep(0.01)


def _cpu_of(stages: Sequence[Stage]) -> float:
    """Of the servers and their processes; one that was started again meanwhile counts from its start."""
    pids = [stage.server.pid for stage in stages]
    children = [child.pid for pid in pids for child in psutil.Process(pid).children()]
    return sum(map(cpu_seconds, [*pids, *children]))
