"""Streams of a server in a process of its own: what they cost it, and how they end with it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.outside import PATIENCE, Business, answer_to, serving
from tests.e2e.processes import API_KEY, Server, wait_until
from tests.zoo import Zoo

MIB = 1024 * 1024
DEAF = 50


class Stream:
    """A client that reads when it is asked to."""

    def __init__(self, server: Server, business_id: int, last: str | None = None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        headers = {"Authorization": f"Token {API_KEY}"} | ({} if last is None else {"Last-Event-ID": last})
        self._connection.request("GET", f"/api/v1/business/{business_id}/stream", headers=headers)
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200

    def next(self) -> dict[str, str]:
        """The fields of what comes next, a comment's is named ``; empty at the end."""
        fields: dict[str, str] = {}
        while line := self._answer.readline().decode():
            if line == "\n":
                return fields
            name, _, value = line.rstrip("\n").partition(": ")
            fields[name] = value
        return fields

    def until(self, event: str) -> dict[str, str]:
        while (fields := self.next()).get("event") != event:
            assert fields, f"ended before {event}"
        return fields

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


@contextmanager
def following(server: Server, business_id: int, last: str | None = None) -> Iterator[Stream]:
    stream = Stream(server, business_id, last)
    try:
        yield stream
    finally:
        stream.close()


def test_a_stop_ends_the_streams_first_and_the_next_start_begins_anew(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server") as server:
        assert server.process is not None
        acme = Business(server)
        acme.subscribe(zoo.url("gate/slow"), TimeoutSeconds=30)
        with following(server, acme.id) as stream:
            acme.publish("evt_1")
            last = stream.until("delivery.updated")["id"]
            zoo.wait_for(1)
            server.process.send_signal(signal.SIGTERM)
            said = []
            while fields := stream.next():
                said.append(fields)
            assert said[-1] == {"": "this node is stopping"}
            assert not server.ended, "an attempt is under way"
        zoo.open_gate("slow")
        assert server.process.wait(PATIENCE) == 0
        server.start()
        with following(server, acme.id, last) as stream:
            assert json.loads(stream.until("hello")["data"]) == {"Resumed": False}
            stream.until("reset")


def test_clients_that_read_nothing_cost_little_and_are_dropped(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server", RINGBACK_LOG_LEVEL="warning") as server:
        assert server.process is not None
        acme = Business(server)
        acme.subscribe(zoo.url("ok"))
        deaf = [ask_and_read_nothing(server, acme.id) for _ in range(DEAF)]
        wait_until("all follow", lambda: server.metrics()["ringback_streams_open"] == DEAF, PATIENCE)
        before = psutil.Process(server.process.pid).memory_info().rss
        batch = [{"EventType": "call.failed", "Data": {"Reason": "Expired"}}] * 200

        def dropped() -> bool:
            server.call("POST", f"/api/v1/business/{acme.id}/events", batch)
            return server.metrics()["ringback_streams_dropped_total"] == DEAF

        wait_until("all are dropped", dropped, 3 * PATIENCE)
        grown = psutil.Process(server.process.pid).memory_info().rss - before
        assert grown < 100 * MIB
        assert server.metrics()["ringback_streams_open"] == 0
        assert answer_to(server, "/health/ready")[0] == 200
        for client in deaf:
            client.close()
        assert server.drain() == 0
        assert "Traceback" not in server.log_tail()


def ask_and_read_nothing(server: Server, business_id: int) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_024)
    client.connect(("127.0.0.1", server.port))
    path = f"/api/v1/business/{business_id}/stream"
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {API_KEY}\r\n\r\n".encode())
    return client


def test_with_a_hundred_followers_everybody_hears_the_same(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server") as server:
        acme, other = Business(server), Business(server)
        acme.subscribe(zoo.url("ok"))
        streams = [Stream(server, one.id) for one in (acme, other) for _ in range(50)]
        for stream in streams:
            stream.until("hello")
        for number in range(20):
            acme.publish(f"evt_{number}")
        acme.wait_for("delivered", 20)
        heard = [messages_until_all_delivered(stream, 20) for stream in streams[:50]]
        assert all(one == heard[0] for one in heard)
        server.terminate()
        assert [stream.next() for stream in streams[50:]] == [{"": "this node is stopping"}] * 50
        for stream in streams:
            stream.close()
        assert server.process is not None
        assert server.process.wait(PATIENCE) == 0


def messages_until_all_delivered(stream: Stream, count: int) -> list[Any]:
    heard: list[Any] = []
    states: dict[str, str] = {}
    while list(states.values()).count("delivered") < count:
        fields = stream.next()
        assert fields
        if fields.get("event") in ("delivery.updated", "attempt.finished"):
            heard.append(fields)
        if fields.get("event") == "delivery.updated":
            states |= {item["Id"]: item["State"] for item in json.loads(fields["data"])["Items"]}
    return heard


def test_of_several_processes_each_tells_what_all_of_them_do(tmp_path: Path, zoo: Zoo) -> None:
    with serving(tmp_path / "server", RINGBACK_PROCESSES="2") as server:
        acme = Business(server)
        wait_until("every process knows of it", lambda: is_known(server, acme), PATIENCE)
        acme.subscribe(zoo.url("ok"))
        streams = [Stream(server, acme.id) for _ in range(8)]
        for stream in streams:
            stream.until("hello")
        for number in range(60):
            acme.publish(f"evt_{number}")
        for stream in streams:
            heard = attempts_heard(stream, 60)
            assert len(heard) == len(set(heard)) == 60
            stream.close()
        assert server.drain() == 0


def is_known(server: Server, business: Business) -> bool:
    path = f"/api/v1/business/{business.id}/integrations"
    return all(answer_to(server, path)[0] == 200 for _ in range(20))


def attempts_heard(stream: Stream, count: int) -> list[str]:
    heard: list[str] = []
    while len(heard) < count:
        told = json.loads(stream.until("attempt.finished")["data"])
        assert told["Omitted"] == 0
        heard += [item["DeliveryId"] for item in told["Items"]]
    return heard
