"""A few calls over a real connection: what ASGI alone does not show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn

from ringback.api.control import control_app
from tests.api.conftest import OPERATOR, Api

AUTHORIZATION = f"Authorization: Token {OPERATOR}"


@asynccontextmanager
async def serving(api: Api) -> AsyncIterator[int]:
    """A server on a free port of this loop; its port."""
    config = uvicorn.Config(
        control_app(api.context), port=0, log_config=None, lifespan="off", http="httptools"
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await running


async def talk(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return int(head[0].split()[1]), headers, body


def request(method: str, path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} /api/v1{path} HTTP/1.1", "Host: ringback", AUTHORIZATION, *headers]
    if body and not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


JSON = "Content-Type: application/json"


async def test_a_call_over_a_connection(api: Api) -> None:
    async with serving(api) as port:
        status, headers, body = await talk(port, request("POST", "/business", b'{"Name":"Acme"}', JSON))

    assert status == 201
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"].startswith("req_")
    assert json.loads(body)["Data"]["Name"] == "Acme"


async def test_a_chunked_body_is_read(api: Api) -> None:
    chunks = b'8\r\n{"Name":\r\n7\r\n"Acme"}\r\n0\r\n\r\n'
    async with serving(api) as port:
        sent = request("POST", "/business", chunks, JSON, "Transfer-Encoding: chunked")
        status, _, _ = await talk(port, sent)

    assert status == 201


@pytest.mark.parametrize("size", [(1 << 20) + 1, 10 << 20])
async def test_the_sender_of_an_over_large_body_sees_the_refusal(api: Api, size: int) -> None:
    async with serving(api) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/business", b"", JSON, f"Content-Length: {size}"))
        writer.write(b" " * size)
        status = await reader.readline()
        writer.close()

    assert status.split()[1] == b"413"


async def test_a_sender_that_hangs_up_half_way_harms_nobody(api: Api) -> None:
    async with serving(api) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request("POST", "/business", b'{"Name":', JSON, "Content-Length: 1000"))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        status, _, body = await talk(port, request("GET", "/business"))

    assert status == 200
    assert json.loads(body)["Data"]["Items"] == []
