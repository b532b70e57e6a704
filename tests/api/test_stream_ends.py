"""When a stream ends, what it may cost until then, and that no client harms another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from ringback.api import connection
from ringback.service import http
from tests.api.followers import API_KEY, Follower, LiveNode, live_node
from tests.zoo import Zoo

PASSWORD = "correct horse battery staple"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[LiveNode]:
    async with live_node(tmp_path / "data") as node:
        yield node


@pytest.fixture
async def acme(node: LiveNode, zoo: Zoo) -> int:
    """A business whose events are delivered at once."""
    business_id = await node.business()
    await node.integration(business_id, zoo.url("ok"))
    return business_id


async def all_delivered(follower: Follower, count: int) -> None:
    await follower.until(lambda: list(follower.states().values()).count("delivered") == count)


def connect(node: LiveNode, business_id: int, receive_buffer: int | None = None) -> socket.socket:
    """A client that asks for the stream and reads nothing."""
    client = socket.socket()
    if receive_buffer is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    client.connect(("127.0.0.1", node.port))
    client.setblocking(False)
    path = f"/api/v1/business/{business_id}/stream"
    client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {API_KEY}\r\n\r\n".encode())
    return client


# ---------------------------------------------------------------- who may no longer


async def test_a_revoked_key_ends_its_streams(node: LiveNode, acme: int) -> None:
    key = await node.key("read")
    async with node.follow(acme) as stays, node.follow(acme, key=key["Key"]) as follower:
        await node.data("DELETE", f"/keys/{key['Id']}")
        await node.publish(acme)
        await follower.until_ended()
        assert "may not follow" in follower.comments[-1]
        assert follower.said == follower.of("hello")
        await all_delivered(stays, 1)


async def test_a_deleted_business_ends_its_streams(node: LiveNode, acme: int) -> None:
    async with node.follow(acme) as follower, node.follow(await node.business()) as stays:
        await node.data("DELETE", f"/business/{acme}")
        await follower.until_ended()
        assert not stays.ended


@pytest.mark.parametrize("ending", ["signed out", "disabled"])
async def test_a_stream_lasts_no_longer_than_the_session(node: LiveNode, acme: int, ending: str) -> None:
    form = {"Email": "ada@example.com", "Password": PASSWORD}
    user = await node.data("POST", "/users", form | {"Role": "viewer"})
    async with httpx.AsyncClient(base_url=node.client.base_url, timeout=30) as browser:
        signed_in = await browser.post("/api/v1/session", json=form)
        assert signed_in.is_success, signed_in.text
        csrf = {"X-CSRF-Token": signed_in.json()["Data"]["CsrfToken"]}
        stream = browser.stream("GET", f"/api/v1/business/{acme}/stream")
        async with stream as response, Follower(response) as follower:
            await node.publish(acme)
            await all_delivered(follower, 1)
            if ending == "signed out":
                assert (await browser.delete("/api/v1/session", headers=csrf)).is_success
            else:
                await node.data("PATCH", f"/users/{user['Id']}", {"Enabled": False})
            await follower.until_ended()
            assert "session has ended" in follower.comments[-1]


# ---------------------------------------------------------------- the node's own end


async def test_when_the_node_stops_its_streams_end_first(node: LiveNode, acme: int, zoo: Zoo) -> None:
    other = await node.business()
    await node.integration(other, zoo.url("gate/stopping"), TimeoutSeconds=30)
    await node.publish(other)
    async with node.follow(acme) as follower:
        draining = asyncio.create_task(node.service.drain())
        await follower.until_ended()
        assert not draining.done(), "an attempt is under way"
        assert follower.comments[-1] == "this node is stopping"
        refused = await node.call("GET", f"/business/{acme}/stream")
        assert (refused.status_code, refused.json()["Code"]) == (503, "OVERLOADED")
        assert int(refused.headers["retry-after"]) >= 1
        zoo.open_gate("stopping")
        await draining


async def test_a_client_that_takes_nothing_does_not_hold_up_the_end(node: LiveNode, acme: int) -> None:
    with connect(node, acme, receive_buffer=1_024) as deaf:
        await node.streams_become(1)
        for _ in range(30):
            await node.publish(acme, 100)
            await asyncio.sleep(0.05)
        await node.service.drain()
        await node.streams_become(0)
        assert deaf


# ---------------------------------------------------------------- so many and no more


async def test_beyond_the_most_streams_there_may_be_others_wait(node: LiveNode, acme: int) -> None:
    node.limit(streams=4, streams_of_business=3)
    other = await node.business()
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(node.follow(acme))
        refused = await node.call("GET", f"/business/{acme}/stream")
        assert (refused.status_code, refused.json()["Code"]) == (503, "OVERLOADED")
        assert "of this business" in refused.json()["Message"]
        await stack.enter_async_context(node.follow(other))
        refused = await node.call("GET", f"/business/{other}/stream")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert await node.figure("ringback_streams_open") == 4
    await node.streams_become(0)
    async with node.follow(acme):
        assert await node.figure("ringback_streams_open") == 1


async def test_a_closed_connection_makes_room_at_once(node: LiveNode, acme: int) -> None:
    node.limit(streams_of_business=5)
    for _ in range(10):
        clients = [connect(node, acme) for _ in range(5)]
        await node.streams_become(5)
        for number, client in enumerate(clients):
            if number % 2:
                client.shutdown(socket.SHUT_WR)
            else:
                client.close()
        await node.streams_become(0)
        for client in clients:
            client.close()


async def test_a_storm_of_clients_that_come_and_go_leaves_nothing_behind(node: LiveNode, acme: int) -> None:
    tasks_before = len(asyncio.all_tasks())
    async with node.follow(acme) as follower:
        for _ in range(10):
            clients = [connect(node, acme) for _ in range(30)]
            await node.publish(acme, 10)
            for client in clients:
                client.close()
        await all_delivered(follower, 100)
        await node.streams_become(1)
    await node.streams_become(0)
    async with asyncio.timeout(30):
        while len(asyncio.all_tasks()) > tasks_before + 2:
            await asyncio.sleep(0.01)
    (channel,) = node.service.feed.followed.values()
    assert not channel.subscriptions


# ---------------------------------------------------------------- who reads slowly


async def test_a_client_that_reads_too_slowly_is_dropped_and_no_other_notices(
    node: LiveNode, acme: int
) -> None:
    node.limit(ring_bytes=300_000, tick_seconds=0.02)
    never = [connect(node, acme, receive_buffer=1_024) for _ in range(48)]
    drip = connect(node, acme, receive_buffer=1_024)
    await node.streams_become(49)
    dripping = asyncio.create_task(read_a_byte_a_second(drip))
    async with node.follow(acme) as reader:
        published = 0
        while node.service.feed.streams > 1:
            await node.publish(acme, 100)
            published += 100
        dropped = await node.figure("ringback_streams_dropped_total")
        assert dropped == 49
        await reader.until(
            lambda: len(reader.items("attempt.finished")) + reader.omitted("attempt.finished") == published
        )
    dripping.cancel()
    for client in (*never, drip):
        client.close()


async def read_a_byte_a_second(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, 1):
        await asyncio.sleep(1)


async def test_a_client_that_is_stuck_is_dropped_after_a_while_even_where_little_happens(
    node: LiveNode, acme: int
) -> None:
    node.limit(slow_seconds=0.2)
    with connect(node, acme, receive_buffer=1_024):
        await node.streams_become(1)
        async with asyncio.timeout(60):
            while node.service.feed.streams:
                await node.publish(acme, 100)
        assert await node.figure("ringback_streams_dropped_total") == 1


async def test_what_nobody_follows_leaves_no_trace(node: LiveNode, acme: int) -> None:
    async with node.follow(await node.business()):
        await node.publish(acme, 50)
        assert acme not in node.service.feed.followed


async def test_the_limits_of_other_requests_do_not_cut_a_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.1)
    monkeypatch.setattr(http, "KEEP_ALIVE_SECONDS", 0.1)
    async with live_node(tmp_path / "limits") as node:
        node.limit(heartbeat_seconds=0.05)
        async with node.follow(await node.business()) as follower:
            await follower.until(lambda: len(follower.comments) >= 10)
