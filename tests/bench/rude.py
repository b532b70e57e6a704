"""Receivers that do harm, in a process of their own: `python -m tests.bench.rude PORT hang|slow|reset`."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from tests.bench.children import accepts, free_port, module_command, running, wait_until
from tests.bench.receiver import OK

SLOW_SECONDS = 4.9
_AT_ONCE = struct.pack("ii", 1, 0)


class Hanging(asyncio.Protocol):
    """Takes everything and never says a word."""


class Slow(asyncio.Protocol):
    """Answers 200 just before the time is over."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"POST"):
            asyncio.get_running_loop().call_later(SLOW_SECONDS, self._transport.write, OK)


class Resetting(asyncio.Protocol):
    """Cuts the connection at the first byte."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, _data: bytes) -> None:
        opened: socket.socket = self._transport.get_extra_info("socket")
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self._transport.abort()


KINDS: dict[str, type[asyncio.Protocol]] = {"hang": Hanging, "slow": Slow, "reset": Resetting}


@contextmanager
def rude(core: int, folder: Path, kind: str) -> Iterator[str]:
    """Its URL."""
    port, log = free_port(), folder / f"{kind}.log"
    with running(module_command("rude", port, kind), core=core, log=log) as child:
        wait_until(lambda: accepts(port), child, log)
        yield f"http://127.0.0.1:{port}/hooks"


async def _serve(port: int, kind: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(KINDS[kind], "127.0.0.1", port, backlog=2_048)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2]))
