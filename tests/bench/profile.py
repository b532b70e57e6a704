"""Where the µs of an event go: by thread, by part, by what is beneath a function, and by line."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from linecache import getline
from pathlib import Path

import msgspec

from tests.bench.children import BenchError, module_command
from tests.bench.figures import Figure, Section, figure
from tests.bench.load import connected
from tests.bench.receiver import receiving
from tests.bench.sampler import Samples, Stack
from tests.bench.server import serving
from tests.bench.setting import Setting
from tests.bench.traffic import singles

WRITE_SECONDS = 30.0
LONGEST_LIST = 40
SHOWN_SOURCE = 70
LEAST_US = 0.3
_LOOP = "asyncio.runners"


def profile(setting: Setting) -> list[Section]:
    samples = _take(setting)
    per_event = 1e6 / setting.amounts.events
    return [
        Section(
            name="profile.threads",
            title="CPU by thread",
            figures=_thread_figures(samples, per_event),
            notes=[
                "The whole path, observed: the main thread by a sample every 2 ms, the others by timing "
                "SQLite's statements. What the samples cost is left out."
            ],
        ),
        _listed("parts", "Main thread: CPU by the package or module at work", samples, _part, per_event),
        Section(
            name="profile.beneath",
            title="Main thread: CPU by function, with all that is beneath it",
            figures=_beneath(samples.stacks, per_event),
        ),
        _listed("lines", "Main thread: CPU by line, with the C code it calls", samples, _line, per_event),
        Section(
            name="profile.statements",
            title="Other threads: CPU by SQL statement",
            figures=_statement_figures(samples, per_event),
        ),
    ]


def _take(setting: Setting) -> Samples:
    amounts, folder = setting.amounts, setting.folder / "profile"
    path = folder / "samples.json"
    launcher = module_command("sampler", str(path))
    with (
        serving(setting, folder, launcher=launcher) as server,
        receiving(setting.cores.receiver, folder) as receiver,
        connected(server.port, singles(server.subscribed_doors(receiver)), setting.connections) as load,
    ):
        load.run(0, amounts.warm_up)
        server.wait_recorded(receiver, amounts.warm_up, amounts.warm_up)
        os.kill(server.pid, signal.SIGUSR1)
        load.run(amounts.warm_up, amounts.events)
        everything = amounts.warm_up + amounts.events
        server.wait_recorded(receiver, everything, everything)
        os.kill(server.pid, signal.SIGUSR2)
        return _read(path)


def _read(path: Path) -> Samples:
    deadline = time.monotonic() + WRITE_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise BenchError("the sampler wrote nothing")
        time.sleep(0.01)
    return msgspec.json.decode(path.read_bytes(), type=Samples)


def _thread_figures(samples: Samples, per_event: float) -> list[Figure]:
    """Of each thread, and how much of that in the kernel and in Python's garbage collector."""
    figures = [figure("all threads", "µs/event", samples.seconds * per_event)]
    for thread in sorted(samples.threads, key=lambda one: -one.seconds):
        if thread.seconds * per_event >= LEAST_US:
            figures.append(figure(thread.name, "µs/event", thread.seconds * per_event))
            figures.append(figure(f"{thread.name}, in the kernel", "µs/event", thread.in_kernel * per_event))
            figures.append(
                figure(f"{thread.name}, in the collector", "µs/event", thread.collecting * per_event)
            )
    known = sum(thread.seconds for thread in samples.threads)
    return [
        *figures,
        figure("threads that are not Python's", "µs/event", (samples.seconds - known) * per_event),
    ]


def _listed(
    name: str, title: str, samples: Samples, key: Callable[[Stack], str], per_event: float
) -> Section:
    used: defaultdict[str, float] = defaultdict(float)
    for stack in samples.stacks:
        used[key(stack)] += stack.seconds
    return Section(name=f"profile.{name}", title=title, figures=_largest(used.items(), per_event))


def _largest(used: Iterable[tuple[str, float]], per_event: float) -> list[Figure]:
    ordered = sorted(used, key=lambda pair: -pair[1])[:LONGEST_LIST]
    return [
        figure(name, "µs/event", seconds * per_event)
        for name, seconds in ordered
        if seconds * per_event >= LEAST_US
    ]


def _statement_figures(samples: Samples, per_event: float) -> list[Figure]:
    """The statements, and what else the threads did that ran them: Python, for the most part."""
    statements = [(f"{one.thread}: {one.sql}", one.seconds) for one in samples.statements]
    inside = sum(seconds for _, seconds in statements)
    names = {one.thread for one in samples.statements}
    everything = sum(thread.seconds for thread in samples.threads if thread.name in names)
    rest = figure("around the statements", "µs/event", (everything - inside) * per_event)
    return [*_largest(statements, per_event), rest]


def _part(stack: Stack) -> str:
    """A module of ringback's; of others the package; the loop where nothing else was running."""
    module = stack.places[0].partition(":")[0]
    if module == _LOOP:
        return "event loop: uvloop, libuv, their system calls"
    return module if module.startswith("ringback.") else module.partition(".")[0]


def _line(stack: Stack) -> str:
    file, _, number = stack.line.rpartition(":")
    if stack.places[0].startswith(_LOOP):
        return "(event loop)"
    source = getline(file, int(number)).strip()[:SHOWN_SOURCE]
    return f"{stack.places[0].removeprefix('ringback.')}:{number}  {source}"


def _beneath(stacks: list[Stack], per_event: float) -> list[Figure]:
    used: defaultdict[str, float] = defaultdict(float)
    for stack in stacks:
        for place in set(stack.places):
            if place.startswith("ringback."):
                used[place] += stack.seconds
    return _largest(used.items(), per_event)
