"""Several processes behind one port, on one database: one server, whichever of them answers."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.outside import PATIENCE, Business
from tests.e2e.processes import API_KEY, Scene, Server, ringback, stop, wait_until
from tests.e2e.several import Line, answering, children_of, lines_to, serving_in
from tests.zoo import Zoo

EVENT = {"EventType": "call.failed", "Data": {}}


def logged(server: Server, message: str) -> list[Any]:
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [one for one in map(json.loads, lines) if one["msg"] == message]


# ---------------------------------------------------------------- one server


def test_a_first_start_makes_one_of_everything_and_every_process_says_who_it_is(tmp_path: Path) -> None:
    with serving_in(3, tmp_path / "server", RINGBACK_API_KEY="") as server:
        assert server.drain() == 0
        said = server.log.read_text()
    assert len(re.findall(r"shown this once: rbk_\S+", said)) == 1
    assert sorted(line["process"] for line in logged(server, "ready")) == [1, 2, 3]
    assert sorted(line["process"] for line in logged(server, "drained")) == [1, 2, 3]


def test_a_change_is_in_force_in_every_process_before_it_is_answered(tmp_path: Path) -> None:
    with serving_in(3, tmp_path / "server") as server, lines_to(server, 3) as lines:
        for line in lines * 5:
            business = line.call("POST", "/api/v1/business", {"Name": "Acme"})["BusinessId"]
            events = f"/api/v1/business/{business}/events"
            assert [one.ask("POST", events, EVENT)[0] for one in lines] == [202, 202, 202]
            line.call("PATCH", f"/api/v1/business/{business}", {"Enabled": False})
            assert [one.ask("POST", events, EVENT)[0] for one in lines] == [403, 403, 403]


def test_changes_to_one_business_in_several_processes_at_once_are_all_made(tmp_path: Path) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as (here, there):
        path = f"/api/v1/business/{here.call('POST', '/api/v1/business', {'Name': 'Acme'})['BusinessId']}"
        with ThreadPoolExecutor(2) as threads:
            for number in range(30):
                changes = {"Name": f"Acme {number}"}, {"ExternalId": f"acme-{number}"}
                made = [
                    threads.submit(line.call, "PATCH", path, change)
                    for line, change in zip((here, there), changes, strict=True)
                ]
                assert all(one.result() for one in made)
                business = here.call("GET", path)
                assert (business["Name"], business["ExternalId"]) == (f"Acme {number}", f"acme-{number}")


def test_a_process_that_does_not_answer_keeps_no_change_from_being_made(tmp_path: Path) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as (here, there):
        (other,) = {child.pid for child in children_of(server)} - {pid_of(here, server)}
        os.kill(other, signal.SIGSTOP)
        business = here.call("POST", "/api/v1/business", {"Name": "Acme"})["BusinessId"]
        events = f"/api/v1/business/{business}/events"
        assert here.ask("POST", events, EVENT)[0] == 202
        os.kill(other, signal.SIGCONT)
        there.publish(events, EVENT)


def test_an_event_published_again_elsewhere_is_known(tmp_path: Path, zoo: Zoo) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as (here, there):
        acme = Business(here)
        acme.subscribe(zoo.url("ok"))
        event = {**EVENT, "EventId": "evt_1"}
        path = f"/api/v1/business/{acme.id}/events"
        assert here.call("POST", path, event) == {"EventId": "evt_1", "Deliveries": 1, "Duplicate": False}
        there.publish(path, event)
        assert there.call("POST", path, event) == {"EventId": "evt_1", "Deliveries": 1, "Duplicate": True}
        acme.wait_for("delivered", 1)
    assert len(zoo.received) == 1


def test_what_is_let_go_or_sent_again_on_one_is_sent_once_by_either(tmp_path: Path, zoo: Zoo) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as lines:
        acme = Business(lines[0])
        integration = acme.subscribe(zoo.url("ok"))
        events = f"/api/v1/business/{acme.id}/events"
        path = f"/api/v1/business/{acme.id}/integrations/{integration}"
        for line in lines:
            line.publish(events, {**EVENT, "EventId": "evt_0"})
        for number, (line, other) in enumerate([lines, lines[::-1]] * 2, start=1):
            line.call("POST", f"{path}/pause")
            line.call("POST", events, {**EVENT, "EventId": f"evt_{number}"})
            other.call("POST", f"{path}/resume")
            acme.wait_for("delivered", number + 1)
        (newest, *_) = acme.deliveries()
        lines[0].call("POST", f"/api/v1/business/{acme.id}/deliveries/{newest['Id']}/retry")
        zoo.wait_for(6)
        sent = lines[1].call("POST", f"{path}/test", {"EventType": "call.failed"})
        assert sent["Attempt"]["Status"] == 200
    ids = [request.headers["webhook-id"] for request in zoo.received]
    assert ids[:6] == [*(f"evt_{number}" for number in range(5)), "evt_4"]
    assert len(ids) == 7


def test_any_process_gives_the_numbers_of_all(tmp_path: Path) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as lines:
        acme = Business(lines[0])
        path = f"/api/v1/business/{acme.id}/events"
        for line, count in zip(lines, (3, 4), strict=True):
            for _ in range(count):
                line.publish(path, EVENT)
        for _ in range(5):
            assert sorted(accepted_by_process(server).values()) == [3.0, 4.0]


def accepted_by_process(server: Server) -> dict[str, float]:
    """The exposition has to be one that Prometheus takes."""
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=PATIENCE) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    assert len({family.name for family in families}) == len(families)
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.labels["process"]: sample.value
        for sample in samples
        if sample.name == "ringback_events_accepted_total"
    }


def test_who_follows_one_process_sees_what_the_other_does(tmp_path: Path, zoo: Zoo) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as (here, there):
        acme = Business(there)
        acme.subscribe(zoo.url("ok"))
        here.publish(f"/api/v1/business/{acme.id}/events", EVENT)
        messages = here.follow(f"/api/v1/business/{acme.id}/stream")
        assert next(messages)[0] == "hello"
        for number in range(3):
            acme.publish(f"evt_{number}")
            while (f"evt_{number}", "delivered") not in deliveries_in(next(messages)):
                pass


def deliveries_in(message: tuple[str, Any]) -> set[tuple[str, str]]:
    """The EventIds and states that it tells of."""
    name, data = message
    assert name != "reset"
    return {(one["EventId"], one["State"]) for one in data["Items"]} if name == "delivery.updated" else set()


@pytest.mark.timeout(60)
def test_who_follows_is_told_when_a_process_died_with_what_it_had_to_tell(tmp_path: Path) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as (here, there):
        acme = Business(here)
        there.publish(f"/api/v1/business/{acme.id}/events", EVENT)
        messages = here.follow(f"/api/v1/business/{acme.id}/stream")
        assert next(messages)[0] == "hello"
        (other,) = {child.pid for child in children_of(server)} - {pid_of(here, server)}
        os.kill(other, signal.SIGKILL)
        while next(messages)[0] != "reset":
            pass


def pid_of(line: Line, server: Server) -> int:
    """Whose the other end of the line is."""
    ends = {
        end.raddr.port: child.pid
        for child in children_of(server)
        for end in child.net_connections("tcp")
        if end.raddr
    }
    return ends[line.port]


# ---------------------------------------------------------------- deaths and ends


@pytest.mark.timeout(180)
def test_a_process_that_is_killed_is_started_again_and_nothing_is_lost(tmp_path: Path) -> None:
    with Scene(tmp_path) as scene:
        scene.server.drain()
        scene.server.start(RINGBACK_PROCESSES="2")
        publisher = scene.publish(rate=300)
        for number in (0, 1, 0):
            before = len(scene.acknowledged())
            wait_until("100 more events", lambda: len(scene.acknowledged()) >= before + 100, 30)  # noqa: B023
            os.kill(children_of(scene.server)[number].pid, signal.SIGKILL)
            wait_until("both answer again", lambda: answering(scene.server) == 2, PATIENCE)
        stop(publisher, signal.SIGINT)
        scene.wait_until_settled()
        assert len(scene.acknowledged()) >= 300
        assert not scene.missing()
        assert scene.server.states(scene.business_id)["dead"] == 0
        ended = logged(scene.server, "process ended")
        assert [line["how"] for line in ended] == ["killed by SIGKILL"] * 3
        assert scene.server.drain() == 0


def test_sigterm_drains_them_all(tmp_path: Path, zoo: Zoo) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as lines:
        acme = Business(lines[0])
        acme.subscribe(zoo.url("gate/slow"), TimeoutSeconds=30)
        path = f"/api/v1/business/{acme.id}/events"
        for line in lines:
            line.publish(path, EVENT)
        zoo.wait_for(2)
        server.terminate()
        for line in lines:
            wait_until("it drains", lambda: line.ask("GET", "/health/ready")[0] == 503, PATIENCE)  # noqa: B023
            assert line.ask("POST", path, EVENT)[0] == 503
        zoo.open_gate("slow")
        assert server.process is not None
        assert server.process.wait(PATIENCE) == 0
        server.start(RINGBACK_PROCESSES="1")
        deliveries = server.call("GET", f"/api/v1/business/{acme.id}/deliveries")["Items"]
        assert [one["State"] for one in deliveries] == ["delivered", "delivered"]
    assert len(zoo.received) == 2


def test_asked_twice_they_leave_at_once(tmp_path: Path, zoo: Zoo) -> None:
    with serving_in(2, tmp_path / "server") as server, lines_to(server, 2) as (line, _):
        assert server.process is not None
        acme = Business(line)
        acme.subscribe(zoo.url("gate/slow"), TimeoutSeconds=30)
        acme.publish("evt_1")
        zoo.wait_for(1)
        server.process.send_signal(signal.SIGINT)
        wait_until("it drains", lambda: line.ask("GET", "/health/ready")[0] == 503, PATIENCE)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(PATIENCE) == 130
        zoo.open_gate("slow")


def test_without_their_supervisor_they_drain(tmp_path: Path) -> None:
    with serving_in(2, tmp_path / "server") as server:
        left = children_of(server)
        server.kill()
        wait_until("they are gone", lambda: not any(one.is_running() for one in left), PATIENCE)
        assert len(logged(server, "drained")) == 2


def test_a_process_that_cannot_live_ends_the_server_with_its_reason(tmp_path: Path) -> None:
    with serving_in(2, tmp_path / "server") as server:
        assert server.process is not None
        (server.folder / "master.key").chmod(0o644)
        os.kill(children_of(server)[0].pid, signal.SIGKILL)
        assert server.process.wait(2 * PATIENCE) == 2
        (stopped,) = logged(server, "stopped")
        assert "4 times in a row" in stopped["reason"]
        assert "ended with exit code 2" in stopped["reason"]
        first, *others = [line["how"] for line in logged(server, "process ended")]
        assert first == "killed by SIGKILL"
        assert set(others) == {"ended with exit code 2"}
        assert "chmod 600" in server.log.read_text()
        assert len(logged(server, "drained")) == 1, "the other one was well"


def test_what_no_process_could_start_with_is_said_once(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    arguments = ["serve", "--dev", "--port", "0", "--data", str(tmp_path / "data"), "--processes", "3"]
    environment = {"RINGBACK_API_KEY": API_KEY, "RINGBACK_MASTER_KEY": "nonsense"}
    assert ringback(arguments, log, environment).wait(PATIENCE) == 2
    assert log.read_text().count("must be 32 bytes") == 1


def test_a_port_that_a_server_of_several_has_is_taken(tmp_path: Path) -> None:
    with serving_in(2, tmp_path / "server") as server:
        for processes in ("1", "2"):
            log = tmp_path / f"{processes}.log"
            arguments = ["serve", "--dev", "--port", str(server.port), "--data", str(tmp_path / "other")]
            assert ringback([*arguments, "--processes", processes], log).wait(PATIENCE) == 2
            assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in log.read_text()
            assert "ss -ltnp" in log.read_text()
        assert not (tmp_path / "other").exists()
