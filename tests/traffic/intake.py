"""A stand-in for any server that takes publishes: it answers each as a script says, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any, Self

# The answer to the n-th publish (from 1), given its events: (status, body); None cuts the connection.
Script = Callable[[int, list[dict[str, Any]]], tuple[int, Any] | None]


def accept_all(_: int, events: list[dict[str, Any]]) -> tuple[int, Any]:
    return 202, {"Success": True, "Data": [{"EventId": one["EventId"], "Duplicate": False} for one in events]}


class Intake:
    """`publishes` are the bodies taken, `headers` those of the newest."""

    def __init__(self, script: Script = accept_all, port: int = 0) -> None:
        self.publishes: list[Any] = []
        self.paths: set[str] = set()
        self.headers: dict[str, str] = {}
        self.published = asyncio.Event()
        self._script = script
        self._port = port
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._connections.values():
            writer.close()
        await asyncio.gather(*self._connections)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for body in self.publishes for event in (body if isinstance(body, list) else [body])]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer):
                pass
        writer.close()
        del self._connections[task]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split()
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
        if method == "GET":
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return True
        answer = self._take(path, json.loads(await reader.readexactly(int(self.headers["content-length"]))))
        if answer is None:
            return False
        status, body = answer
        raw = json.dumps(body).encode()
        writer.write(f"HTTP/1.1 {status} Scripted\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw)
        return True

    def _take(self, path: str, body: Any) -> tuple[int, Any] | None:
        self.publishes.append(body)
        self.published.set()
        self.paths.add(path)
        return self._script(len(self.publishes), body if isinstance(body, list) else [body])
