"""Statistics after kills under load, against a count of everything that the API's lists show."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import counted
from tests.e2e.outside import answer_to
from tests.e2e.processes import Scene, free_port, stop, wait_until
from tests.e2e.several import Line

KILLS = 4
EVENTS_BETWEEN_KILLS = 25
FAILING = ["--status", "500", "--reset", "--fail-rate", "30"]
OWN_FIGURES = ("AttemptMs", "EndToEndMs")


class Meddler:
    """Somebody who pauses, cancels, retries and tests while events come in and the server is killed."""

    def __init__(self, scene: Scene) -> None:
        self._server = scene.server
        self._path = f"/api/v1/business/{scene.business_id}"
        sink = f"http://127.0.0.1:{scene.sink_port}/"
        nobody = f"http://127.0.0.1:{free_port()}/"
        self._healthy = f"/integrations/{scene.integration['Id']}"
        self._paused = self._subscribe(sink, "call.*")
        self._doomed = self._subscribe(nobody, "call.completed", RetrySchedule=[1])
        self._leaving = self._subscribe(sink, "agent.*")
        self._call("POST", f"{self._leaving}/pause")

    def _subscribe(self, url: str, wanted: str, **settings: Any) -> str:
        form = {
            "Type": "webhook",
            "FriendlyName": wanted,
            "Fields": {"Url": url, "Events": [wanted]},
            "RetrySchedule": [1, 1, 1, 1, 1, 1, 1, 1],
            **settings,
        }
        return f"/integrations/{self._call('POST', '/integrations', form)['Id']}"

    def before_kill(self, number: int) -> None:
        """The retries come last: the kill finds their attempts under way."""
        if number == 1:
            self._call("POST", f"{self._paused}/pause")
        for delivery in [*self._in_state("held", 6), *self._in_state("retrying", 2)]:
            path = f"{self._path}/deliveries/{delivery['Id']}/cancel"
            assert answer_to(self._server, path, b"")[0] in (200, 409)
        for lane in (self._healthy, self._paused, self._doomed):
            self._call("POST", f"{lane}/test", {"EventType": "call.failed"})
        states = ("delivered", "dead", "cancelled", "retrying")
        ids = [one["Id"] for state in states for one in self._in_state(state, 8)]
        self._call("POST", "/deliveries/retry", {"Ids": ids})

    def leave(self) -> None:
        self._call("DELETE", self._leaving)

    def unfinished(self) -> list[Any]:
        """Cancelled for the eye, and not yet in the database."""
        return [one for one in self._in_state("cancelled", 200) if one["FinishedAt"] is None]

    def _in_state(self, state: str, count: int) -> list[Any]:
        items: list[Any] = self._call("GET", f"/deliveries?State={state}&Test=false&Limit={count}")["Items"]
        return items

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        return self._server.call(method, self._path + path, body)


@contextlib.contextmanager
def line_to(scene: Scene) -> Iterator[Line]:
    line = Line(scene.server)
    try:
        yield line
    finally:
        line.close()


def run_up(scene: Scene) -> None:
    before = len(scene.acknowledged())
    wait_until("more events", lambda: len(scene.acknowledged()) >= before + EVENTS_BETWEEN_KILLS, 30)


@pytest.mark.timeout(150)
def test_statistics_count_what_the_lists_show_whatever_was_killed_and_meddled_with(tmp_path: Path) -> None:
    with Scene(tmp_path, sink_options=FAILING) as scene:
        meddler = Meddler(scene)
        publisher = scene.publish(rate=60)
        for number in range(KILLS):
            run_up(scene)
            meddler.before_kill(number)
            scene.server.kill()
            scene.server.start()
        run_up(scene)
        meddler.leave()
        stop(publisher, signal.SIGINT)
        scene.wait_until_settled()
        wait_until("the cancelled are finished", lambda: not meddler.unfinished(), 30)
        with line_to(scene) as line:
            found = line.call("GET", f"/api/v1/business/{scene.business_id}/stats?Bucket=1m")
            walked = counted.walk(line, scene.business_id)
    check_traffic(walked)
    check_totals(found, walked)
    check_breakdowns(found, walked)
    check_buckets(found, walked)


def check_traffic(walked: counted.Walked) -> None:
    """Of everything that could be counted wrongly there was some."""
    assert {one["State"] for one in walked.deliveries} == {"delivered", "dead", "cancelled", "held"}
    by_hand = [one for row in walked.deliveries for one in row["Attempts"] if one["Replay"]]
    assert {one["FailureClass"] is None for one in by_hand} == {True, False}
    assert {one["FailureClass"] for one in walked.attempts} >= {None, "server_500", "connection_reset"}


def check_totals(found: Any, walked: counted.Walked) -> None:
    totals = {name: value for name, value in found["Totals"].items() if name not in OWN_FIGURES}
    assert totals == counted.figures(walked)
    assert counted.fits(found["Totals"]["AttemptMs"], counted.attempt_times(walked))
    assert counted.fits(found["Totals"]["EndToEndMs"], counted.ways(walked))
    assert found["Now"] == {
        "Queued": 0,
        "Sending": 0,
        "Retrying": 0,
        "Held": sum(one["State"] == "held" for one in walked.deliveries),
        "NextAttemptAt": None,
        "OldestDueAt": None,
    }


def check_breakdowns(found: Any, walked: counted.Walked) -> None:
    for integration in found["Integrations"]:
        integration.pop("AttemptP95Ms")
    expected = counted.breakdowns(walked)
    assert {name: found[name] for name in expected} == expected


def check_buckets(found: Any, walked: counted.Walked) -> None:
    """An attempt's end is not shown to the millisecond, so that only the sum of the attempts is known."""
    events = counted.by_minute(walked.events, "AcceptedAt")
    deliveries = counted.by_minute(walked.deliveries, "CreatedAt")
    for bucket in found["Buckets"]:
        start = bucket["Start"]
        of = counted.figures(counted.Walked(events.pop(start, []), deliveries.pop(start, [])))
        assert {name: bucket[name] for name in ("Events", "Deliveries")} == {
            name: of[name] for name in ("Events", "Deliveries")
        }
    assert not events
    assert not deliveries
    for name in ("Attempts", "Answers"):
        for part, expected in found["Totals"][name].items():
            assert sum(bucket[name][part] for bucket in found["Buckets"]) == expected
