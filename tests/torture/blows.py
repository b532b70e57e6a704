"""What is done to a server under load. Each blow returns when the server is ready again."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import psutil

from tests.e2e.processes import Scene, wait_until
from tests.torture.small_disk import SmallDisk
from tests.torture.stepped import SteppedClock

READY_SECONDS = 30.0
LONGEST_STEP_SECONDS = 90.0


@dataclass
class Target:
    """A scene under load, and what can be done to its server; None where it cannot."""

    scene: Scene
    random: Random
    clock: SteppedClock | None
    disk: SmallDisk | None
    processes: int


Blow = Callable[[Target], None]


def kill(target: Target) -> None:
    """SIGKILL: the server, or all its processes at once."""
    for child in _children(target):
        child.kill()
    target.scene.server.kill()
    target.scene.server.start()


def drain(target: Target) -> None:
    code = target.scene.server.drain()
    if code != 0:
        raise AssertionError(f"a drain ended with {code}")
    target.scene.server.start()


def kill_one(target: Target) -> None:
    """One of several processes: the others go on, and it is started again."""
    target.random.choice(_children(target)).kill()
    wait_until("all processes are back", lambda: len(_children(target)) == target.processes, READY_SECONDS)
    _ready(target)


def freeze(target: Target) -> None:
    """SIGSTOP and, later, SIGCONT: of one process where there are several."""
    server = target.scene.server.process
    assert server is not None
    frozen = target.random.choice(_children(target)) if target.processes > 1 else psutil.Process(server.pid)
    frozen.send_signal(signal.SIGSTOP)
    time.sleep(target.random.uniform(1, 8))
    frozen.send_signal(signal.SIGCONT)
    _ready(target)


def step_clock(target: Target) -> None:
    assert target.clock is not None
    target.clock.step_to(target.random.uniform(-LONGEST_STEP_SECONDS, LONGEST_STEP_SECONDS))
    _ready(target)


def fill_disk(target: Target) -> None:
    assert target.disk is not None
    target.disk.fill()
    time.sleep(target.random.uniform(1, 4))
    target.disk.free()
    _ready(target)


def possible(target: Target) -> dict[Blow, int]:
    """Each with its weight."""
    chosen: dict[Blow, int] = {kill: 10, drain: 2, freeze: 2}
    if target.processes > 1:
        chosen[kill_one] = 10
    if target.clock is not None:
        chosen[step_clock] = 4
    if target.disk is not None:
        chosen[fill_disk] = 4
    return chosen


def _children(target: Target) -> list[psutil.Process]:
    """The processes that serve, where the started one only watches over them."""
    server = target.scene.server.process
    assert server is not None
    if target.processes == 1:
        return []
    return [one for one in psutil.Process(server.pid).children() if one.status() != psutil.STATUS_ZOMBIE]


def _ready(target: Target) -> None:
    wait_until("the server is ready again", target.scene.server.is_ready, READY_SECONDS)
