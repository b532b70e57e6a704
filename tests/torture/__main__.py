"""`make torture`: the kill loop at length, counted from outside.

Each round the server is killed with SIGKILL at a random moment under load, or drained with SIGTERM, and
started again; the publisher's and the receiver's own ledgers decide. Sends to 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from tests.e2e.processes import Scene, stop, wait_until

WINDOW = 1_000


@dataclass(frozen=True)
class Verdict:
    """What a run came to. `lost` must be 0; `repeated` at most what was in flight at the kills."""

    kills: int
    drains: int
    acknowledged: int
    received: int
    repeated: int
    lost: int
    dead: int
    seconds: float
    slowest_start_seconds: float

    @property
    def good(self) -> bool:
        return self.lost == 0 and self.dead == 0 and self.repeated <= self.kills * WINDOW


def torture(folder: Path, rounds: int, rate: int, seed: int) -> Verdict:
    random = Random(seed)
    began, slowest, kills, drains = time.monotonic(), 0.0, 0, 0
    with Scene(folder, sink_options=["--delay", "20ms"]) as scene:
        publisher = scene.publish(rate=rate)
        for number in range(1, rounds + 1):
            _load(scene, random)
            if random.random() < 0.1:
                scene.server.drain()
                drains += 1
            else:
                scene.server.kill()
                kills += 1
            started = time.monotonic()
            scene.server.start()
            slowest = max(slowest, time.monotonic() - started)
            print(f"round {number} of {rounds}: {len(scene.acknowledged())} acknowledged", flush=True)
        stop(publisher, signal.SIGINT)
        scene.wait_until_settled(120)
        received = scene.received()
        return Verdict(
            kills=kills,
            drains=drains,
            acknowledged=len(scene.acknowledged()),
            received=len(received),
            repeated=sum(times - 1 for times in received.values()),
            lost=len(scene.missing()),
            dead=scene.server.states(scene.business_id)["dead"],
            seconds=round(time.monotonic() - began, 1),
            slowest_start_seconds=round(slowest, 2),
        )


def _load(scene: Scene, random: Random) -> None:
    before, wanted = len(scene.acknowledged()), random.randint(50, 1_000)
    wait_until(f"{wanted} more events", lambda: len(scene.acknowledged()) >= before + wanted, 60)
    time.sleep(random.uniform(0, 0.1))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--rate", type=int, default=800, help="events per second")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {platform.platform()}, Python {platform.python_version()}", flush=True)
    with tempfile.TemporaryDirectory(prefix="ringback-torture-") as folder:
        verdict = torture(Path(folder), arguments.rounds, arguments.rate, arguments.seed)
    print(json.dumps(asdict(verdict), indent=2))
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
