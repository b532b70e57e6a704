"""A receiver that answers 200 at once and remembers what came when. It runs in a process of its own.

`python -m tests.bench.receiver PORT`; `GET /count`, `GET /arrivals` and `GET /reset` are for the bench.
"""

from __future__ import annotations

import asyncio
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast
from urllib.request import urlopen

from tests.bench.children import accepts, free_port, module_command, running, wait_until
from tests.bench.traffic import number_in

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
PATH = "/hooks"


class Arrivals(NamedTuple):
    """In the order of arrival; `times` are CLOCK_MONOTONIC, in seconds."""

    numbers: array[int]
    times: array[float]


class Ledger:
    def __init__(self) -> None:
        self.arrivals = Arrivals(array("q"), array("d"))

    def add(self, body: bytes) -> None:
        self.arrivals.times.append(time.monotonic())
        self.arrivals.numbers.append(number_in(body))

    def answer(self, path: bytes) -> bytes:
        numbers, times = self.arrivals
        if path == b"/reset":
            self.arrivals = Arrivals(array("q"), array("d"))
            return b""
        return numbers.tobytes() + times.tobytes() if path == b"/arrivals" else b"%d" % len(numbers)


class Connection(asyncio.Protocol):
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer and (size := self._complete()):
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._serve(request)

    def _complete(self) -> int:
        """The size of the first whole request in the buffer; 0 where more must come."""
        head = self._buffer.find(_HEAD_END)
        if head < 0:
            return 0
        size = head + len(_HEAD_END) + content_length(self._buffer[: head + 2])
        return size if len(self._buffer) >= size else 0

    def _serve(self, request: bytes) -> None:
        if request.startswith(b"POST"):
            self._ledger.add(request)
            self._transport.write(OK)
            return
        body = self._ledger.answer(request.split(b" ", 2)[1])
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def content_length(head: bytes) -> int:
    """As the head says; 0 where it says nothing."""
    lower = head.lower()
    start = lower.find(_LENGTH)
    return 0 if start < 0 else int(lower[start + len(_LENGTH) : lower.index(b"\r", start)])


class Receiver:
    """The receiver's process as the bench sees it."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self.url = f"http://127.0.0.1:{port}{PATH}"

    def count(self) -> int:
        return int(self._get("count"))

    def reset(self) -> None:
        self._get("reset")

    def arrivals(self) -> Arrivals:
        raw = self._get("arrivals")
        numbers, times = array("q"), array("d")
        numbers.frombytes(raw[: len(raw) // 2])
        times.frombytes(raw[len(raw) // 2 :])
        return Arrivals(numbers, times)

    def _get(self, what: str) -> bytes:
        with urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=30) as answer:
            body: bytes = answer.read()
            return body


@contextmanager
def receiving(core: int, folder: Path) -> Iterator[Receiver]:
    port, log = free_port(), folder / "receiver.log"
    with running(module_command("receiver", port), core=core, log=log) as child:
        wait_until(lambda: accepts(port), child, log)
        yield Receiver(port, child.pid)


async def _serve(port: int) -> None:
    ledger = Ledger()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(ledger), "127.0.0.1", port, backlog=2_048
    )
    await server.serve_forever()


def main() -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
