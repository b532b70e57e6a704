"""A server of several processes, spoken to one by one: who answers shows in its request ids."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.outside import PATIENCE
from tests.e2e.processes import API_KEY, Server, wait_until

COUNTER_DIGITS = 8


class Line:
    """One kept-alive connection, so one process."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        self.process = ""
        self.call("GET", "/api/v1/business")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """`Data` of the answer."""
        status, answer = self.ask(method, path, body)
        assert status < 300, answer
        return answer["Data"]

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Token {API_KEY}", "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        process = (answer.getheader("x-request-id") or "")[:-COUNTER_DIGITS] or self.process
        assert self.process in ("", process), "a connection stays with its process"
        self.process = process
        return answer.status, json.loads(answer.read())

    def publish(self, path: str, event: Any) -> None:
        """Again until this process knows the business, which another may have made just now."""
        wait_until("the business is known", lambda: self.ask("POST", path, event)[0] == 202, PATIENCE)

    def follow(self, path: str) -> Iterator[tuple[str, Any]]:
        """The stream's messages, each with its name; the line is of no more use for calls."""
        self._connection.request("GET", path, headers={"Authorization": f"Token {API_KEY}"})
        answer = self._connection.getresponse()
        assert answer.status == 200
        name = ""
        for line in map(bytes.decode, answer):
            key, _, value = line.rstrip("\n").partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                yield name, json.loads(value)

    @property
    def port(self) -> int:
        """Of this end."""
        port: int = self._connection.sock.getsockname()[1]
        return port

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def lines_to(server: Server, count: int) -> Iterator[list[Line]]:
    """One line to each of so many processes."""
    with contextlib.ExitStack() as opened:
        found: dict[str, Line] = {}

        def all_found() -> bool:
            line = Line(server)
            opened.callback(line.close)
            found.setdefault(line.process, line)
            return len(found) == count

        wait_until(f"{count} processes answer", all_found, PATIENCE)
        yield list(found.values())


@contextlib.contextmanager
def serving_in(processes: int, folder: Path, **environment: str) -> Iterator[Server]:
    """All of them ready; nothing of it is left behind."""
    server = Server(folder, environment={"RINGBACK_PROCESSES": str(processes), **environment})
    served: list[psutil.Process] = []
    try:
        server.start()
        wait_until("all processes are ready", lambda: answering(server) == processes, PATIENCE)
        served += children_of(server)
        yield server
        served += children_of(server)
    finally:
        if not server.ended:
            server.kill()
        for child in served:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def answering(server: Server) -> int:
    return int(server.metrics()["ringback_processes"])


def children_of(server: Server) -> list[psutil.Process]:
    assert server.process is not None
    if server.ended:
        return []
    return psutil.Process(server.process.pid).children()
