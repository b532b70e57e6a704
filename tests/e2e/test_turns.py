"""One of two processes dies or freezes in the middle of a transaction: the other is not taken along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.outside import PATIENCE, Business
from tests.e2e.processes import Server, wait_until
from tests.e2e.several import Line, answering, children_of, lines_to, serving_in
from tests.zoo import Zoo

FATEFUL = 4


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    with Zoo() as zoo:
        yield zoo


class Publisher:
    def __init__(self, business: Business) -> None:
        self.path = f"/api/v1/business/{business.id}/events"
        self.accepted: list[str] = []

    def ask(self, line: Line, event_id: str) -> int:
        """The status; 0 where the line broke."""
        event = {"EventType": "call.failed", "EventId": event_id, "Data": {}}
        try:
            status, _ = line.ask("POST", self.path, event)
        except (OSError, HTTPException):
            return 0
        if status == 202:
            self.accepted.append(event_id)
        return status

    def publish(self, line: Line, event_id: str) -> None:
        wait_until(f"{event_id} is accepted", lambda: self.ask(line, event_id) == 202, PATIENCE)


def received(zoo: Zoo) -> Counter[str]:
    return Counter(request.headers["webhook-id"] for request in zoo.received)


def states(server: Server, business: Business) -> Counter[str]:
    items: list[Any] = server.call("GET", f"/api/v1/business/{business.id}/deliveries")["Items"]
    return Counter(one["State"] for one in items)


@pytest.mark.timeout(90)
def test_a_kill_inside_a_transaction_leaves_nothing_of_it_and_the_other_goes_on(
    tmp_path: Path, zoo: Zoo
) -> None:
    with (
        serving_in(2, tmp_path / "server", RINGBACK_FAILPOINT=f"in_accept:{FATEFUL}:kill") as server,
        lines_to(server, 2) as (here, there),
    ):
        acme = Business(there)
        acme.subscribe(zoo.url("ok"))
        publisher = Publisher(acme)
        publisher.publish(there, "evt_other")
        for number in range(1, FATEFUL):
            publisher.publish(here, f"evt_{number}")
        assert publisher.ask(here, "evt_fateful") == 0, "it was killed before it could answer"
        publisher.publish(there, "evt_fateful")
        publisher.publish(there, "evt_after")
        wait_until("both answer again", lambda: answering(server) == 2, PATIENCE)
        acme.wait_for("delivered", len(publisher.accepted))
        assert states(server, acme) == {"delivered": FATEFUL + 2}
    assert set(received(zoo)) == set(publisher.accepted)


@pytest.mark.timeout(90)
def test_a_process_frozen_in_its_turn_makes_the_other_refuse_and_recover(tmp_path: Path, zoo: Zoo) -> None:
    with (
        serving_in(2, tmp_path / "server", RINGBACK_FAILPOINT=f"in_accept:{FATEFUL}:stop") as server,
        lines_to(server, 2) as (here, there),
        ThreadPoolExecutor(1) as threads,
    ):
        acme = Business(here)
        acme.subscribe(zoo.url("gate/slow"), TimeoutSeconds=30)
        publisher = Publisher(acme)
        publisher.publish(there, "evt_under_way")
        for number in range(1, FATEFUL):
            publisher.publish(here, f"evt_{number}")
        zoo.wait_for(FATEFUL)
        stuck = threads.submit(publisher.ask, here, "evt_stuck")
        wait_until("one is frozen", lambda: len(frozen(server)) == 1, PATIENCE)
        # What was sent before is answered now: its result waits for the turn, too.
        zoo.open_gate("slow")
        status, answer = there.ask(
            "POST", publisher.path, {"EventType": "call.failed", "EventId": "evt_refused", "Data": {}}
        )
        assert (status, answer["Code"]) == (503, "OVERLOADED")
        frozen(server)[0].resume()
        assert stuck.result(PATIENCE) == 202
        publisher.publish(there, "evt_refused")
        acme.wait_for("delivered", len(publisher.accepted))
        assert states(server, acme) == {"delivered": FATEFUL + 2}
    assert received(zoo) == dict.fromkeys(publisher.accepted, 1)


def frozen(server: Server) -> list[psutil.Process]:
    return [one for one in children_of(server) if one.status() == psutil.STATUS_STOPPED]
