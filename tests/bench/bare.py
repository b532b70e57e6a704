"""The bare servers that ringback is compared with: an echo, and a relay that stores nothing.

`python -m tests.bench.bare PORT echo` and `python -m tests.bench.bare PORT relay URL`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.children import accepts, free_port, module_command, running, wait_until
from tests.bench.poster import Poster

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = [(b"content-type", b"application/json")]


class BareServer(NamedTuple):
    port: int
    pid: int


async def echo(_scope: Message, receive: Receive, send: Send) -> None:
    await _answer(await _body(receive), send)


def relay_to(url: str) -> App:
    """Answers as soon as the POST has begun: nothing is kept, nothing is checked."""
    poster: list[Poster] = []

    async def relay(_scope: Message, receive: Receive, send: Send) -> None:
        if not poster:
            poster.append(Poster(url, lambda: None))
        poster[0].post(await _body(receive))
        await _answer(b"{}", send)

    return relay


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message["body"]
    while message["more_body"]:
        message = await receive()
        body += message["body"]
    return body


async def _answer(body: bytes, send: Send) -> None:
    headers = [*HEADERS, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def bare_server(core: int, folder: Path, kind: str, *arguments: str) -> Iterator[BareServer]:
    port, log = free_port(), folder / f"{kind}.log"
    with running(module_command("bare", port, kind, *arguments), core=core, log=log) as child:
        wait_until(lambda: accepts(port), child, log)
        yield BareServer(port, child.pid)


def main() -> None:
    import uvicorn

    port, kind, *arguments = sys.argv[1:]
    uvicorn.run(
        echo if kind == "echo" else relay_to(*arguments),
        port=int(port),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=2_048,
    )


if __name__ == "__main__":
    main()
