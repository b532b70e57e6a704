"""The server is killed and broken under load; two ledgers outside say what became of the events."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from ringback.failpoint import ACTIONS, PLACES
from tests.e2e.processes import Scene, stop, wait_until

KILLS = 20
WINDOW = 1_000


def run_up(scene: Scene, events: int) -> None:
    """Until the publisher has been told of that many more."""
    before = len(scene.acknowledged())
    wait_until(f"{events} events accepted", lambda: len(scene.acknowledged()) >= before + events, 30)


@pytest.mark.timeout(240)
def test_twenty_kills_under_load_lose_nothing(tmp_path: Path) -> None:
    random = Random(20)
    with Scene(tmp_path) as scene:
        publisher = scene.publish(rate=400)
        for _ in range(KILLS):
            run_up(scene, random.randint(20, 200))
            time.sleep(random.uniform(0, 0.05))  # any moment will do, that is the point
            scene.server.kill()
            scene.server.start()
        stop(publisher, signal.SIGINT)
        scene.wait_until_settled()
        assert len(scene.acknowledged()) > KILLS * 20
        assert not scene.missing()
        again = sum(times - 1 for times in scene.received().values())
        assert again <= KILLS * WINDOW
        assert scene.server.states(scene.business_id)["dead"] == 0


@pytest.mark.timeout(120)
def test_sigterm_under_load_drains_and_the_next_start_has_nothing_to_rescue(tmp_path: Path) -> None:
    with Scene(tmp_path, sink_options=["--delay", "300ms"]) as scene:
        publisher = scene.publish(rate=300)
        run_up(scene, 200)
        assert scene.server.drain() == 0
        scene.server.start()
        run_up(scene, 100)
        stop(publisher, signal.SIGINT)
        scene.wait_until_settled()
        assert not scene.missing()
        assert max(scene.received().values()) == 1, "a drain repeats nothing"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("place", PLACES)
def test_a_failure_at_any_named_place_loses_nothing(tmp_path: Path, place: str, action: str) -> None:
    # Few slots at a slow receiver: work overflows into the database, so that claims are reached too.
    with Scene(
        tmp_path, sink_options=["--delay", "20ms"], integration_options={"MaxConcurrency": 4}
    ) as scene:
        scene.server.drain()
        # A lease is given back only when its lane is held at just the wrong moment: once is enough.
        count = 1 if place == "before_release" else 3
        scene.server.start(RINGBACK_FAILPOINT=f"{place}:{count}:{action}")
        publisher = scene.publish(rate=300)
        if place == "before_release":
            pause_and_resume_until(scene, lambda: scene.server.ended or is_done(scene, action))
        elif action == "kill":
            wait_until(f"{place} was reached", lambda: scene.server.ended, 30)
        else:
            wait_until(f"{place} was passed", lambda: scene.server.ended or is_done(scene, action), 30)
        if action == "stop":
            scene.server.go_on()
            run_up(scene, 100)
        if scene.server.ended:
            scene.server.start()
            run_up(scene, 100)
        stop(publisher, signal.SIGINT)
        scene.wait_until_settled()
        assert not scene.missing()


def is_done(scene: Scene, action: str) -> bool:
    """The process is stopped, or has gone on for long enough after what was raised."""
    return scene.server.is_stopped() if action == "stop" else len(scene.acknowledged()) >= 300


def pause_and_resume_until(scene: Scene, done: Callable[[], bool]) -> None:
    """Leases are given back when their lane is held between the claim and the start."""
    path = f"/api/v1/business/{scene.business_id}/integrations/{scene.integration['Id']}"
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        for verb in ("pause", "resume"):
            with contextlib.suppress(OSError):
                scene.server.call("POST", f"{path}/{verb}", seconds=1)
