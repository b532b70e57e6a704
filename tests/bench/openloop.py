"""Open-loop load: every publish has its moment and keeps it, however slow the answers are.

Latency counts from the intended moment, so a generator or a server that falls behind hides nothing.
Blocking sockets and `select`, whose timeout is exact to some 50 µs; an event loop's timers are not.
"""

from __future__ import annotations

import random
import socket
import time
from array import array
from collections.abc import Sequence
from select import select
from typing import NamedTuple

from tests.bench.children import BenchError
from tests.bench.load import is_whole
from tests.bench.traffic import Requests

MAX_CONNECTIONS = 500
ANSWER_SECONDS = 60.0


class Sent(NamedTuple):
    """By number from `first` on: the intended moments and those of the sends, CLOCK_MONOTONIC seconds."""

    first: int
    intended: array[float]
    actual: array[float]


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Offsets in seconds of independent arrivals."""
    chance = random.Random(seed)
    moments, at = [], chance.expovariate(rate)
    while at < seconds:
        moments.append(at)
        at += chance.expovariate(rate)
    return moments


def publish(port: int, requests: Sequence[Requests], first: int, offsets: Sequence[float]) -> Sent:
    """Publish `first + i` at `offsets[i]` from now; returns when all are answered. Raises BenchError."""
    pool = _Pool(port, requests)
    start = time.monotonic() + 0.05
    intended, actual = array("d", [start + offset for offset in offsets]), array("d")
    try:
        for number, moment in enumerate(intended, first):
            pool.take_answers_until(moment)
            pool.send(number)
            actual.append(time.monotonic())
        pool.finish()
    finally:
        pool.close()
    return Sent(first, intended, actual)


class _Pool:
    """Connections; a new one where all are waiting for an answer."""

    def __init__(self, port: int, requests: Sequence[Requests]) -> None:
        self._port = port
        self._requests = requests
        self._idle: list[tuple[socket.socket, Requests]] = []
        self._busy: dict[socket.socket, Requests] = {}
        self._parts: dict[socket.socket, bytes] = {}
        for _ in range(4 * len(requests)):
            self._idle.append(self._open())

    def _open(self) -> tuple[socket.socket, Requests]:
        opened = len(self._idle) + len(self._busy)
        if opened == MAX_CONNECTIONS:
            raise BenchError(f"{MAX_CONNECTIONS} publishes wait for their answer: the rate is too high")
        connection = socket.create_connection(("127.0.0.1", self._port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, self._requests[opened % len(self._requests)]

    def send(self, number: int) -> None:
        connection, requests = self._idle.pop(0) if self._idle else self._open()
        self._busy[connection] = requests
        connection.sendall(requests(number))

    def take_answers_until(self, moment: float) -> None:
        """Looks once, even when the moment has passed."""
        self._take(max(moment - time.monotonic(), 0))
        while (left := moment - time.monotonic()) > 0:
            self._take(left)

    def finish(self) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while self._busy:
            if time.monotonic() > deadline:
                raise BenchError(
                    f"{len(self._busy)} publishes were not answered within {ANSWER_SECONDS:.0f} s"
                )
            self._take(0.1)

    def _take(self, seconds: float) -> None:
        readable, _, _ = select(self._busy, (), (), seconds)
        for connection in readable:
            self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        answer = self._parts.pop(connection, b"") + connection.recv(65_536)
        if not is_whole(answer):
            if not answer:
                raise BenchError("the server closed a connection")
            self._parts[connection] = answer
            return
        if not answer.startswith(b"HTTP/1.1 202"):
            raise BenchError(f"a publish was not accepted: {answer[:500]!r}")
        self._idle.append((connection, self._busy.pop(connection)))

    def close(self) -> None:
        for connection in [*self._busy, *(one for one, _ in self._idle)]:
            connection.close()
