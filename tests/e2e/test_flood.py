"""Far more publishes than the service can take: it says so, loses nothing of what it took, and recovers."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.e2e.outside import Business, serving
from tests.e2e.processes import API_KEY, Server, wait_until
from tests.zoo import Zoo

FLOODERS = 24
EVENTS = 1_000
ROUNDS = 12
QUEUE = 2_000
MOST_MEMORY = 400 * 1024 * 1024
SUBSCRIBED, UNHEARD = "call.failed", "agent.left"


@dataclass
class Flood:
    """What many publishers were told. Each sends again at once, whatever the answer."""

    server: Server
    business_id: int
    answers: Counter[int] = field(default_factory=Counter)
    without_pause: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        publishers = [threading.Thread(target=self._publish, args=(place,)) for place in range(FLOODERS)]
        for one in publishers:
            one.start()
        for one in publishers:
            one.join()

    def _publish(self, place: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        for number in range(ROUNDS):
            event_type = SUBSCRIBED if number % 6 == place % 6 else UNHEARD
            count = 20 if event_type == SUBSCRIBED else EVENTS
            self._send(connection, event_type, count)
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, event_type: str, count: int) -> None:
        body = json.dumps([{"EventType": event_type, "Data": {"Message": "x" * 300}}] * count)
        headers = {"Authorization": f"Token {API_KEY}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/v1/business/{self.business_id}/events", body, headers)
        answer = connection.getresponse()
        answer.read()
        with self._lock:
            self.answers[answer.status] += 1
            self.without_pause += answer.status == 503 and not answer.getheader("Retry-After")
            self.accepted[event_type] += count * (answer.status == 202)


@pytest.mark.timeout(180)
def test_a_flood_is_refused_in_part_and_nothing_taken_is_lost(tmp_path: Path) -> None:
    with Zoo() as zoo, serving(tmp_path / "server", RINGBACK_INGEST_QUEUE=str(QUEUE)) as server:
        business = Business(server)
        server.call(
            "POST",
            f"/api/v1/business/{business.id}/integrations",
            {
                "Type": "webhook",
                "FriendlyName": "zoo",
                "Fields": {"Url": zoo.url("ok"), "Events": [SUBSCRIBED]},
            },
        )
        flood = Flood(server, business.id)
        with _memory_watched(server) as most:
            flood.run()
        _is_itself_again(server, business)
        assert set(flood.answers) == {202, 503}, flood.answers
        assert not flood.without_pause
        assert most[0] < MOST_MEMORY
        wait_until(
            "all delivered", lambda: _delivered(server, business) == flood.accepted[SUBSCRIBED] + 1, 60
        )
        assert _stored(server, business) == flood.accepted.total() + 1


def _is_itself_again(server: Server, business: Business) -> None:
    """At once: nothing is left of the flood but what was accepted."""
    assert server.is_ready()
    assert business.publish("after-the-flood", SUBSCRIBED)["Deliveries"] == 1


def _stored(server: Server, business: Business) -> int:
    return int(server.call("GET", f"/api/v1/business/{business.id}/stats")["Totals"]["Events"])


def _delivered(server: Server, business: Business) -> int:
    totals = server.call("GET", f"/api/v1/business/{business.id}/stats")["Totals"]
    return int(totals["Deliveries"]["Delivered"])


@contextmanager
def _memory_watched(server: Server) -> Iterator[list[int]]:
    """The most bytes the server held meanwhile."""
    assert server.process is not None
    process, most, over = psutil.Process(server.process.pid), [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            most[0] = max(most[0], process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield most
    finally:
        over.set()
        watching.join()
