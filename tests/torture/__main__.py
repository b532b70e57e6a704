"""`make torture`: blow after blow under load, counted from outside.

Each round something is done to the server at a random moment while events are published: SIGKILL, SIGTERM,
SIGSTOP, a step of its clock, a full disk. The publisher's and the receiver's own ledgers decide. Sends to
127.0.0.1 only. A small file system needs root; several processes have no stepped clock.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.e2e.processes import Scene, Server, stop, wait_until
from tests.torture.blows import Target, kill, kill_one, possible
from tests.torture.small_disk import small_disk
from tests.torture.stepped import VARIABLE, SteppedClock

WINDOW = 1_000
DISK_MEBIBYTES = 768
LOAD_SECONDS, SETTLE_SECONDS = 120.0, 300.0


@dataclass(frozen=True)
class Verdict:
    """What a run came to. `lost` must be 0; `repeated` at most what was in flight at the kills."""

    blows: dict[str, int]
    acknowledged: int
    received: int
    repeated: int
    lost: int
    dead: int
    seconds: float
    slowest_recovery_seconds: float

    @property
    def good(self) -> bool:
        kills = self.blows.get(kill.__name__, 0) + self.blows.get(kill_one.__name__, 0)
        return self.lost == 0 and self.dead == 0 and self.repeated <= (kills + 1) * WINDOW


def torture(folder: Path, rounds: int, rate: int, seed: int, *, disk: bool, processes: int) -> Verdict:
    random, blows, slowest = Random(seed), Counter[str](), 0.0
    began = time.monotonic()
    with _target(folder, random, disk=disk, processes=processes) as target:
        scene = target.scene
        publisher = scene.publish(rate=rate)
        for number in range(1, rounds + 1):
            _load(scene, random)
            weighted = possible(target)
            blow = random.choices([*weighted], [*weighted.values()])[0]
            started = time.monotonic()
            blow(target)
            slowest = max(slowest, time.monotonic() - started)
            blows[blow.__name__] += 1
            print(f"{number} of {rounds}: {blow.__name__}; {len(scene.acknowledged())} accepted", flush=True)
        stop(publisher, signal.SIGINT)
        if target.clock is not None:
            target.clock.step_to(0)
        scene.wait_until_settled(SETTLE_SECONDS)
        received = scene.received()
        return Verdict(
            blows=dict(blows),
            acknowledged=len(scene.acknowledged()),
            received=len(received),
            repeated=sum(times - 1 for times in received.values()),
            lost=len(scene.missing()),
            dead=scene.server.states(scene.business_id)["dead"],
            seconds=round(time.monotonic() - began, 1),
            slowest_recovery_seconds=round(slowest, 2),
        )


@contextmanager
def _target(folder: Path, random: Random, *, disk: bool, processes: int) -> Iterator[Target]:
    with ExitStack() as stack:
        small = stack.enter_context(small_disk(folder / "disk", DISK_MEBIBYTES)) if disk else None
        place = (small.folder if small else folder) / "server"
        server = Server(place, environment={"RINGBACK_LOG_LEVEL": "warning"})
        clock = None
        if processes > 1:
            server.options = ["--processes", str(processes)]
        else:
            clock = SteppedClock(folder / "clock")
            server.module = "tests.torture.stepped"
            server.environment[VARIABLE] = str(folder / "clock")
        scene = stack.enter_context(Scene(folder, sink_options=["--delay", "20ms"], prepared=server))
        yield Target(scene, random, clock, small, processes)


def _load(scene: Scene, random: Random) -> None:
    before, wanted = len(scene.acknowledged()), random.randint(50, 1_000)
    wait_until(f"{wanted} more events", lambda: len(scene.acknowledged()) >= before + wanted, LOAD_SECONDS)
    time.sleep(random.uniform(0, 0.1))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--rate", type=int, default=800, help="events per second")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--disk", action="store_true", help="on a small file system that is filled; needs root"
    )
    given = parser.parse_args()
    print(f"seed {given.seed}, {platform.platform()}, Python {platform.python_version()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ringback-torture-") as folder:
        verdict = torture(
            Path(folder), given.rounds, given.rate, given.seed, disk=given.disk, processes=given.processes
        )
    print(json.dumps(asdict(verdict), indent=2))
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
