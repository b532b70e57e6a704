"""A body that never ends is given up, whichever way it comes. In this process, to have the wait be short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from ringback.api import protocol, publish
from ringback.api.app import App
from ringback.api.context import Context
from ringback.apikeys import digest_of
from ringback.model import Scope
from ringback.observe import Feed, Metrics
from tests.builders import KEEP, api_key, change
from tests.engine.node import WholeNode, a_node
from tests.engine.staged import PATIENCE

KEY = "a-key-for-these-tests-0123456789abcdef"


@asynccontextmanager
async def served(node: WholeNode) -> AsyncIterator[int]:
    """The node behind HTTP as the service puts it there; its port."""
    key = api_key(scopes=frozenset({Scope.PUBLISH}), digest=digest_of(KEY.encode()))
    await node.store.create_key(key, change())
    await node.live.refresh()

    async def numbers() -> tuple[str, bytes]:
        return node.watch.metrics.exposition()

    context = Context(
        store=node.store,
        live=node.live,
        keyring=node.keyring,
        attempt_test=node.test_sends.attempt,
        wake=node.engine.wake,
        unready=lambda: None,
        metrics=numbers,
        dev=True,
        version="0",
        max_event_bytes=4_096,
        keep=KEEP,
        feed=Feed(Metrics()),
    )
    publishing = publish.Publishing(context, node.ingest, node.watch.metrics.count_refused)
    config = uvicorn.Config(
        App(context, publishing),
        port=0,
        http=protocol.with_publishing(publishing),
        lifespan="off",
        log_config=None,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


def request(path: str, length: int, start: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: ringback\r\nAuthorization: Token {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    return head.encode() + start


async def answer_to(port: int, sent: bytes, *, then_nothing: bool) -> bytes:
    """All that comes until the server closes, or, where it need not, until it has answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE):
        answer = await (reader.read() if then_nothing else reader.readuntil(b"}"))
    writer.close()
    return answer


@pytest.mark.parametrize("start", [b"", b"[", b'{"EventType":'])
@pytest.mark.parametrize("escaped", [False, True])
async def test_a_body_that_never_ends_is_given_up_and_its_connection_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, escaped: bool, start: bytes
) -> None:
    monkeypatch.setattr(protocol, "BODY_SECONDS", 0.1)
    monkeypatch.setattr(publish, "BODY_SECONDS", 0.1)
    async with a_node(tmp_path / "ringback.db") as node, served(node) as port:
        business_id = (await node.integration("http://127.0.0.1:9/")).business_id
        name = f"%{ord(str(business_id)[0]):x}{str(business_id)[1:]}" if escaped else str(business_id)
        path, whole = f"/api/v1/business/{name}/events", b'{"EventType":"call.failed","Data":{}}'

        given_up = await answer_to(port, request(path, 1_000, start), then_nothing=True)
        taken = await answer_to(port, request(path, len(whole), whole), then_nothing=False)

    assert given_up.startswith(b"HTTP/1.1 400 ")
    assert b"INVALID_JSON" in given_up
    assert b"did not arrive within" in given_up
    assert taken.startswith(b"HTTP/1.1 202 ")
    assert node.watch.metrics.refused == {"400": 1}
