"""Latency at half the maximum rate, publish sent → received, against a relay that stores nothing.

Both servers share one core and take turns, so that each is idle while the other works.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench.bare import bare_server
from tests.bench.children import BenchError
from tests.bench.figures import Figure, Section, figure, percentile
from tests.bench.openloop import Sent, poisson, publish
from tests.bench.receiver import Arrivals, Receiver, receiving
from tests.bench.server import serving
from tests.bench.setting import Setting
from tests.bench.traffic import Door, Requests, singles
from tests.bench.whole_path import one_round

GOAL_P50_MS, GOAL_P99_MS = 10.0, 50.0
GOAL_TIMES_RELAY = 3.0
WARM_UP_SECONDS = 1.0
ARRIVAL_SECONDS = 60.0
SYNCS, SYNCED_BYTES = 200, 16 * 1024


class Turn(NamedTuple):
    """One server's turn: percentiles of the latency, and how late the generator itself was, in ms."""

    p50: float
    p99: float
    most: float
    late_p99: float


def latency(setting: Setting) -> list[Section]:
    rate = _maximum(setting) / 2
    ours: list[Turn] = []
    relays: list[Turn] = []
    folder = setting.folder / "latency"
    with (
        serving(setting, folder) as server,
        receiving(setting.cores.receiver, folder) as receiver,
        bare_server(setting.cores.server, folder, "relay", receiver.url) as relay,
    ):
        our_requests = singles(server.subscribed_doors(receiver))
        relay_requests = singles([Door("127.0.0.1", relay.port, "/api/v1/business/1/events", "k" * 40)] * 20)
        for port, requests in ((relay.port, relay_requests), (server.port, our_requests)):
            _turn(receiver, port, requests, poisson(rate, WARM_UP_SECONDS, seed=0))
        for number in range(1, setting.amounts.rounds + 1):
            offsets = poisson(rate, setting.amounts.latency_seconds, seed=number)
            relays.append(_turn(receiver, relay.port, relay_requests, offsets))
            ours.append(_turn(receiver, server.port, our_requests, offsets))
    syncs = sync_ms(setting.folder / "synced")
    return [
        Section(
            name="latency",
            title=f"Latency at half the maximum rate: {rate:.0f} events/s",
            figures=[*_figures(ours, relays), figure("one fdatasync of 16 KiB", "ms", syncs)],
            notes=[
                f"Open loop, Poisson arrivals, {setting.amounts.latency_seconds:.0f} s a turn, relay and "
                "ringback in turn on the same arrivals; counted from the moment a publish was meant to be "
                "sent, also where the generator was late (shown), to the moment the receiver had read it "
                "(CLOCK_MONOTONIC)."
            ],
        )
    ]


def _maximum(setting: Setting) -> float:
    """Events per second of the whole path: as found before, or from a round of its own."""
    if setting.found_rate is None:
        found = one_round(setting, "rate", with_event_id=False)
        setting.found_rate = setting.amounts.events / found.seconds
    return setting.found_rate


def _turn(receiver: Receiver, port: int, requests: Sequence[Requests], offsets: Sequence[float]) -> Turn:
    receiver.reset()
    sent = publish(port, requests, 0, offsets)
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while receiver.count() < len(offsets):
        if time.monotonic() > deadline:
            raise BenchError(f"only {receiver.count()} of {len(offsets)} events arrived")
        time.sleep(0.01)
    ordered = sorted(latencies_ms(sent, receiver.arrivals()))
    late = sorted(_differences_ms(sent.intended, sent.actual))
    return Turn(percentile(ordered, 0.5), percentile(ordered, 0.99), ordered[-1], percentile(late, 0.99))


def latencies_ms(sent: Sent, arrivals: Arrivals) -> list[float]:
    """Raises BenchError where an event came twice or was never sent."""
    if sorted(arrivals.numbers) != list(range(sent.first, sent.first + len(sent.intended))):
        raise BenchError("what arrived is not what was sent, once each")
    pairs = zip(arrivals.numbers, arrivals.times, strict=True)
    return [(at - sent.intended[number - sent.first]) * 1000 for number, at in pairs]


def sync_ms(path: Path) -> list[float]:
    """What this disk asks for one promise: the part of the latency that a relay does not have."""
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(SYNCED_BYTES))
            start = time.monotonic()
            os.fdatasync(file.fileno())
            taken.append((time.monotonic() - start) * 1000)
    return taken


def _differences_ms(before: array[float], after: array[float]) -> list[float]:
    return [(late - early) * 1000 for early, late in zip(before, after, strict=True)]


def _figures(ours: list[Turn], relays: list[Turn]) -> list[Figure]:
    pairs = list(zip(ours, relays, strict=True))
    return [
        figure("relay p50", "ms", [one.p50 for one in relays]),
        figure("relay p99", "ms", [one.p99 for one in relays]),
        figure("p50", "ms", [one.p50 for one in ours], GOAL_P50_MS),
        figure("p99", "ms", [one.p99 for one in ours], GOAL_P99_MS),
        figure("p50 to the relay's", "×", [one.p50 / relay.p50 for one, relay in pairs], GOAL_TIMES_RELAY),
        figure("p99 to the relay's", "×", [one.p99 / relay.p99 for one, relay in pairs], GOAL_TIMES_RELAY),
        figure("longest", "ms", [one.most for one in ours]),
        figure("generator late, p99", "ms", [one.late_p99 for one in ours]),
        figure("generator late at the relay, p99", "ms", [one.late_p99 for one in relays]),
    ]
