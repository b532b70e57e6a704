"""Noisy neighbours: half of the traffic goes to endpoints that do harm; what does the other half feel?

Each kind of harm is measured beside a turn in which that half goes to a receiver that behaves.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from tests.bench.children import BenchError, free_port
from tests.bench.figures import Figure, Section, figure, percentile
from tests.bench.openloop import poisson, publish
from tests.bench.receiver import Receiver, receiving
from tests.bench.rude import KINDS, rude
from tests.bench.server import BUSINESSES, Ringback, serving
from tests.bench.setting import Setting
from tests.bench.traffic import Door, Requests, singles

GOAL_P99_CHANGE = 1.1
# Of what a core can carry: as much as leaves the generator and the receivers theirs.
RATE = 2_000.0
DEAD_ENDPOINTS = 1_000
ARRIVAL_SECONDS = 60.0


class Turn(NamedTuple):
    """The healthy half's latency, in ms."""

    p50: float
    p99: float


def isolation(setting: Setting) -> list[Section]:
    found = {kind: _compare(setting, kind) for kind in (*KINDS, "dead")}
    return [
        Section(
            name="isolation",
            title=f"Noisy neighbours: {RATE:.0f} events/s, half of them to endpoints that do harm",
            figures=[one for kind, turns in found.items() for one in _figures(kind, *turns)],
            notes=[
                f"Latency of the healthy half, publish sent → received; open loop, {_seconds(setting):.0f} s "
                "a turn, a new server each. `hang` never answers, `slow` answers after 4.9 s, `reset` cuts "
                f"the connection, `dead` is {DEAD_ENDPOINTS:,} integrations where nobody listens. The "
                "comparison is a turn in which that half goes to a receiver that answers at once."
            ],
        )
    ]


def _seconds(setting: Setting) -> float:
    return setting.amounts.latency_seconds


def _compare(setting: Setting, kind: str) -> tuple[list[Turn], list[Turn]]:
    calm, noisy = [], []
    for number in range(max(setting.amounts.rounds // 2, 1)):
        calm.append(_turn(setting, f"{kind}-calm-{number}", "calm"))
        noisy.append(_turn(setting, f"{kind}-noisy-{number}", kind))
    return calm, noisy


def _turn(setting: Setting, name: str, kind: str) -> Turn:
    folder = setting.folder / name
    with (
        serving(setting, folder) as server,
        receiving(setting.cores.receiver, folder) as receiver,
        _neighbours(setting, kind, server) as others,
    ):
        healthy = server.subscribed_doors(receiver)
        requests = [_alternating(singles(healthy), singles(others), place) for place in range(BUSINESSES)]
        _measure(receiver, server, requests, poisson(RATE, 1.0, seed=0), first=0)
        offsets = poisson(RATE, _seconds(setting), seed=1)
        return _measure(receiver, server, requests, offsets, first=0)


def _alternating(healthy: Sequence[Requests], others: Sequence[Requests], place: int) -> Requests:
    """Even numbers to the healthy, odd ones to the others, each in turn."""
    own = healthy[place % len(healthy)]
    return lambda number: others[number // 2 % len(others)](number) if number % 2 else own(number)


@contextmanager
def _neighbours(setting: Setting, kind: str, server: Ringback) -> Iterator[list[Door]]:
    with ExitStack() as stack:
        folder = setting.folder
        if kind == "calm":
            behaved = stack.enter_context(receiving(setting.cores.receiver, folder))
            yield server.subscribed_doors(behaved)
        elif kind == "dead":
            yield _subscribed(server, f"http://127.0.0.1:{free_port()}/hooks", DEAD_ENDPOINTS)
        else:
            yield _subscribed(server, stack.enter_context(rude(setting.cores.receiver, folder, kind)), 1)


def _subscribed(server: Ringback, url: str, endpoints: int) -> list[Door]:
    doors = [server.create_business(f"neighbour {number}") for number in range(endpoints)]
    for door in doors:
        server.subscribe(door, url)
    return doors


def _measure(
    receiver: Receiver, server: Ringback, requests: Sequence[Requests], offsets: Sequence[float], first: int
) -> Turn:
    receiver.reset()
    sent = publish(server.port, requests, first, offsets)
    expected = (len(offsets) + 1) // 2
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while receiver.count() < expected:
        if time.monotonic() > deadline:
            raise BenchError(f"only {receiver.count()} of {expected} healthy events arrived")
        time.sleep(0.01)
    arrivals = receiver.arrivals()
    pairs = zip(arrivals.numbers, arrivals.times, strict=True)
    ordered = sorted((at - sent.intended[number]) * 1000 for number, at in pairs)
    return Turn(percentile(ordered, 0.5), percentile(ordered, 0.99))


def _figures(kind: str, calm: Sequence[Turn], noisy: Sequence[Turn]) -> list[Figure]:
    pairs = list(zip(calm, noisy, strict=True))
    return [
        figure(f"{kind}: p99 beside a good neighbour", "ms", [one.p99 for one in calm]),
        figure(f"{kind}: p99", "ms", [one.p99 for one in noisy]),
        figure(f"{kind}: p99 to the calm one", "×", [b.p99 / a.p99 for a, b in pairs], GOAL_P99_CHANGE),
        figure(f"{kind}: p50 to the calm one", "×", [b.p50 / a.p50 for a, b in pairs]),
    ]
