"""Closed-loop load: keep-alive connections that each publish again as soon as they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import uvloop

from tests.bench.children import BenchError
from tests.bench.receiver import content_length
from tests.bench.traffic import Requests

RUN_SECONDS = 600.0
_HEAD_END = b"\r\n\r\n"
_ACCEPTED = b"HTTP/1.1 202"


class Stint:
    """One run's numbers: handed out in order, over when the last one is answered."""

    def __init__(self, first: int, requests: int) -> None:
        self._next = first
        self._end = first + requests
        self._open = requests
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> int | None:
        if self._next == self._end:
            return None
        self._next += 1
        return self._next - 1

    def answered(self) -> None:
        self._open -= 1
        if not self._open and not self.over.done():
            self.over.set_result(None)

    def fail(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_exception(BenchError(reason))


class Publisher(asyncio.Protocol):
    """One connection; one request at a time."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._stint: Stint | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._stint is not None:
            self._stint.fail(f"the server closed a connection: {exc}")

    def work(self, stint: Stint) -> None:
        self._stint = stint
        self._publish(stint)

    def close(self) -> None:
        self._stint = None
        self._transport.close()

    def _publish(self, stint: Stint) -> None:
        number = stint.take()
        if number is not None:
            self._transport.write(self._requests(number))

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._stint is None or not is_whole(self._buffer):
            return
        answer, self._buffer = self._buffer, b""
        if not answer.startswith(_ACCEPTED):
            self._stint.fail(f"a publish was not accepted: {answer[:500]!r}")
            return
        self._stint.answered()
        self._publish(self._stint)


def is_whole(answer: bytes) -> bool:
    head = answer.find(_HEAD_END)
    return head >= 0 and len(answer) >= head + len(_HEAD_END) + content_length(answer[: head + 2])


class Load:
    """Connections that are open already; `run` blocks until the last answer. Raises BenchError."""

    def __init__(self, runner: asyncio.Runner, publishers: Sequence[Publisher]) -> None:
        self._runner = runner
        self._publishers = publishers

    def run(self, first: int, requests: int) -> None:
        self._runner.run(self._run(first, requests))

    async def _run(self, first: int, requests: int) -> None:
        stint = Stint(first, requests)
        for publisher in self._publishers:
            publisher.work(stint)
        try:
            await asyncio.wait_for(stint.over, RUN_SECONDS)
        except TimeoutError:
            raise BenchError(f"not every publish was answered within {RUN_SECONDS:.0f} s") from None


@contextmanager
def connected(port: int, requests: Sequence[Requests], connections: int) -> Iterator[Load]:
    """`requests` are given to the connections in turn."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        chosen = [requests[index % len(requests)] for index in range(connections)]
        publishers = runner.run(_connect(port, chosen))
        try:
            yield Load(runner, publishers)
        finally:
            runner.run(_close(publishers))


async def _connect(port: int, requests: Sequence[Requests]) -> list[Publisher]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(partial(Publisher, one), "127.0.0.1", port))[1] for one in requests]


async def _close(publishers: Sequence[Publisher]) -> None:
    for publisher in publishers:
        publisher.close()
    await asyncio.sleep(0)
