"""The whole path: publish → commit → signed delivery → recorded, in one process, as fast as it goes."""

from __future__ import annotations

import time
from typing import NamedTuple

from tests.bench.children import BenchError, context_switches, cpu_seconds
from tests.bench.figures import Figure, Section, figure
from tests.bench.floor import Floor, floor_figures, measure_floor
from tests.bench.load import connected
from tests.bench.receiver import Receiver, receiving
from tests.bench.server import BUSINESSES, Ringback, serving
from tests.bench.setting import Setting
from tests.bench.traffic import singles

GOAL_TIMES_FLOOR = 2.0


class Round(NamedTuple):
    """`backlog` is what was accepted and not yet received when the last publish was answered.

    Shares are of one core, 1 for all of it: the server's, and that of load and receiver together.
    """

    seconds: float
    cpu_us: float
    share: float
    load_share: float
    backlog: int
    switches: float
    events_per_commit: float


class _Used(NamedTuple):
    """So far: CPU seconds, context switches, and the moment."""

    server: float
    load: float
    switches: int
    at: float

    @classmethod
    def by(cls, server: Ringback, receiver: Receiver) -> _Used:
        load = time.process_time() + cpu_seconds(receiver.pid)
        return cls(cpu_seconds(server.pid), load, context_switches(server.pid), time.monotonic())


def whole_path(setting: Setting) -> list[Section]:
    before = measure_floor(setting, "before")
    plain, known = [], []
    for number in range(setting.amounts.rounds):
        plain.append(one_round(setting, f"whole-{number}", with_event_id=False))
        known.append(one_round(setting, f"whole-id-{number}", with_event_id=True))
    floors = [before, measure_floor(setting, "after")]
    setting.found_rate = figure("", "", _rates(setting, plain)).value.median
    return [
        Section(
            name="whole_path",
            title="Whole path, SQLite, one process on one core",
            figures=[
                *floor_figures(floors),
                *_figures(setting, "generated EventId", plain, floors),
                *_figures(setting, "given EventId", known, floors),
            ],
            notes=[
                f"{setting.amounts.events} events a round after {setting.amounts.warm_up}, a new server and "
                f"database each; {setting.connections} publishing connections, one request at a time each; "
                f"{BUSINESSES} businesses with one integration each; every default.",
                "Events per second count from the first publish until the last delivery is recorded. "
                "The ratio is to the mean of the two floors, which were measured before and after. "
                "Where the server's core is not full, commits were waited for.",
            ],
        )
    ]


def one_round(setting: Setting, name: str, *, with_event_id: bool) -> Round:
    """Raises BenchError where an event did not arrive exactly once."""
    amounts, folder = setting.amounts, setting.folder / name
    with serving(setting, folder) as server, receiving(setting.cores.receiver, folder) as receiver:
        requests = singles(server.subscribed_doors(receiver), with_event_id=with_event_id)
        with connected(server.port, requests, setting.connections) as load:
            load.run(0, amounts.warm_up)
            server.wait_recorded(receiver, amounts.warm_up, amounts.warm_up)
            receiver.reset()
            before = _Used.by(server, receiver)
            load.run(amounts.warm_up, amounts.events)
            backlog = amounts.events - receiver.count()
            server.wait_recorded(receiver, amounts.events, amounts.warm_up + amounts.events)
            after = _Used.by(server, receiver)
            events_per_commit = server.events_per_commit()
        numbers = receiver.arrivals().numbers
    if sorted(numbers) != list(range(amounts.warm_up, amounts.warm_up + amounts.events)):
        raise BenchError(
            f"{len(numbers)} deliveries of {len(set(numbers))} events arrived of {amounts.events}"
        )
    return _round(before, after, amounts.events, backlog, events_per_commit)


def _round(before: _Used, after: _Used, events: int, backlog: int, events_per_commit: float) -> Round:
    seconds, cpu = after.at - before.at, after.server - before.server
    return Round(
        seconds=seconds,
        cpu_us=cpu / events * 1e6,
        share=cpu / seconds,
        load_share=(after.load - before.load) / seconds,
        backlog=backlog,
        switches=(after.switches - before.switches) / events,
        events_per_commit=events_per_commit,
    )


def _rates(setting: Setting, rounds: list[Round]) -> list[float]:
    return [setting.amounts.events / one.seconds for one in rounds]


def _figures(setting: Setting, name: str, rounds: list[Round], floors: list[Floor]) -> list[Figure]:
    floor = sum(one.total for one in floors) / len(floors)
    return [
        figure(f"{name}: throughput", "events/s", _rates(setting, rounds)),
        figure(f"{name}: CPU", "µs/event", [one.cpu_us for one in rounds]),
        figure(f"{name}: CPU to the floor", "×", [one.cpu_us / floor for one in rounds], GOAL_TIMES_FLOOR),
        figure(f"{name}: the server's core in use", "%", [one.share * 100 for one in rounds]),
        figure(f"{name}: load and receiver", "% of a core", [one.load_share * 100 for one in rounds]),
        figure(f"{name}: context switches", "per event", [one.switches for one in rounds]),
        figure(f"{name}: events per commit, mean", "events", [one.events_per_commit for one in rounds]),
        figure(f"{name}: backlog when publishing ended", "events", [float(one.backlog) for one in rounds]),
    ]
