"""The server is killed and broken under load; two ledgers outside say what became of the events."""

from __future__ import annotations

import signal
import time
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
@pytest.mark.parametrize("place", [place for place in PLACES if place != "before_release"])
def test_a_failure_at_any_named_place_loses_nothing(tmp_path: Path, place: str, action: str) -> None:
    # Few slots at a slow receiver: work overflows into the database, so that claims are reached too.
    with Scene(
        tmp_path, sink_options=["--delay", "20ms"], integration_options={"MaxConcurrency": 4}
    ) as scene:
        scene.server.drain()
        scene.server.start(RINGBACK_FAILPOINT=f"{place}:3:{action}")
        publisher = scene.publish(rate=300)
        wait_until(f"{place} was reached", lambda: was_reached(scene, action), 30)
        if action == "stop":
            scene.server.go_on()
        if not scene.server.ended:
            run_up_or_end(scene, 100)
        if scene.server.ended:
            scene.server.start()
            run_up(scene, 100)
        stop(publisher, signal.SIGINT)
        scene.wait_until_settled()
        assert not scene.missing()


def was_reached(scene: Scene, action: str) -> bool:
    """It says so, and is then killed or stopped where that is the action."""
    if action == "stop":
        return scene.server.is_stopped()
    return "failpoint" in scene.server.log.read_text() and (action != "kill" or scene.server.ended)


def run_up_or_end(scene: Scene, events: int) -> None:
    """A failure that nothing can handle ends the server, which is how it recovers."""
    before = len(scene.acknowledged())
    wait_until(
        f"{events} events accepted, or the server's end",
        lambda: scene.server.ended or len(scene.acknowledged()) >= before + events,
        30,
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_failure_while_leases_are_given_back_loses_nothing(tmp_path: Path, action: str) -> None:
    """A drain that has no time left gives back what is still being sent."""
    with Scene(tmp_path, sink_options=["--delay", "300ms"]) as scene:
        scene.server.drain()
        scene.server.start(RINGBACK_FAILPOINT=f"before_release:1:{action}", RINGBACK_DRAIN_SECONDS="0")
        publisher = scene.publish(rate=300)
        run_up(scene, 100)
        scene.server.terminate()
        wait_until("before_release was reached", lambda: was_reached(scene, action), 30)
        if action == "stop":
            scene.server.go_on()
        wait_until("the server has ended", lambda: scene.server.ended, 30)
        scene.server.start()
        run_up(scene, 100)
        stop(publisher, signal.SIGINT)
        scene.wait_until_settled()
        assert not scene.missing()
