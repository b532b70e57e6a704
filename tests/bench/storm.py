"""A million retries that fall due at once, and what healthy traffic feels of them."""

from __future__ import annotations

from collections.abc import Sequence
from shutil import rmtree
from typing import NamedTuple

from tests.bench.children import BenchError, cpu_seconds, memory_bytes
from tests.bench.figures import Section, figure, percentile
from tests.bench.filled import FIRST_NUMBER, fill
from tests.bench.footprint import GOAL_LOADED_MIB, MIB
from tests.bench.openloop import Sent, poisson, publish
from tests.bench.receiver import Arrivals, Receiver, receiving
from tests.bench.server import Ringback, serving
from tests.bench.setting import Setting
from tests.bench.traffic import Requests, singles

GOAL_P99 = 2.0
RETRIES, FEW_RETRIES = 1_000_000, 50_000
HEALTHY_RATE = 500.0
TURN_SECONDS = 5.0
MAX_TURNS = 200


class Ride(NamedTuple):
    """Latencies of healthy events in ms, each in order: while the retries drained, and after."""

    stormy: list[float]
    calm: list[float]
    drain_seconds: float
    cpu_us: float
    memory_mib: float


def storm(setting: Setting) -> list[Section]:
    retries = RETRIES if setting.amounts.rounds > 1 else FEW_RETRIES
    folder = setting.folder / "storm"
    folder.mkdir()
    with receiving(setting.cores.receiver, folder) as receiver:
        fill(folder / "data", retries, receiver.url, retrying=True)
        with serving(setting, folder) as server:
            ride = _ride(setting, server, receiver, retries)
    rmtree(folder)
    calm, stormy = percentile(ride.calm, 0.99), percentile(ride.stormy, 0.99)
    return [
        Section(
            name="storm",
            title=f"{retries:,} retries due at once, beside {HEALTHY_RATE:.0f} healthy events/s",
            figures=[
                figure("retries delivered", "per second", retries / ride.drain_seconds),
                figure("CPU until they were", "µs/retry", ride.cpu_us),
                figure("healthy p99 after", "ms", calm),
                figure("healthy p99 meanwhile", "ms", stormy),
                figure("healthy p99 meanwhile to after", "×", stormy / calm, GOAL_P99),
                figure("most memory", "MiB", ride.memory_mib, GOAL_LOADED_MIB),
            ],
            notes=[
                "The retries wait in 20 integrations of a receiver that answers at once, and are due when "
                "the server starts. Healthy events go to 20 others; latency from the publish to the receipt. "
                "CPU is the server's, the healthy events' share included."
            ],
        )
    ]


def _ride(setting: Setting, server: Ringback, receiver: Receiver, retries: int) -> Ride:
    before = cpu_seconds(server.pid)
    requests = singles(server.subscribed_doors(receiver))
    turns: list[Sent] = []
    # What was published last may not be recorded yet.
    while server.delivered() < retries + _published(turns[:-1]):
        if len(turns) == MAX_TURNS:
            raise BenchError(f"{server.delivered()} of {retries} retries were delivered")
        turns.append(_publish(server, requests, turns, TURN_SECONDS))
    server.wait_recorded(receiver, 0, retries + _published(turns))
    used = cpu_seconds(server.pid) - before
    calm = _publish(server, requests, turns, setting.amounts.latency_seconds)
    server.wait_recorded(receiver, 0, retries + _published([*turns, calm]))
    arrivals = receiver.arrivals()
    drained = [at for number, at in zip(*arrivals, strict=True) if number >= FIRST_NUMBER]
    # The last turns may have outlived the storm.
    stormy = [one for one in turns if one.intended[-1] <= drained[-1]] or turns[:1]
    return Ride(
        stormy=_latencies_ms(stormy, arrivals),
        calm=_latencies_ms([calm], arrivals),
        drain_seconds=drained[-1] - drained[0],
        cpu_us=used / retries * 1e6,
        memory_mib=memory_bytes(server.pid, "VmHWM") / MIB,
    )


def _published(turns: Sequence[Sent]) -> int:
    return sum(len(one.intended) for one in turns)


def _publish(server: Ringback, requests: Sequence[Requests], before: Sequence[Sent], seconds: float) -> Sent:
    offsets = poisson(HEALTHY_RATE, seconds, seed=len(before))
    return publish(server.port, requests, _published(before), offsets)


def _latencies_ms(turns: Sequence[Sent], arrivals: Arrivals) -> list[float]:
    intended = {number: moment for turn in turns for number, moment in enumerate(turn.intended, turn.first)}
    found = [
        (at - intended[number]) * 1000 for number, at in zip(*arrivals, strict=True) if number in intended
    ]
    if len(found) != len(intended):
        raise BenchError(f"{len(found)} healthy events arrived of {len(intended)}")
    return sorted(found)
