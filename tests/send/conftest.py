from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import uvloop

from ringback.model import Outcome
from ringback.send import Request, Sender
from tests.send.dns import NameServer
from tests.zoo import Zoo

JSON = [("Content-Type", "application/json"), ("User-Agent", "ringback/test")]
LONG_ENOUGH_MS = 20_000
PATIENCE = 25


class Client:
    """A sender under test, with attempts that can be awaited."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender

    def start(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = JSON,
        body: bytes = b"{}",
        timeout_ms: int = LONG_ENOUGH_MS,
    ) -> asyncio.Future[Outcome]:
        told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        request = Request(url=url, headers=headers, body=body, timeout_ms=timeout_ms)
        self.sender.send(request, told.set_result)
        return told

    async def post(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]] = JSON,
        body: bytes = b"{}",
        timeout_ms: int = LONG_ENOUGH_MS,
    ) -> Outcome:
        async with asyncio.timeout(PATIENCE):
            return await self.start(url, headers=headers, body=body, timeout_ms=timeout_ms)


def failing_once(call: Callable[..., Any]) -> Callable[..., Any]:
    """As `call` from the second time on."""
    failures = [ValueError("made to fail")]

    def call_or_fail(*values: object, **named: object) -> object:
        if failures:
            raise failures.pop()
        return call(*values, **named)

    return call_or_fail


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """All is tested on both loops that the server can run on."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def zoo() -> Iterator[Zoo]:
    with Zoo() as zoo:
        yield zoo


@pytest.fixture
def dns() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


@pytest.fixture
async def client(zoo: Zoo, dns: NameServer) -> AsyncIterator[Client]:
    """As under `--dev`: loopback is allowed, or nothing here could be reached."""
    sender = Sender(allow_loopback=True, ca_file=zoo.ca_file, nameservers=[dns.address])
    yield Client(sender)
    await sender.close()


@pytest.fixture
async def strict_client(zoo: Zoo, dns: NameServer) -> AsyncIterator[Client]:
    """As in production: public addresses only."""
    sender = Sender(ca_file=zoo.ca_file, nameservers=[dns.address])
    yield Client(sender)
    await sender.close()
